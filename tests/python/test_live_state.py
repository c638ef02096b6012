"""client.state(uid, name): state of a job that runs, and after its end; client.state_registry(); client.recoveries()."""

import logging

import duckdb
import pytest

import headrace
from headrace import (
    Count,
    FailedPreconditionError,
    InvalidArgumentError,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    RestartStrategies,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import TotalsOfPairs, checkpointed_env, collect, file_sink, lines_of, new_env

KEYS = 50
ROWS = 6000


class Keep(KeyedProcessFunction):
    """Per key: how many, the last, all modulo 7 and by modulo 3."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.last = runtime_context.get_state(ValueStateDescriptor("last"))
        self.items = runtime_context.get_list_state(ListStateDescriptor("items", Types.LONG()))
        self.pairs = runtime_context.get_map_state(MapStateDescriptor("pairs", Types.STRING(), Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.last.update((value, str(value)))
        self.items.add(value)
        self.pairs.put(str(value % 3), value)
        yield value


def keeping(env, rows_per_second=0, rows=ROWS):
    numbers = env.from_collection(range(rows), rows_per_second=rows_per_second).uid("numbers")
    kept = numbers.key_by(lambda n: f"key {n % KEYS}").process(Keep(), Types.LONG()).uid("keep").name("Keeper")
    kept.add_sink(lambda value: None).uid("sink")


def wait_for_rows(client, rows, source="Collection"):
    """Waits until a checkpoint is complete that was begun when `rows` had been read."""
    while client.metrics().get(f"{source}.rows_read", 0) < rows:
        assert not client.status().is_terminal_state()
    before = len(client.checkpoints())
    while sum(one["completed"] for one in client.checkpoints()[before + 1 :]) == 0:
        assert not client.status().is_terminal_state()


def expect_all(client, read):
    """Every state of every key is as after `read` rows."""
    for index in range(0, KEYS, 7):
        numbers = list(range(index, read, KEYS))
        key = f"key {index}"
        assert client.state("keep", "count")[key] == len(numbers)
        assert client.state("keep", "last")[key] == (numbers[-1], str(numbers[-1]))
        assert client.state("keep", "items")[key] == numbers
        assert client.state("keep", "pairs")[key] == {str(n % 3): n for n in numbers}


def test_state_of_a_running_job_is_of_one_moment(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=2, interval="20 ms")
    keeping(env, rows_per_second=2000)
    client = env.execute_async("live")
    wait_for_rows(client, KEYS)
    totals = []
    for _ in range(5):
        table = client.state("keep", "count").to_arrow()
        counts = dict(zip(table["key"].to_pylist(), table["value"].to_pylist(), strict=True))
        # A whole number of rows of the one source: no key is ahead of another.
        read = sum(counts.values())
        assert counts == {f"key {i}": len(range(i, read, KEYS)) for i in range(KEYS)}
        totals.append(read)
    assert totals == sorted(totals)
    wait_for_rows(client, totals[-1] + 100)
    later = duckdb.from_arrow(client.state("keep", "count").to_arrow()).sum("value").fetchall()[0][0]
    assert later > totals[-1]
    assert client.state("Keeper", "count")["key 3"] >= 1  # by name
    client.cancel().result()


def test_lookups_of_every_kind_of_state_while_it_runs_and_after_the_end(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=3, interval="20 ms")
    keeping(env, rows_per_second=6000)
    client = env.execute_async("live")
    wait_for_rows(client, KEYS)
    seen = client.state("keep", "items")["key 0"]
    assert seen == [n * KEYS for n in range(len(seen))]
    assert seen
    client.result()
    expect_all(client, ROWS)
    stored = headrace.read_checkpoint(tmp_path)["keep"]["items"].to_arrow()
    assert client.state("keep", "items").to_arrow().equals(stored)


def test_state_of_a_job_whose_checkpoints_are_remote(tmp_path):
    env = checkpointed_env(f"local://{tmp_path}/remote", parallelism=2, interval="20 ms")
    keeping(env, rows_per_second=6000)
    client = env.execute_async("live")
    wait_for_rows(client, KEYS)
    assert client.state("keep", "count")["key 0"] >= 1
    assert client.state("keep", "count").to_arrow().num_rows == KEYS
    client.result()
    expect_all(client, ROWS)


def test_what_is_not_there_is_named(tmp_path):
    env = checkpointed_env(tmp_path)
    keeping(env, rows=100)
    client = env.execute_async("live")
    client.result()
    state = client.state("keep", "count")
    with pytest.raises(KeyError, match="nobody"):
        state["nobody"]
    assert state.get("nobody", 7) == 7
    assert "key 1" in state
    assert "nobody" not in state
    with pytest.raises(KeyError, match="no state 'x'"):
        client.state("keep", "x")["key 1"]
    with pytest.raises(KeyError, match="no operator 'x'"):
        client.state("x", "count").to_arrow()
    with pytest.raises(InvalidArgumentError, match="key"):
        state[object()]
    with pytest.raises(AttributeError):
        state.update(1)
    with pytest.raises(TypeError, match="item assignment"):
        state["key 1"] = 1


def test_jobs_without_checkpoints_have_no_live_state():
    env = new_env()
    keeping(env, rows=10)
    client = env.execute_async("none")
    client.result()
    with pytest.raises(FailedPreconditionError, match=r"execution\.checkpointing\.dir"):
        client.state("keep", "count")


def test_state_of_windows_and_aggregates(tmp_path):
    env = checkpointed_env(tmp_path, interval="20 ms")
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda value, _: value)
    numbers = env.from_collection(range(4000), rows_per_second=2000).uid("n")
    pairs = numbers.assign_timestamps_and_watermarks(strategy).map(
        lambda n: (n % 7, n), Types.TUPLE([Types.LONG(), Types.LONG()])
    )
    window = TumblingEventTimeWindows.of(Time.milliseconds(100_000))
    pairs.key_by(lambda pair: pair[0]).window(window).aggregate(TotalsOfPairs()).uid("custom").add_sink(lambda v: None)
    pairs.key_by(0).window(window).agg(total=Sum("f1"), n=Count()).uid("native").add_sink(lambda v: None)
    client = env.execute_async("windows")
    wait_for_rows(client, 100)
    state = client.state("native", "window-slices")
    [(span, totals)] = state[3].items()
    assert span == (0, 100_000)
    read = totals["count"]
    assert totals["sum"] == sum(n * 7 + 3 for n in range(read))
    [(span, totals)] = client.state("custom", "window-contents")[3].items()
    assert span == (0, 100_000)
    assert totals == [sum(n * 7 + 3 for n in range(totals[1])), totals[1]]
    client.cancel().result()


# ---- the registry ----


def test_registry_shows_states_of_every_task_and_both_dictionaries(tmp_path):
    env = checkpointed_env(tmp_path, parallelism=3)
    keeping(env)
    client = env.execute_async("registry")
    client.result()
    registry = client.state_registry()
    assert registry.operators["Keeper"] == "keep"
    assert registry.operators["Collection"] == "numbers"
    counts = [line for line in registry.states("Keeper") if line["name"] == "count"]
    assert [line["subtask"] for line in counts] == [0, 1, 2]
    assert {line["fingerprint"] for line in counts} == {"value<int64>"}
    keys = [f"key {n}" for n in range(KEYS)]
    per_task = [sum(headrace.task_of(key, 3) == task for key in keys) for task in range(3)]
    assert [line["rows"] for line in counts] == per_task
    dictionaries = registry.key_dictionaries()
    assert [(line["operator"], line["subtask"], line["rows"]) for line in dictionaries] == [
        ("keep", task, rows) for task, rows in enumerate(per_task)
    ]
    assert all(line["bytes"] > 0 for line in dictionaries)
    assert registry.total_bytes == sum(line["bytes"] for line in registry)
    stored = headrace.read_checkpoint(tmp_path)["keep"].key_dictionary().to_arrow()
    assert len(stored) == sum(per_task)


def test_registry_of_a_job_without_checkpoints_is_as_of_its_end():
    env = new_env(2)
    keeping(env, rows=500)
    client = env.execute_async("registry")
    client.result()
    counts = [line["rows"] for line in client.state_registry().states("keep") if line["name"] == "count"]
    assert len(counts) == 2
    assert sum(counts) == KEYS


# ---- recoveries ----


def failing_job(env, output, fail_at, rows_per_second):
    left = set(fail_at)

    def fail(value):
        if value in left:
            left.remove(value)
            raise RuntimeError(f"planned failure at {value}")
        return value

    numbers = env.from_collection(range(ROWS), rows_per_second=rows_per_second).uid("numbers")
    mapped = numbers.map(fail, Types.LONG()).key_by(lambda n: n % KEYS).process(Keep(), Types.LONG()).uid("keep")
    mapped.map(str, Types.STRING()).sink_to(file_sink(output)).uid("files")


@pytest.mark.parametrize("interval", ["20 ms", "1 h"])
def test_recoveries_tell_what_was_read_again(tmp_path, caplog, interval):
    env = checkpointed_env(tmp_path / "chk", interval=interval)
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, "10 ms"))
    failing_job(env, tmp_path / "out", fail_at=[ROWS // 3, ROWS // 2], rows_per_second=12_000)
    with caplog.at_level(logging.WARNING, logger="headrace"):
        client = env.execute_async("recovering")
        result = client.result()
    assert lines_of(tmp_path / "out") == sorted(str(n) for n in range(ROWS))
    recoveries = client.recoveries()
    assert recoveries == result.recoveries
    assert len(recoveries) == 2
    for recovery, at in zip(recoveries, [ROWS // 3, ROWS // 2], strict=True):
        assert f"planned failure at {at}" in recovery["cause"]
        assert recovery["seconds"] == recovery["downtime_ms"] / 1000 >= 0.01
        assert recovery["rows_replayed"] > 0
        assert recovery["checkpoint"] <= (0 if interval == "1 h" else result.checkpoints[-1]["id"])
    # What the source counted beyond its rows is what was read again.
    read = result.metrics["Collection.rows_read"]
    assert read - ROWS == sum(recovery["rows_replayed"] for recovery in recoveries)
    logged = [record.getMessage() for record in caplog.records if record.name == "headrace"]
    assert len(logged) == 2
    for line, recovery in zip(logged, recoveries, strict=True):
        assert "job 'recovering' restarted from" in line
        assert f"{recovery['rows_replayed']} rows replayed" in line
        assert recovery["cause"] in line


def test_a_job_that_never_failed_has_no_recoveries():
    env = new_env()
    assert collect(env.from_elements(1, 2)) == [1, 2]
    keeping(env, rows=10)
    client = env.execute_async("calm")
    assert client.result().recoveries == client.recoveries() == []
