"""The planted bugs: found by the seeds of `make test`, as the committed table says, and in a test build only."""

import csv
import re

import pytest

from tidy.source_tree import ROOT, files_below, name_of, project_files

BUGS_COUNT = 14
SEEDS_MAX = 2000
SWITCH = "HEADRACE_PLANTED_BUGS"
HEADER = (ROOT / "cpp/headrace/base/planted_bug.h").read_text(encoding="utf-8")
SOURCE = (ROOT / "cpp/headrace/base/planted_bug.cc").read_text(encoding="utf-8")
NAMES = re.findall(r'^    "([a-z_]+)",$', SOURCE, re.MULTILINE)
ROWS = list(csv.DictReader((ROOT / "tests/cpp/simulation/planted_bugs.csv").read_text(encoding="utf-8").splitlines()))


def test_every_bug_has_a_name_and_is_planted_once():
    bugs = re.findall(r"^  k(\w+),", HEADER, re.MULTILINE)
    assert len(bugs) == BUGS_COUNT
    assert [re.sub(r"(?<!^)([A-Z])", r"_\1", bug).lower() for bug in bugs] == NAMES
    text = "".join(path.read_text(encoding="utf-8") for path in files_below("cpp/headrace", ".cc", ".h"))
    assert {bug: text.count(f"Planted(PlantedBug::k{bug})") for bug in bugs} == dict.fromkeys(bugs, 1)


def test_the_table_has_every_bug():
    assert [row["bug"] for row in ROWS] == NAMES
    assert len(ROWS) == BUGS_COUNT


@pytest.mark.parametrize("row", ROWS, ids=[row["bug"] for row in ROWS])
def test_the_bug_was_found_within_the_seeds_of_one_run(row):
    tried = int(row["seeds_tried"])
    assert 1 <= tried <= SEEDS_MAX
    assert int(row["seed"]) == int(row["first_seed"]) + tried - 1
    assert int(row["unit_tests_passed"]) > 0
    invariants = re.findall(r"^/// - (\w+):", (ROOT / "cpp/testing/simulation.h").read_text(), re.MULTILINE)
    assert row["invariant"] in [*invariants, "the process ended"]


def test_switches_are_the_only_difference_of_the_test_build():
    users = {name_of(path) for path in project_files() if SWITCH in path.read_bytes().decode("utf-8", "replace")}
    assert users == {
        "CMakeLists.txt",
        "cpp/cmake/HeadraceFlags.cmake",
        "cpp/headrace/base/planted_bug.h",
        "cpp/headrace/base/planted_bug.cc",
        ".ci/planted-bugs.sh",
        "tests/tidy/test_planted_bugs.py",
    }
    definition = f"if({SWITCH})\n  target_compile_definitions(hr_flags INTERFACE {SWITCH})\nendif()\n"
    flags = (ROOT / "cpp/cmake/HeadraceFlags.cmake").read_text(encoding="utf-8")
    assert flags.count(SWITCH) == 2
    assert definition in flags
    assert re.search(rf"^option\({SWITCH} .* OFF\)$", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)
    script = (ROOT / ".ci/planted-bugs.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"-D(\S+)", script)) == {
        "CMAKE_BUILD_TYPE=Release",
        "HEADRACE_BUILD_TESTS=ON",
        f"{SWITCH}=ON",
    }
    # Without the definition a switch is a constant, and the compiler leaves nothing of it.
    assert "#else\nconstexpr bool Planted(PlantedBug) { return false; }\n#endif" in HEADER
