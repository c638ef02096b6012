"""Every line of what the engine must do is shown by tests that exist, ran and passed."""

from pathlib import Path

import pytest

from tidy.ledger import (
    Line,
    cpp_test_exists,
    missing,
    not_passed,
    plain_gtest_name,
    python_test_exists,
    read_ledger,
    read_reports,
)
from tidy.source_tree import files_below

HERE = "tests/tidy/test_ledger.py"


def test_ids_are_unique_and_statuses_known():
    ledger = read_ledger()
    assert len({line.id for line in ledger}) == len(ledger) > 0
    assert {line.status for line in ledger} <= {"open", "done"}


def test_a_line_that_is_done_names_what_shows_it():
    assert [line.id for line in read_ledger() if line.status == "done" and not line.tests + line.benchmarks] == []


def test_named_tests_and_benchmarks_exist():
    assert {line.id: missing(line) for line in read_ledger() if missing(line)} == {}


def test_open_lines_are_counted():
    ledger = read_ledger()
    still_open = [line.id for line in ledger if line.status == "open"]
    print(f"\nledger: {len(ledger) - len(still_open)} of {len(ledger)} lines done")
    if still_open:
        print("open: " + ", ".join(still_open))
    assert len(still_open) <= len(ledger)


@pytest.mark.after_main_run
def test_lines_that_are_done_ran_and_passed(reports_folder):
    # The house rules run last and have no report of their own yet.
    reports = read_reports(Path(reports_folder))
    shown_here = [f"tests/tidy/{path.name}" for path in files_below("tests/tidy", ".py")]
    bad = {
        line.id: [name for name in not_passed(line, reports) if name.split("::")[0] not in shown_here]
        for line in read_ledger()
        if line.status == "done"
    }
    assert {name: tests for name, tests in bad.items() if tests} == {}


def test_a_test_that_is_not_there_is_missed():
    assert python_test_exists(f"{HERE}::test_open_lines_are_counted")
    assert not python_test_exists(f"{HERE}::test_of_nothing")
    assert not python_test_exists("tests/tidy/test_nothing.py::test_x")
    assert not cpp_test_exists("base.NoSuite.NoTest")
    assert cpp_test_exists("rocksdb.ColdStoreContract.new_store_is_empty")
    assert not cpp_test_exists("rocksdb.ColdStoreContract.new_store_is_full")
    assert not cpp_test_exists("base.ColdStoreContract.new_store_is_empty")  # not instantiated there


def test_a_test_that_failed_or_did_not_run_is_missed(tmp_path):
    (tmp_path / "ctest.xml").write_text(
        '<testsuite><testcase name="base.S.Good" status="run"/>'
        '<testcase name="base.S.Bad" status="fail"><failure message=""/></testcase></testsuite>'
    )
    (tmp_path / "pytest-parallel.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.python.test_x" name="test_a[1]"/>'
        '<testcase classname="tests.python.test_x" name="test_a[2]"><failure/></testcase>'
        '<testcase classname="tests.python.test_x.TestB" name="test_b"/></testsuite></testsuites>'
    )
    reports = read_reports(tmp_path)
    names = [
        "cpp:base.S.Good",
        "cpp:base.S.Bad",
        "cpp:base.S.NotRun",
        "tests/python/test_x.py::test_a",
        "tests/python/test_x.py::TestB::test_b",
    ]
    line = Line(id="x", says="x", status="done", tests=names)
    assert not_passed(line, reports) == [names[1], names[2], names[3]]


@pytest.mark.parametrize(
    ("reported", "plain"),
    [
        ("state.Map.Get", "state.Map.Get"),
        ("state.All/Map.Get/2", "state.Map.Get"),
        ("state.Map/0.Get", "state.Map.Get"),
        ("state.All/Map/0.Get", "state.Map.Get"),
        ("state.Map.Get<headrace::(anonymous namespace)::Stores>", "state.Map.Get"),
    ],
)
def test_gtest_names_lose_their_parameters(reported, plain):
    assert plain_gtest_name(reported) == plain
