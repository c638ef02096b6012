"""The table of what checkpoints transfer runs, small, and what it counts holds."""

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def transfer_table(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    module = importlib.import_module("pipelines.transfer_table")
    monkeypatch.setattr(module.jobs, "SCRATCH", tmp_path)
    return module


def test_table_has_every_combination_and_its_checks_hold(transfer_table, capfd):
    measuring = importlib.import_module("measuring")
    options = measuring.Options(rounds=1, quick=True, scale=0.5)
    report = measuring.Report("transfer_table", options)
    transfer_table.measure_table(options, report)
    transfer_table.measure_one_key(options, report)
    assert len(report.checks) > 8
    assert all(report.checks.values()), report.checks
    assert (
        len([line for line in report.notes if line.lstrip().startswith(("nothing", "partition", "codec", "incr"))]) == 8
    )
    # By count of bytes, so not a matter of the machine.
    assert next(iter(report.ratios.values()))["median"] < 0.2
    assert "partition + codec + incremental" in capfd.readouterr().out
