"""Checkpoints when some sources have ended already, and the last one, which commits what is left."""

import pytest

from headrace import (
    Count,
    KeyedProcessFunction,
    RestartStrategies,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of, new_env

SHORT, LONG = 500, 4000


class CountPerKey(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        yield f"{ctx.get_current_key()} {value[0]} {value[1]} {self.count.value()}"


def two_sources(env, output, rows_per_second=0):
    """A short and a long source into one keyed count; the short one also into a file and windows of its own."""
    short = env.from_collection([("short", i) for i in range(SHORT)]).name("short").uid("short")
    long = env.from_collection([("long", i) for i in range(LONG)], rows_per_second=rows_per_second)
    long = long.name("long").uid("long")
    short.map(lambda v: f"only {v[1]}", Types.STRING()).uid("copy").sink_to(file_sink(output / "short")).uid(
        "short files"
    )
    timed = short.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v[1])
    ).uid("time")
    windows = timed.key_by(lambda _: 0).window(TumblingEventTimeWindows.of(Time.milliseconds(100))).agg(n=Count())
    windows.uid("windows").sink_to(file_sink(output / "windows")).uid("window files")
    # Keys of their own, so that the order between the sources does not show in the counts.
    counted = short.union(long).uid("union").key_by(lambda v: (v[0], v[1] % 7)).process(CountPerKey(), Types.STRING())
    counted.uid("count").sink_to(file_sink(output / "both")).uid("both files")


def expected(tmp_path):
    env = new_env()
    two_sources(env, tmp_path / "expected")
    env.execute()
    return lines_of(tmp_path / "expected")


def newest_manifest(directory):
    return _core.load_manifest(str(max(directory.rglob("chk-*.manifest"))))


def short_has_ended_in(manifest):
    short = next(op for op in manifest["operators"] if op["operator_id"] == "short")
    return all(subtask["finished"] for subtask in short["subtasks"])


def run_until_short_has_ended_in_a_checkpoint(env, directory):
    client = env.execute_async("two")
    ended = False
    while not ended:
        assert not client.status().is_terminal_state()
        client._job.wait(5)
        done = [c["id"] for c in client.checkpoints() if c["completed"]]
        ended = len(done) >= 3 and short_has_ended_in(newest_manifest(directory))
    client.cancel().result()
    return done


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 3), (3, 1)])
def test_restored_job_reads_nothing_of_a_source_that_had_ended(tmp_path, before, after):
    env = checkpointed_env(tmp_path / "chk", before, interval="20 ms")
    two_sources(env, tmp_path / "out", rows_per_second=4000)
    done = run_until_short_has_ended_in_a_checkpoint(env, tmp_path / "chk")
    assert len(done) >= 3  # they went on after the short source had ended

    env = checkpointed_env(tmp_path / "chk", after, resume=True)
    two_sources(env, tmp_path / "out")
    result = env.execute("two")
    assert result.metrics.get("short.rows_read", 0) == 0
    assert 0 < result.metrics["long.rows_read"] < LONG
    assert lines_of(tmp_path / "out") == expected(tmp_path)


def test_files_of_a_part_that_has_ended_are_visible_while_the_rest_runs(tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    two_sources(env, tmp_path / "out", rows_per_second=4000)
    run_until_short_has_ended_in_a_checkpoint(env, tmp_path / "chk")
    assert lines_of(tmp_path / "out" / "short") == sorted(f"only {i}" for i in range(SHORT))
    assert len(lines_of(tmp_path / "out" / "windows")) == SHORT // 100
    assert len(lines_of(tmp_path / "out" / "both")) < SHORT + LONG


def test_final_checkpoint_commits_the_last_files(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2, interval="1 h")
    two_sources(env, tmp_path / "out")
    result = env.execute("final")
    assert [(c["final"], c["completed"]) for c in result.checkpoints] == [(True, True)]
    assert lines_of(tmp_path / "out") == expected(tmp_path)
    assert [p for p in (tmp_path / "out").rglob(".*")] == []
    manifest = newest_manifest(tmp_path / "chk")
    assert all(subtask["finished"] for op in manifest["operators"] for subtask in op["subtasks"])


def test_failure_after_a_source_has_ended_restarts_without_reading_it_again(tmp_path):
    failed = []

    def fail_once(value):
        if value == ("long", LONG - 1) and not failed:
            failed.append(value)
            raise RuntimeError("planned")
        return value

    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, "1 ms"))
    short = env.from_collection([("short", i) for i in range(SHORT)]).name("short")
    long = env.from_collection([("long", i) for i in range(LONG)], rows_per_second=8000).name("long")
    both = short.union(long.map(fail_once)).key_by(lambda v: (v[0], v[1] % 7)).process(CountPerKey(), Types.STRING())
    both.sink_to(file_sink(tmp_path / "out"))
    result = env.execute("again")
    assert result.recoveries[0]["checkpoint"] > 0
    assert result.metrics["short.rows_read"] == SHORT
    assert LONG < result.metrics["long.rows_read"] < 2 * LONG
    env = new_env()
    two_sources(env, tmp_path / "expected")
    env.execute()
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "expected" / "both")
