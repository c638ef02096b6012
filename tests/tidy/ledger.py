"""Reads tests/ledger.toml, finds the tests it names, and reads what a run of them reported.

A test is named as pytest names it (``tests/python/test_graph.py::test_union``, no parameters) or,
for C++, ``cpp:<folder>.<Suite>.<Name>``, the name ctest prints. A benchmark is named by its file,
and has run when ``benchmarks/recorded/<stem>.json`` is there with ``"passed": true`` (make bench ARGS=--record).
"""

import ast
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from tidy.source_tree import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GTEST = re.compile(r"^\s*TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
TYPED_GTEST = re.compile(r"^\s*TYPED_TEST(?:_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
INSTANTIATED = re.compile(r"^INSTANTIATE_TYPED_TEST_SUITE_P\(\s*\w+,\s*(\w+),", re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """One line of what the engine must do, and what shows that it does."""

    id: str
    says: str
    status: str
    tests: list[str] = field(default_factory=list)
    benchmarks: list[str] = field(default_factory=list)


def read_ledger() -> list[Line]:
    """Return the lines in the order of the file."""
    text = (ROOT / "tests/ledger.toml").read_text(encoding="utf-8")
    return [Line(**entry) for entry in tomllib.loads(text)["line"]]


def python_test_exists(name: str) -> bool:
    """Tell whether a pytest node id names a function in a test file."""
    path, *inner = name.split("::")
    file = ROOT / path
    if not file.is_file() or not inner:
        return False
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for part in inner:
        match = [node for node in body if getattr(node, "name", None) == part]
        if not match:
            return False
        body = match[0].body
    return True


def cpp_test_exists(name: str) -> bool:
    """Tell whether ``<folder>.<Suite>.<Name>`` is written in tests/cpp/<folder>.

    A suite that is written in a header of tests/cpp counts where it is instantiated.
    """
    folder, suite, test = name.split(".")
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests/cpp" / folder).rglob("*_test.cc")]
    if any(suite in INSTANTIATED.findall(text) for text in texts):
        texts += [path.read_text(encoding="utf-8") for path in (ROOT / "tests/cpp").rglob("*_contract.h")]
    return any((suite, test) in [*GTEST.findall(text), *TYPED_GTEST.findall(text)] for text in texts)


def missing(line: Line) -> list[str]:
    """Return the tests and benchmarks of a line that are not there."""
    absent = []
    for name in line.tests:
        there = cpp_test_exists(name[4:]) if name.startswith("cpp:") else python_test_exists(name)
        if not there:
            absent.append(name)
    return absent + [name for name in line.benchmarks if not (ROOT / name).is_file()]


def read_reports(folder: Path) -> dict[str, list[bool]]:
    """Return, for each test in the JUnit files of a run, whether each of its cases passed."""
    passed = defaultdict(list)
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            ok = case.get("status") not in ("fail", "notrun", "disabled") and not any(
                case.find(bad) is not None for bad in ("failure", "error", "skipped")
            )
            if report.stem.startswith("ctest"):
                passed["cpp:" + plain_gtest_name(case.get("name", ""))].append(ok)
            else:
                name = f"{case.get('classname', '')}.{case.get('name', '').split('[')[0]}"
                passed[name].append(ok)
    return dict(passed)


def plain_gtest_name(name: str) -> str:
    """Take instantiation and parameters off: ``state.All/Map.Get/2`` -> ``state.Map.Get``."""
    folder, _, rest = name.partition("<")[0].partition(".")
    suite, _, test = rest.partition(".")
    parts = suite.split("/")
    # Value-parameterised: Instantiation/Suite. Typed: Suite/number. Type-parameterised: Instantiation/Suite/number.
    suite = parts[-2] if len(parts) > 1 and parts[-1].isdigit() else parts[-1]
    return f"{folder}.{suite}.{test.split('/')[0]}"


def report_name(name: str) -> str:
    """Return how a test of the ledger is called in the reports."""
    return name if name.startswith("cpp:") else name.replace(".py::", ".").replace("::", ".").replace("/", ".")


def not_passed(line: Line, reports: dict[str, list[bool]]) -> list[str]:
    """Return what a line names that did not run, or ran and failed."""
    bad = [name for name in line.tests if not all(reports.get(report_name(name), [False]))]
    for name in line.benchmarks:
        result = ROOT / "benchmarks/recorded" / f"{Path(name).stem}.json"
        if not result.is_file() or not json.loads(result.read_text(encoding="utf-8")).get("passed"):
            bad.append(name)
    return bad
