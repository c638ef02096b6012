"""Nothing that a call leaves behind adds up: 100,000 calls of each callback, and thousands of failures in each."""

import csv
import gc
import logging
import os
import sys
from pathlib import Path

import pytest

from headrace import JobStatus, RestartStrategies
from python.callbacks import BY_CHECKPOINTS, CALLBACKS, PROGRAMS, build, env_that_calls
from python.planned_failures import Plan, PlannedError
from python.streams import new_env

CALLS = 100_000
# `make leaks` takes as many failures as calls, which is too long for every run, and collects a line for each callback.
FAILURES = int(os.environ.get("HEADRACE_FAILURES", "3000"))
COUNTS = os.environ.get("HEADRACE_FAILURE_COUNTS")
LEDGER = Path(__file__).parent / "failures.csv"
# A program with processing-time timers has to wait for them; its function fails under event time too.
FAILING = [name for name, (program, _) in CALLBACKS.items() if not program.rows_per_second]
# Callbacks that an attempt calls once.
ONCE = {"open", "initialize_state", "reset_state", "call", "making it"}
# Numbers are this far apart, so that each window, key and timer has one of its own; folds of two need more.
STRIDE = 10
PER_CALL = {"reduce in windows": (1, 1.6), "reduce": (STRIDE, 1.1), "reducing state": (STRIDE, 1.1)}


@pytest.fixture(autouse=True)
def no_failure_left_over():
    Plan.clear()


@pytest.fixture(autouse=True)
def no_record_of_restarts_kept(caplog):
    # pytest keeps each line that is logged for its report: that would be the growth seen.
    caplog.set_level(logging.CRITICAL, "headrace")


def settle():
    """Collects what can be collected. References that native threads dropped go with a task's next step in Python."""
    for _ in range(3):
        env = new_env()
        env.from_elements(1).map(str)
        env.execute()
        gc.collect()


def counts(program):
    """Live memory blocks of the interpreter, objects, and references to what every call touches."""
    settle()
    touched = [None, True, PlannedError, Plan, program.function, program.build]
    return {
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "references": max(0, *(sys.getrefcount(item) for item in touched)),
    }


def growth(program, run):
    before = counts(program)
    run()
    after = counts(program)
    return {name: after[name] - before[name] for name in before}


def run_job(name, program, records, tmp_path):
    Plan.calls.clear()
    env = new_env()
    if program.source:
        Plan.records = Plan.released = records
        build(env, program, tmp_path)
    else:
        stride, share = PER_CALL.get(name, (STRIDE, 1))
        last = int(records * share) * stride
        build(env, program, tmp_path, env.from_collection(range(0, last, stride)))
    env.execute()


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if not program.rows_per_second])
def test_counts_stay_flat_over_many_calls(name, tmp_path):
    program = PROGRAMS[name]
    for _ in range(2):
        run_job(name, program, 3000, tmp_path / "warm")
    grown = growth(program, lambda: run_job(name, program, CALLS, tmp_path / "out"))
    often = [f"{name}.{method}" for method in program.methods if method not in ONCE]
    assert all(Plan.calls.get(callback, 0) >= CALLS for callback in often if callback not in BY_CHECKPOINTS), Plan.calls
    # A leak of one block, object or reference in a call would be CALLS of them.
    assert max(grown.values()) < CALLS / 100, grown


@pytest.mark.parametrize("callback", FAILING)
def test_counts_stay_flat_over_many_failures(callback, tmp_path):
    program, _ = CALLBACKS[callback]

    def fail(times):
        env = env_that_calls(callback, tmp_path)
        env.set_restart_strategy(RestartStrategies.fixed_delay_restart(times, "0 ms"))
        build(env, program, tmp_path / "out")
        Plan.fail_in(callback, times=times)
        client = env.execute_async()
        assert len(client.result().recoveries) == times
        assert client.status() == JobStatus.FINISHED

    fail(300)
    grown = growth(program, lambda: fail(FAILURES))
    # The interpreter's own caches hold some hundreds of blocks more or less, however many the failures.
    assert max(grown.values()) < FAILURES / 3, grown
    if COUNTS:
        with Path(COUNTS).open("a") as counted:
            counted.write(f"{callback},{FAILURES},{grown['blocks']},{grown['objects']},{grown['references']}\n")


def test_the_ledger_has_a_hundred_thousand_failures_of_each_callback():
    rows = {row["callback"]: row for row in csv.DictReader(LEDGER.read_text().splitlines())}
    assert sorted(rows) == sorted(FAILING)
    for row in rows.values():
        assert int(row["failures"]) >= CALLS
        assert max(int(row[name]) for name in ("blocks", "objects", "references")) < CALLS / 100, row
