"""The adaptive checkpoint interval: what a user sets, what it decides in a real job, and a job that is killed."""

import itertools
import time
from pathlib import Path

import pytest

import headrace
from headrace import (
    Configuration,
    Count,
    IntervalEstimator,
    KeyedProcessFunction,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
)  # fmt: skip
from headrace.checkpoints import interval_decisions, list_checkpoints
from headrace.command_line import main
from python.fork_server import ForkServer
from python.streams import checkpointed_env, file_sink, lines_of

ROWS = 12_000  # more than three lives can read before they are killed

PROGRAM = """
import sys
from pathlib import Path
from python.test_adaptive_interval import adaptive_env, counting_job
env = adaptive_env(Path(sys.argv[1]))
counting_job(env, Path(sys.argv[2]), rows_per_second=3000)
print("started", flush=True)
env.execute("killed")
"""


class CountPerKey(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        yield f"{ctx.get_current_key()}:{self.count.value()}"


def adaptive_env(directory: Path, **options) -> StreamExecutionEnvironment:
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({
            "execution.checkpointing.dir": str(directory),
            "execution.state-recovery.path": "latest",
        })
    )  # fmt: skip
    # Failures are so frequent and the budget is so large that the interval stays short.
    given = {"min": "10 ms", "max": "2 s", "target_overhead": 0.5, "mean_time_between_failures": "2 s", **options}
    env.get_checkpoint_config().enable_adaptive_interval(**given)
    return env


def counting_job(env, output, rows_per_second=0):
    numbers = env.from_collection(range(ROWS), Types.LONG(), rows_per_second=rows_per_second).uid("numbers")
    numbers.key_by(lambda n: n % 7, Types.LONG()).process(CountPerKey(), Types.STRING()).uid("count").sink_to(
        file_sink(output)
    ).uid("files")


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("estimator", list(IntervalEstimator))
def test_each_decision_says_why_and_the_next_checkpoint_keeps_to_it(tmp_path, estimator):
    window = 3 if estimator is IntervalEstimator.SLIDING_WINDOW else "1 s"
    env = adaptive_env(tmp_path / "chk", estimator=estimator, window=window, max="200 ms")
    rows = env.from_sequence(0, 10**9, rows_per_second=20_000).map(lambda n: (n % 50_000, n))
    rows.key_by(lambda pair: pair[0], Types.LONG()).process(CountPerKey(), Types.STRING())
    client = env.execute_async("deciding")
    wait_for(lambda: sum(line["completed"] for line in client.checkpoints()) >= 12)
    interval_ms = client.metrics()["job.checkpoint_interval_ms"]
    client.cancel().result()
    lines = [line for line in client.checkpoints() if line["completed"]]
    assert 10 <= interval_ms <= 200
    for line in lines:
        decision = line["interval"]
        assert 10 <= decision["interval_ms"] <= 200
        assert decision["interval_ms"] >= decision["budget_ms"]
        assert decision["why"]
        assert decision["budget_rate"] > 0
        assert decision["recovery_ms"] is None
    for earlier, later in itertools.pairwise(lines):
        # The loop looks every 5 ms, and a wall clock in whole milliseconds may lose one.
        assert later["triggered_ms"] - earlier["triggered_ms"] >= earlier["interval"]["interval_ms"] - 1


def test_without_it_no_decision_is_made(tmp_path):
    env = StreamExecutionEnvironment.get_execution_environment(
        Configuration.from_dict({"execution.checkpointing.dir": str(tmp_path / "chk")})
    )
    env.enable_checkpointing("10 ms")
    env.from_sequence(0, 500, rows_per_second=5000).key_by(lambda n: n % 3).agg(n=Count())
    result = env.execute("fixed")
    assert {line["interval"] for line in result.checkpoints} == {None}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min": 5}, "10 ms <= min <= max, got 5 ms"),
        ({"min": "3 s", "max": "2 s"}, "got 3000 ms and 2000 ms"),
        ({"target_overhead": 0}, "target_overhead: must be above 0"),
        ({"target_overhead": 1.5}, "at most 1, got 1.5"),
        ({"window": 0}, "above 0"),
        ({"min": "soon"}, "min: 'soon' is not a length of time"),
    ],
)
def test_limits_that_make_no_sense_are_refused(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        adaptive_env(tmp_path, **options)


def test_a_killed_job_goes_on_with_an_adapted_interval(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    chk, out = tmp_path / "chk", tmp_path / "out"
    with ForkServer() as server:
        for life in range(3):
            before = len(lines_of(out)) if out.exists() else 0
            child = server.start(program, tmp_path / f"printed{life}", chk, out)
            child.wait_for_line("started")
            # Kill it once this life has committed rows of its own.
            wait_for(lambda before=before: out.exists() and len(lines_of(out)) > before + 200)
            child.send(9)
            assert child.wait(30) == -9, child.output()
    env = adaptive_env(chk)
    counting_job(env, out)
    result = env.execute("killed")
    assert any("resumed from checkpoint" in message for message in result.messages)
    assert result.metrics["Collection.rows_read"] < ROWS
    assert lines_of(out) == sorted(f"{key}:{n + 1}" for key in range(7) for n in range(len(range(key, ROWS, 7))))


@pytest.mark.parametrize("scheme", ["", "local://"], ids=["local", "remote"])
def test_decisions_are_listed_when_the_job_no_longer_runs(tmp_path, scheme, capsys):
    taken = []
    for _ in range(2):
        env = adaptive_env(f"{scheme}{tmp_path}/chk", max="200 ms")
        rows = env.from_sequence(0, 10**9, rows_per_second=20_000).map(lambda n: (n % 50_000, n))
        rows.key_by(lambda pair: pair[0], Types.LONG()).process(CountPerKey(), Types.STRING())
        client = env.execute_async("deciding")
        wait_for(lambda client=client: sum(line["completed"] for line in client.checkpoints()) >= 4)
        client.cancel().result()
        taken += [line for line in client.checkpoints() if line["completed"]]
    (directory,) = (tmp_path / "chk").iterdir()
    logged = interval_decisions(f"{scheme}{directory}")
    # The last checkpoint may have been decided while the job was being cancelled, unseen by its client.
    known = {line["id"]: line["interval"] for line in taken}
    assert len(logged) >= len(known) >= 8
    assert [one.checkpoint for one in logged] == sorted(one.checkpoint for one in logged)
    assert [one.run for one in logged] == sorted(one.run for one in logged)
    for one in logged:
        if one.checkpoint not in known:
            continue
        decision = known[one.checkpoint]
        assert (one.interval_ms, one.why, one.budget_ms) == (
            decision["interval_ms"], decision["why"], decision["budget_ms"],
        )  # fmt: skip
        assert one.change_rate == pytest.approx(decision["change_rate"], rel=1e-5)
        assert one.bytes == pytest.approx(next(line["bytes_written"] for line in taken if line["id"] == one.checkpoint))
    listed = list_checkpoints(f"{scheme}{directory}")
    assert {one.id: one.interval for one in listed} == {
        one.id: next((entry for entry in logged if entry.checkpoint == one.id), None) for one in listed
    }
    assert main(["checkpoint", "list", f"{scheme}{directory}", "--decisions", "3"]) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if logged[-1].why in line]
    assert 1 <= len(shown) <= 3
    (directory / "interval-decisions.jsonl").write_text(
        "cut o\n" + (directory / "interval-decisions.jsonl").read_text()
    )
    assert interval_decisions(directory) == logged
    assert headrace.verify_checkpoint(directory).ok


def test_interval_that_does_not_adapt_leaves_no_log(tmp_path):
    env = checkpointed_env(tmp_path)
    counting_job(env, tmp_path / "out")
    env.execute("fixed")
    assert list(tmp_path.rglob("interval-decisions*")) == []
    (directory,) = (path for path in tmp_path.iterdir() if path.name != "out")
    assert interval_decisions(directory) == []
    assert all(one.interval is None for one in list_checkpoints(directory))
