"""The Makefile, the presets and the hooks offer what CONTRIBUTING.md promises."""

import json
import os
import re
import shutil
import subprocess

from tidy.source_tree import ROOT, name_of, project_files

CORPUS_BYTES_MAX = 8192
STEPS = ["test", "asan", "asan-py", "tsan", "fuzz", "lint"]


def targets_of_the_makefile() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    return set(phony[1].replace("\\\n", " ").split())


def test_make_help_lists_every_target():
    printed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = {line.split()[0] for line in printed.splitlines() if line.startswith("  ")}
    assert listed == targets_of_the_makefile()
    assert all(len(line.split(maxsplit=1)) == 2 for line in printed.splitlines())


def test_every_target_is_declared_phony():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^([a-z-]+):", text, re.MULTILINE)) == targets_of_the_makefile()


def test_presets_use_ninja_and_builds_use_ccache():
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    shown = {preset["name"] for preset in presets["configurePresets"] if not preset.get("hidden")}
    assert shown == {"release", "debug", "asan", "tsan", "fuzz"}
    assert presets["configurePresets"][0]["generator"] == "Ninja"
    root_file = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "include(HeadraceCcache)" in root_file


def test_demo_and_tests_need_nothing_but_the_build_before_them():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    needs = dict(re.findall(r"^(demo|test|build):(.*?)##", text, re.MULTILINE))
    assert {target: names.split() for target, names in needs.items()} == {
        "build": [],
        "demo": ["build"],
        "test": ["build"],
    }
    build = (ROOT / ".ci/build.sh").read_text(encoding="utf-8")
    assert build.index(".ci/apt.sh") < build.index(".ci/venv.sh") < build.index("pip install")


def test_hooks_run_the_formatters_and_the_type_checker():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    names = set(re.findall(r"- id: ([\w-]+)", hooks))
    assert {"clang-format", "ruff-check", "ruff-format", "mypy"} <= names
    assert hooks.count("language: system") == len(re.findall(r"- id:", hooks))


def test_nothing_is_built_for_more_than_the_baseline():
    # A kernel marks its own variants with __attribute__((target(...))) and chooses at run time.
    found = [
        f"{name_of(path)}: {flag}"
        for path in project_files()
        if path.name == "CMakeLists.txt" or path.suffix == ".cmake" or path.name == "CMakePresets.json"
        for flag in re.findall(r"-m(?:arch|tune|cpu|avx|sse|bmi|fma)[\w=.-]*", path.read_text())
    ]
    assert not found, "\n".join(found)


def test_continuous_integration_runs_tests_sanitizers_and_linters():
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^step ([\w-]+)$", text, re.MULTILINE) == STEPS
    assert text.index("step lint") < text.index(".ci/summary.sh")


def test_build_gives_pip_options_in_their_long_form():
    # pip 23.0, which Debian 12 ships, knows --config-settings but not -C.
    for name in (".ci/build.sh", "tests/python/test_install.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--config-settings=" in text
        assert not re.search(r"^\s+-C |\"-C\"", text, re.MULTILINE)


def test_sanitizers_see_everything_and_stop_at_the_first_error():
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    build = {preset["name"]: preset for preset in presets["configurePresets"]}["asan"]
    assert build["cacheVariables"]["HEADRACE_SANITIZE"] == "address,undefined"
    assert build["inherits"] == "base"  # which builds the C++ tests
    tests = {preset["name"]: preset for preset in presets["testPresets"]}["asan"]
    assert "filter" not in tests  # all of them
    assert tests["environment"]["HEADRACE_SIM_SEEDS"] == "1000"
    assert "detect_leaks=1" in tests["environment"]["ASAN_OPTIONS"]
    assert "halt_on_error=1" in tests["environment"]["UBSAN_OPTIONS"]
    options = json.dumps(tests["environment"])
    assert not re.search(r"suppressions|halt_on_error=0|exitcode=0|abort_on_error=0|detect_leaks=0", options)
    flags = (ROOT / "cpp/cmake/HeadraceFlags.cmake").read_text(encoding="utf-8")
    assert "-fno-sanitize-recover=all" in flags
    # Of what the module does in Python only leaks are not looked for.
    script = (ROOT / ".ci/sanitize-py.sh").read_text(encoding="utf-8")
    assert "cmake --preset asan " in script
    assert "PYTHONMALLOC=malloc" in script
    assert "ASAN_OPTIONS=detect_leaks=0:" in script
    assert "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:" in script
    assert not re.search(r"halt_on_error=0|exitcode=0|abort_on_error=0|_mismatch=0|odr_violation=0", script)
    assert re.findall(r"'(\w+:\S+)'", script) == ["null:pybind11/pybind11.h"]  # the one suppression
    # Nothing is left out by the source either.
    excused = [
        name_of(path)
        for path in project_files()
        if path.suffix in (".h", ".cc", ".cmake", ".txt")
        and re.search(r"no_sanitize|__lsan_ignore|__lsan_disable|sanitize-(?:ignore|black)list", path.read_text())
    ]
    assert excused == []


def test_python_tests_that_sanitizers_leave_out_exist_and_have_a_reason():
    script = (ROOT / ".ci/sanitize-py.sh").read_text(encoding="utf-8")
    listed = re.search(r"^left_out=\(\n(.*?)^\)$", script, re.MULTILINE | re.DOTALL)
    assert listed is not None
    lines = [line.strip() for line in listed[1].splitlines()]
    assert lines[0].startswith("# ")
    names = [line for line in lines if not line.startswith("# ")]
    for name in names:
        path, _, test = name.partition("::")
        assert (ROOT / path).exists(), name
        assert not test or f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8"), name
    folders = {name for name in names if (ROOT / name).is_dir()}
    assert folders == {"tests/recovery"}  # the tests of the bindings are left out one by one


def test_thread_sanitizer_runs_every_folder_whose_tests_have_threads():
    presets = json.loads((ROOT / "CMakePresets.json").read_text(encoding="utf-8"))
    tests = {preset["name"]: preset for preset in presets["testPresets"]}["tsan"]
    built = {preset["name"]: preset for preset in presets["buildPresets"]}["tsan"]["targets"]
    folders = {
        path.parent.name
        for path in project_files()
        if path.match("tests/cpp/*/*.cc") and "<thread>" in path.read_text()
    }
    assert {name for name in folders if not re.match(tests["filter"]["include"]["name"], f"{name}.")} == set()
    assert {name for name in folders if f"hr_test_{name}" not in built} == set()
    assert "halt_on_error=1" in tests["environment"]["TSAN_OPTIONS"]
    assert "suppressions" not in json.dumps(tests)


def test_each_fuzz_target_has_a_small_corpus():
    # Replayed in `make test` and the start of `make fuzz`; what a longer run finds stays in build/.
    targets = {path.stem.removesuffix("_fuzz") for path in project_files() if path.match("tests/fuzz/*_fuzz.cc")}
    corpus = ROOT / "tests/fuzz/corpus"
    sizes = {name: 0 for name in targets}
    for path in project_files():
        if path.is_relative_to(corpus):
            sizes[path.relative_to(corpus).parts[0]] += path.stat().st_size
    assert {name: size for name, size in sizes.items() if not 0 < size <= CORPUS_BYTES_MAX} == {}
    assert len(targets) >= 7
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\nSECONDS ?= 45\n" in makefile  # for each of them
    assert ".ci/fuzz.sh $(SECONDS)\n" in makefile


def test_ci_fails_when_a_step_fails(tmp_path):
    # The script itself, with a `make` that fails at one step.
    (tmp_path / ".ci").mkdir()
    for script in ("run", "summary.sh"):
        shutil.copy2(ROOT / ".ci" / script, tmp_path / ".ci" / script)
    (tmp_path / "bin").mkdir()
    make = tmp_path / "bin/make"
    make.write_text('#!/bin/sh\nmkdir -p build/reports\necho "$2" >>build/steps\n[ "$2" != "$FAILING" ]\n')
    make.chmod(0o755)
    path = f"{make.parent}:{os.environ['PATH']}"
    for failing in (*STEPS, "none"):
        (tmp_path / "build").mkdir(exist_ok=True)
        (tmp_path / "build/steps").write_text("")
        environment = {**os.environ, "PATH": path, "FAILING": failing}
        ended = subprocess.run([tmp_path / ".ci/run"], env=environment, capture_output=True, text=True, check=False)
        assert (ended.returncode == 0) == (failing == "none"), ended.stdout
        assert (f"FAILED: make {failing}" in ended.stdout) == (failing != "none")
        assert (tmp_path / "build/steps").read_text().split() == STEPS


def test_scripts_are_executable_and_stop_at_the_first_error():
    scripts = sorted((ROOT / ".ci").iterdir())
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111, script.name
        assert "set -euo pipefail" in script.read_text(encoding="utf-8"), script.name
