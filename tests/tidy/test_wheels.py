"""The table that `make wheel` leaves: which wheels were built and run alone."""

import csv

import tomllib

from tidy.source_tree import ROOT

ROWS = list(csv.DictReader((ROOT / "tests/wheel/built.csv").read_text(encoding="utf-8").splitlines()))


def test_a_wheel_was_built_and_run_for_each_python_that_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if "Python :: 3." in line]
    assert len(named) >= 4
    assert [row["python"] for row in ROWS] == named
    for row in ROWS:
        assert row["wheel"].startswith(f"headrace-{project['version']}-cp{row['python'].replace('.', '')}-"), row
        assert f"CPython {row['python']}." in row["seen"], row
        assert row["seen"].endswith("a job killed and resumed, RocksDB"), row
