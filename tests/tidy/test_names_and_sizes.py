"""Names say what a thing is, lines fit the screen, files stay small."""

import ast
import re
import sys

import pytest

from tidy.source_tree import ROOT, cpp_without_comments, files_below, name_of, project_files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BANNED_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}
# The package is PyFlink's, and its names are kept.
ALLOWED_PATHS = ("python/headrace/common/",)
CPP_TYPE = re.compile(r"\b(?:class|struct|enum(?:\s+class)?|namespace)\s+([A-Za-z_]\w*)")

COLUMNS_MAX = 100
LINES_MAX = {".h": 300, ".cc": 600, ".py": 600}
SIZE_EXCEPTIONS = ROOT / "tests/tidy/size_exceptions.toml"


def words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return {word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced)}


def source_files() -> list:
    return [path for folder in ("cpp", "python", "tests", "benchmarks") for path in files_below(folder, *LINES_MAX)]


def test_file_names_say_what_is_inside():
    found = [
        name
        for name in map(name_of, project_files())
        if not name.startswith(ALLOWED_PATHS) and words(name) & BANNED_WORDS
    ]
    # A test of the package carries the package's name.
    assert [name for name in found if not re.fullmatch(r"tests/python/test_common\w*\.py", name)] == []


def test_cpp_type_names_say_what_they_are():
    found = [
        f"{name_of(path)}: {name}"
        for folder in ("cpp", "tests/cpp", "tests/fuzz", "benchmarks")
        for path in files_below(folder, ".h", ".cc")
        for name in CPP_TYPE.findall(cpp_without_comments(path.read_text(encoding="utf-8")))
        if words(name) & BANNED_WORDS
    ]
    assert not found, "\n" + "\n".join(found)


def test_python_class_names_say_what_they_are():
    found = [
        f"{name_of(path)}: {node.name}"
        for folder in ("python", "tests", "benchmarks")
        for path in files_below(folder, ".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and words(node.name) & BANNED_WORDS
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("name", "banned"),
    [("StateUtils", True), ("file_helpers.h", True), ("CommonTypes", True), ("Commonality", False)],
)
def test_words_are_taken_apart(name, banned):
    assert bool(words(name) & BANNED_WORDS) is banned


def test_cpp_lines_fit_the_columns():
    found = [
        f"{name_of(path)}:{number}: {len(line)} columns"
        for folder in ("cpp", "tests/cpp", "tests/fuzz", "benchmarks")
        for path in files_below(folder, ".h", ".cc")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > COLUMNS_MAX
    ]
    assert not found, "\n" + "\n".join(found)


def test_files_keep_to_the_size_budget():
    # A ratchet: a file on the list may shrink but not grow, and leaves the list when it fits.
    exceptions = tomllib.loads(SIZE_EXCEPTIONS.read_text(encoding="utf-8"))["lines"]
    found = []
    for path in source_files():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        budget = LINES_MAX[path.suffix]
        listed = exceptions.pop(name_of(path), None)
        if lines > (listed or budget):
            found.append(f"{name_of(path)}: {lines} lines, {listed or budget} allowed")
        elif listed is not None and lines <= budget:
            found.append(f"{name_of(path)}: {lines} lines fit the budget; take it off the list")
    found += [f"{name}: listed, but there is no such file" for name in exceptions]
    assert not found, "\n" + "\n".join(found)


def test_cmake_files_stay_small():
    lines = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in project_files()
        if path.name == "CMakeLists.txt"
    }
    assert lines.pop("CMakeLists.txt") <= 120
    assert {name: count for name, count in lines.items() if count > 15} == {}
