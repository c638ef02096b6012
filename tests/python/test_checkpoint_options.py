"""Options of checkpoints: PyFlink's setters, Flink's keys, and what they do to a running job."""

import itertools
import time

import pytest

from headrace import (
    CheckpointingMode,
    Configuration,
    ExternalizedCheckpointRetention,
    HeadraceError,
    StreamExecutionEnvironment,
    Types,
)  # fmt: skip
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env


def manifests(directory):
    return sorted(directory.rglob("chk-*.manifest"))


def start_endless(env, output, rows_per_second=500):
    numbers = env.from_sequence(0, 10**9, rows_per_second=rows_per_second)
    numbers.map(str, Types.STRING()).sink_to(file_sink(output))
    return env.execute_async("endless")


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def completed(client):
    return [line for line in client.checkpoints() if line["completed"]]


def test_options_have_flinks_keys_and_pyflinks_setters():
    keys = {
        "execution.checkpointing.interval": "10 s",
        "execution.checkpointing.mode": "AT_LEAST_ONCE",
        "execution.checkpointing.timeout": "1 min",
        "execution.checkpointing.min-pause": "5s",
        "execution.checkpointing.max-concurrent-checkpoints": 1,
        "execution.checkpointing.tolerable-failed-checkpoints": 3,
        "execution.checkpointing.num-retained": 4,
        "execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION",
        "execution.checkpointing.savepoint-dir": "/savepoints",
    }
    by_key = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(keys))
    by_setter = StreamExecutionEnvironment.get_execution_environment()
    by_setter.enable_checkpointing(10_000, CheckpointingMode.AT_LEAST_ONCE)
    by_setter.set_default_savepoint_directory("/savepoints")
    config = by_setter.get_checkpoint_config()
    config.set_checkpoint_timeout(60_000).set_min_pause_between_checkpoints(5000)
    config.set_max_concurrent_checkpoints(1).set_tolerable_checkpoint_failure_number(3)
    config.set_num_retained_checkpoints(4)
    config.set_externalized_checkpoint_retention(ExternalizedCheckpointRetention.DELETE_ON_CANCELLATION)
    assert by_setter._checkpoint_config._describe() == by_key._checkpoint_config._describe()
    assert by_key._checkpoint_config._describe() == {
        "checkpoint_interval_ms": 10_000, "checkpoint_timeout_ms": 60_000, "checkpoint_min_pause_ms": 5000,
        "tolerable_checkpoint_failures": 3, "at_least_once": True, "retained_checkpoints": 4,
        "checkpoint_retention": "on_failure",
    }  # fmt: skip
    assert by_setter.get_default_savepoint_directory() == by_key.get_default_savepoint_directory() == "/savepoints"
    assert by_key.get_checkpointing_consistency_mode() is CheckpointingMode.AT_LEAST_ONCE


def test_defaults_are_flinks_but_for_retention():
    config = StreamExecutionEnvironment.get_execution_environment().get_checkpoint_config()
    assert config.get_checkpoint_timeout() == 600_000
    assert config.get_min_pause_between_checkpoints() == 0
    assert config.get_max_concurrent_checkpoints() == 1
    assert config.get_tolerable_checkpoint_failure_number() == 0
    assert config.is_fail_on_checkpointing_errors()
    assert config.get_num_retained_checkpoints() == 1
    assert config.get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert config.get_externalized_checkpoint_retention() is ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION
    assert config.is_externalized_checkpoints_enabled()
    assert not config.is_unaligned_checkpoints_enabled()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "execution.checkpointing.max-concurrent-checkpoints",
            2,
            r"max-concurrent-checkpoints: must be 1, got 2: a table",
        ),
        ("execution.checkpointing.num-retained", 0, "num-retained: must be at least 1, got 0"),
        ("execution.checkpointing.externalized-checkpoint-retention", "KEEP", "'KEEP' is unknown; use one of DELETE"),
        ("execution.checkpointing.unaligned.enabled", True, "unaligned checkpoints are not built yet"),
    ],
)
def test_what_cannot_be_is_refused_by_name(key, value, says):
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict({key: value}))
    env.from_elements(1)
    with pytest.raises(ValueError, match=says):
        env.execute()


def test_setters_refuse_at_once():
    config = StreamExecutionEnvironment.get_execution_environment().get_checkpoint_config()
    with pytest.raises(ValueError, match="must be 1, got 3"):
        config.set_max_concurrent_checkpoints(3)
    with pytest.raises(ValueError, match="unaligned"):
        config.enable_unaligned_checkpoints()
    with pytest.raises(ValueError, match="must be at least 1"):
        config.set_num_retained_checkpoints(0)
    config.disable_unaligned_checkpoints()


def test_retained_checkpoints_are_kept(tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="10 ms")
    env.get_checkpoint_config().set_num_retained_checkpoints(5)
    client = start_endless(env, tmp_path / "out")
    wait_until(lambda: len(completed(client)) >= 9)
    client.cancel().result()
    assert len(manifests(tmp_path / "chk")) == 5


@pytest.mark.parametrize(
    ("retention", "after_cancel", "after_end"),
    [("RETAIN_ON_CANCELLATION", True, True), ("DELETE_ON_CANCELLATION", False, True),
     ("NO_EXTERNALIZED_CHECKPOINTS", False, False)],
)  # fmt: skip
def test_retention_decides_what_outlives_the_job(tmp_path, retention, after_cancel, after_end):
    def env_of(directory):
        env = checkpointed_env(directory, interval="10 ms")
        chosen = ExternalizedCheckpointRetention[retention]
        env.get_checkpoint_config().set_externalized_checkpoint_retention(chosen)
        return env

    client = start_endless(env_of(tmp_path / "cancelled"), tmp_path / "out")
    wait_until(lambda: len(completed(client)) >= 2)
    (tmp_path / "cancelled" / "mine.txt").write_text("kept")
    client.cancel().result()
    if after_cancel:
        assert manifests(tmp_path / "cancelled")
    else:
        # Gone when the last write that was on its way has let the directory go.
        wait_until(lambda: not manifests(tmp_path / "cancelled") and not [*(tmp_path / "cancelled").rglob("*.hrs")])
    assert (tmp_path / "cancelled" / "mine.txt").exists()

    env = env_of(tmp_path / "ended")
    env.from_sequence(1, 100).map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out2"))
    env.execute("ending")
    assert bool(manifests(tmp_path / "ended")) is after_end
    assert len(lines_of(tmp_path / "out2")) == 100


def test_a_failed_job_keeps_its_checkpoints_unless_none_shall_outlive_it(tmp_path):
    for retention in ("DELETE_ON_CANCELLATION", "NO_EXTERNALIZED_CHECKPOINTS"):
        env = checkpointed_env(tmp_path / retention, interval="10 ms")
        chosen = ExternalizedCheckpointRetention[retention]
        env.get_checkpoint_config().set_externalized_checkpoint_retention(chosen)
        env.from_sequence(0, 100, rows_per_second=300).map(lambda n: 1 // (90 - n)).print()
        with pytest.raises(HeadraceError):
            env.execute("failing")
        if retention == "DELETE_ON_CANCELLATION":
            assert manifests(tmp_path / retention)
        else:
            # Gone when the last write that was on its way has let the directory go.
            wait_until(lambda: not manifests(tmp_path / "NO_EXTERNALIZED_CHECKPOINTS"))


def test_the_interval_changes_while_the_job_runs(tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="1 h")
    client = start_endless(env, tmp_path / "out")
    try:
        client.set_checkpoint_interval("10 ms")
        wait_until(lambda: len(completed(client)) >= 3)
        client.set_checkpoint_interval(None)
        wait_until(lambda: not client._job.checkpoints() or client._job.checkpoints()[-1]["completed"])
        with pytest.raises(ValueError, match="at least 10 ms, got 5 ms"):
            client.set_checkpoint_interval(5)
    finally:
        client.cancel().result()


def test_min_pause_spaces_checkpoints(tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="10 ms")
    env.get_checkpoint_config().set_min_pause_between_checkpoints("150 ms")
    client = start_endless(env, tmp_path / "out")
    wait_until(lambda: len(completed(client)) >= 4)
    client.cancel().result()
    lines = completed(client)[:4]
    for earlier, later in itertools.pairwise(lines):
        # Wall times in whole milliseconds: one may be lost to rounding at each end.
        assert later["triggered_ms"] - earlier["triggered_ms"] - earlier["duration_ms"] >= 148


def test_at_least_once_loses_nothing_and_runs_sources_without_position(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2, interval="10 ms")
    env.get_checkpoint_config().set_checkpointing_mode(CheckpointingMode.AT_LEAST_ONCE)
    left = env.from_sequence(1, 2000, rows_per_second=4000)
    right = env.add_source(iter(range(2001, 3001)), type_info=Types.LONG())
    counted = left.union(right).map(lambda n: (n % 7, 1), Types.TUPLE([Types.LONG(), Types.LONG()]))
    counted.map(str, Types.STRING()).sink_to(file_sink(tmp_path / "out"))
    result = env.execute("at least once")
    assert len(lines_of(tmp_path / "out")) == 3000
    assert any(line["completed"] for line in result.checkpoints)


def test_a_job_without_checkpoints_is_as_before():
    assert collect(new_env().from_elements(1, 2)) == [1, 2]
