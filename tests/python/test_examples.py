"""The documents' examples: straight, killed and restored, and restored at another parallelism."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.examples import (
    doc000_state_synchronisation,
    doc000_stateful_app,
    doc001_keyed_state,
    doc001_operator_state,
    doc002_formulas,
    doc002_kafka,
    doc004_grouping,
    doc_lifecycles,
)
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

JOBS = {
    "doc000": lambda env, pace: doc000_stateful_app.build(env, rounds=100, pause_seconds=0.002 if pace else 0),
    "doc001_keyed": lambda env, pace: doc001_keyed_state.build(env, rounds=300, rows_per_second=600 if pace else 0),
    "doc001_operator": lambda env, pace: doc001_operator_state.build(
        env, doc001_operator_state.CountPerKey(), rounds=300, rows_per_second=600 if pace else 0
    ),
    "doc002": lambda env, pace: _kafka(env, pace),
    "doc004": lambda env, pace: doc004_grouping.build(env, rounds=60, rows_per_second=160 if pace else 0),
}


def _kafka(env, pace):
    doc002_kafka.fill("input_topic", 600)
    return doc002_kafka.build(env, 0.002 if pace else 0).map(lambda row: f"{row.key} {row.window_start} {row['sum']}")


def run_job(name, checkpoints, output, parallelism, pace, resume):
    """One run in this process; also the body of the killed child."""
    env = checkpointed_env(Path(checkpoints), parallelism, resume=resume)
    JOBS[name](env, pace).sink_to(file_sink(Path(output))).uid("out")
    return env.execute(name)


def kill_once_checkpointed(function, arguments):
    """Runs a function of this module in a process of its own, and kills that some time after its first checkpoint."""
    code = f"from python.test_examples import {function}; {function}(*{arguments!r})"
    checkpoints = Path(arguments[1])
    tests = Path(__file__).parent.parent
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tests)})
    deadline = time.monotonic() + 30
    while not list(checkpoints.rglob("chk-*.manifest")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.15)
    assert process.poll() is None, "the job ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("name", sorted(JOBS))
@pytest.mark.parametrize("parallelism", [2, 3])
def test_killed_and_restored(name, parallelism, tmp_path):
    expected = sorted(str(r) for r in collect(JOBS[name](new_env(2), False)))
    arguments = (name, str(tmp_path / "chk"), str(tmp_path / "out"), 2, True, False)
    kill_once_checkpointed("run_job", arguments)
    result = run_job(name, tmp_path / "chk", tmp_path / "out", parallelism, False, True)
    assert any("resumed from checkpoint" in m for m in result.messages)
    assert lines_of(tmp_path / "out") == expected


def test_doc000_windows_hold_running_counts():
    got = sorted(collect(doc000_stateful_app.build(new_env(), rounds=1)))
    assert (
        got == ["state#1 state#2 window#1 window#2 barrier#1".replace("window#1 window#2 barrier#1", "").strip()]
        or len(got) == 2
    )
    assert sorted(" ".join(got).split()) == ["barrier#1", "state#1", "state#2", "state#3", "window#1", "window#2"]


@pytest.mark.parametrize(("parallelism", "prefixed"), [(1, False), (3, True)])
def test_doc001_keyed_state_prints(parallelism, prefixed, capfd):
    doc001_keyed_state.main(parallelism)
    lines = capfd.readouterr().out.splitlines()[:3]
    assert sorted(line.split("> ")[-1] for line in lines) == ["a", "b", "c"]
    assert all(("> " in line) == prefixed for line in lines)


def test_doc001_operator_state_counts(capfd):
    doc001_operator_state.main()
    out = capfd.readouterr().out.splitlines()
    assert out == [
        "MyProcessFunction:",
        "Count: 1",
        "Count: 2",
        "Count: 3",
        "CountPerKey:",
        "Count: 1",
        "Count: 1",
        "Count: 1",
        "CheckpointedCount:",
        "Count: 1",
        "Count: 2",
        "Count: 3",
    ]


class NaiveCounts(doc001_operator_state.MyProcessFunction):
    """The document's function; says in which subtask it counted."""

    def open(self, runtime_context):
        self.where = (
            f"{runtime_context.get_number_of_parallel_subtasks()}:{runtime_context.get_index_of_this_subtask()}"
        )

    def process_element(self, value, ctx, out):
        self.count += 1
        out.collect(f"{self.where} {self.count}")


class KeptCounts(doc001_operator_state.CheckpointedCount):
    """The same with operator state."""

    open = NaiveCounts.open
    process_element = NaiveCounts.process_element


def run_counts(name, checkpoints, output, parallelism, pace, resume):
    """One run in this process; also the body of the killed child."""
    env = checkpointed_env(Path(checkpoints), parallelism, resume=resume)
    function = {"NaiveCounts": NaiveCounts, "KeptCounts": KeptCounts}[name]()
    stream = doc001_operator_state.build(env, function, rounds=400, rows_per_second=800 if pace else 0)
    stream.sink_to(file_sink(Path(output))).uid("out")
    return env.execute(name)


@pytest.mark.parametrize(("name", "keeps"), [("KeptCounts", True), ("NaiveCounts", False)])
def test_doc001_operator_state_survives_kill_and_rescaling_and_a_field_does_not(name, keeps, tmp_path):
    kill_once_checkpointed("run_counts", (name, str(tmp_path / "chk"), str(tmp_path / "out"), 1, True, False))
    run_counts(name, tmp_path / "chk", tmp_path / "out", 3, False, True)
    lines = [line.split() for line in lines_of(tmp_path / "out")]
    assert len(lines) == 1200
    last = {}
    for where, count in lines:
        if where.startswith("3:"):
            last[where] = max(int(count), last.get(where, 0))
    assert len(last) == 2  # of three subtasks: that is where the three keys go
    before = len([where for where, _ in lines if where == "1:0"])
    assert before > 0
    assert sum(last.values()) == (1200 if keeps else 1200 - before)


def test_doc000_state_synchronisation_broadcast_rule_updated_at_parallelism_3_is_seen_by_every_task():
    env = new_env(3)
    updates = []

    def readings():
        number = 0
        # Goes on until every task has been seen to use the second rule.
        while len(updates) < 3 and number < 100_000:
            yield number
            number += 1

    def watch(result):
        task, _, limit = result
        if limit == 20 and task not in updates:
            updates.append(task)
        return result

    rules = env.from_collection([("limit", 10), ("limit", 20)])
    got = collect(doc000_state_synchronisation.build(env.add_source(readings), rules).map(watch).set_parallelism(1))
    told = [(task, limit) for task, name, limit in got if name == "limit"]
    assert sorted(told) == [(task, limit) for task in range(3) for limit in (10, 20)]
    for task in range(3):
        limits = [limit for who, number, limit in got if who == task and number != "limit"]
        assert limits == sorted(limits)
    assert sorted({task for task, number, limit in got if number != "limit" and limit == 20}) == [0, 1, 2]


def test_doc002_exact_ten_second_sums():
    doc002_kafka.fill("input_topic", 60)
    rows = collect(doc002_kafka.build(new_env()))
    sums = {(r.key, r.window_start): r["sum"] for r in rows}
    assert sum(sums.values()) == 60
    want = {}
    for i in range(60):
        cell = ("abc"[i % 3], i // 10 * 10_000)
        want[cell] = want.get(cell, 0) + 1
    assert sums == want


def test_doc002_runs_under_its_unicode_name(capfd):
    doc002_kafka.main()
    assert capfd.readouterr().out.count("sum=") == 18


def test_doc002_formulas():
    by_h, by_groups = doc002_formulas.moved_when_growing(2)
    assert 0.6 < by_h < 0.72
    assert 0.3 < by_groups < 0.7
    assert [doc002_formulas.h(x, 3) for x in range(4)] == [1, 2, 3, 1]


def test_doc002_checkpoint_is_the_sum_of_its_states(tmp_path):
    manifest = doc002_formulas.checkpoint_manifest(str(tmp_path))
    assert (
        manifest["state_bytes"] == sum(s["state_bytes"] for o in manifest["operators"] for s in o["subtasks"]) > 100_000
    )


def test_doc004_grouping_prints_the_documents_groups(capfd):
    doc004_grouping.main()
    assert sorted(capfd.readouterr().out.splitlines()) == ["a: 1", "b: 2", "c: 3", "d: 4"]


@pytest.mark.parametrize("steps", ["five_steps", "four_steps", "recovery_steps"])
def test_lifecycles_of_the_documents(steps, tmp_path):
    told = getattr(doc_lifecycles, steps)(str(tmp_path / "steps"))
    assert len(told) == {"five_steps": 5, "four_steps": 4, "recovery_steps": 3}[steps]


def test_formulas_of_the_documents(tmp_path):
    values = doc_lifecycles.formulas(str(tmp_path / "formulas"))
    assert values["S"] > 8 * doc_lifecycles.KEYS
    assert values["P of the balances"] == 3
    assert values["C"] * values["T of compression"] == pytest.approx(values["S"])
    assert values["T of transfer"] == pytest.approx(values["D"] / doc_lifecycles.BUDGET_BYTES_PER_SECOND)


def test_every_example_has_a_main():
    directory = Path(doc002_formulas.__file__).parent
    for path in directory.glob("doc*.py"):
        assert callable(importlib.import_module(f"headrace.examples.{path.stem}").main)
