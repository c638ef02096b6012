"""Subtasks: each step has its own number of them, results do not depend on it, max parallelism bounds it."""

import random
from collections import defaultdict

import pyarrow as pa
import pytest

from headrace import (
    Count,
    KeyedProcessFunction,
    MapFunction,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
    key_group,
    task_of,
)  # fmt: skip
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

PARALLELISMS = [1, 2, 3, 5]
ROWS = 12_000
rng = random.Random(1)
ORDERS = [(f"user{rng.randrange(40)}", rng.randrange(100), i * 3 - rng.randrange(900)) for i in range(ROWS)]
BOUNDED = WatermarkStrategy.for_bounded_out_of_orderness("1 s")


class Where(MapFunction):
    """Each record with the subtask that saw it."""

    def open(self, runtime_context):
        self.subtask = runtime_context.get_index_of_this_subtask()
        self.parallelism = runtime_context.get_number_of_parallel_subtasks()

    def map(self, value):
        return value, self.subtask, self.parallelism


class KeyWhere(KeyedProcessFunction):
    def open(self, runtime_context):
        self.subtask = runtime_context.get_index_of_this_subtask()

    def process_element(self, value, ctx):
        yield ctx.get_current_key(), self.subtask


class RunningTotal(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, value, ctx):
        self.total.update((self.total.value() or 0) + value[1])
        yield ctx.get_current_key(), value[2], self.total.value()


def test_each_step_has_its_own_parallelism():
    env = new_env(2)
    stream = env.from_sequence(0, 9999).map(Where()).set_parallelism(3)
    got = collect(stream.map(lambda v: v).set_parallelism(1).map(lambda v: (v, 0)).set_parallelism(4))
    assert sorted(value for ((value, *_), _) in got) == list(range(10_000))
    assert {(subtask, parallelism) for ((_, subtask, parallelism), _) in got} == {(i, 3) for i in range(3)}


@pytest.mark.parametrize("parallelism", PARALLELISMS)
def test_keyed_results_and_their_order_are_the_same_at_every_parallelism(parallelism):
    totals, want = defaultdict(int), defaultdict(list)
    for user, amount, time in ORDERS:
        totals[user] += amount
        want[user].append((time, totals[user]))
    stream = new_env(parallelism).from_collection(ORDERS).key_by(lambda o: o[0]).process(RunningTotal())
    got = defaultdict(list)
    for user, time, total in collect(stream):
        got[user].append((time, total))
    assert got == want


@pytest.mark.parametrize("parallelism", PARALLELISMS)
@pytest.mark.parametrize("typed", [True, False], ids=["native", "python"])
def test_windows_are_the_same_at_every_parallelism(parallelism, typed):
    want = defaultdict(lambda: [0, 0])
    for user, amount, time in ORDERS:
        cell = want[user, time // 1000 * 1000]
        cell[0] += amount
        cell[1] += 1
    env = new_env(parallelism)
    if typed:
        columns = zip(*ORDERS, strict=True)
        table = pa.table(dict(zip(["user", "amount", "ts"], map(list, columns), strict=True)))
        keyed = env.from_arrow(table, timestamp="ts", watermark_strategy=BOUNDED).key_by("user")
        field = "amount"
    else:
        strategy = BOUNDED.with_timestamp_assigner(lambda o, _: o[2])
        keyed = env.from_collection(ORDERS).assign_timestamps_and_watermarks(strategy).key_by(lambda o: o[0])
        field = 1
    rows = collect(keyed.window(TumblingEventTimeWindows.of(Time.seconds(1))).agg(total=Sum(field), n=Count()))
    assert {(r[0], r.window_start): [r.total, r.n] for r in rows} == want
    assert len(rows) == len(want)


@pytest.mark.parametrize("parallelism", PARALLELISMS)
def test_a_key_is_where_its_key_group_says(parallelism):
    env = new_env(parallelism)
    env.set_max_parallelism(7)
    got = set(collect(env.from_collection(range(500)).key_by(lambda v: v).process(KeyWhere())))
    assert got == {(key, task_of(key, parallelism, 7)) for key in range(500)}
    assert {key_group(key, 7) for key in range(500)} == set(range(7))


def test_max_parallelism_of_a_step_overrules_that_of_the_environment():
    env = new_env(2)
    env.set_max_parallelism(50)
    stream = env.from_collection(range(300)).key_by(lambda v: v).process(KeyWhere()).set_max_parallelism(3)
    assert set(collect(stream)) == {(key, task_of(key, 2, 3)) for key in range(300)}


def test_parallelism_above_max_parallelism_is_refused_by_name():
    env = new_env()
    stream = env.from_sequence(0, 9).map(lambda v: v).name("wide").set_parallelism(5).set_max_parallelism(4)
    with pytest.raises(ValueError, match=r"operator 'wide': parallelism must be 1 to 4 \(its max parallelism\), not 5"):
        collect(stream)


@pytest.mark.parametrize("bad", [0, -3, 40_000])
def test_max_parallelism_out_of_range_is_refused(bad):
    with pytest.raises(ValueError, match="max_parallelism: must be an int from 1 to 32768"):
        new_env().set_max_parallelism(bad)
    with pytest.raises(ValueError, match="max_parallelism: must be an int from 1 to 32768"):
        new_env().from_sequence(0, 1).set_max_parallelism(bad)


def totals_job(env, output, rows_per_second=0):
    source = env.from_collection(ORDERS[:3000], rows_per_second=rows_per_second).uid("orders")
    totals = source.key_by(lambda o: o[0]).process(RunningTotal()).uid("totals")
    totals.sink_to(file_sink(output)).uid("files")


def test_checkpoint_of_another_max_parallelism_is_refused_and_rescaling_is_not(tmp_path):
    env = checkpointed_env(tmp_path / "chk", parallelism=2, interval="20 ms")
    env.set_max_parallelism(20)
    totals_job(env, tmp_path / "out", rows_per_second=4000)
    client = env.execute_async("scaled")
    while client.metrics().get("Collection.rows_read", 0) == 0:
        assert not client.status().is_terminal_state()
    before = len(client.checkpoints())
    while sum(c["completed"] for c in client.checkpoints()[before:]) < 2:
        assert not client.status().is_terminal_state()
        client._job.wait(5)
    client.cancel().result()

    env = checkpointed_env(tmp_path / "chk", parallelism=2, resume=True)
    env.set_max_parallelism(30)
    totals_job(env, tmp_path / "out")
    with pytest.raises(ValueError, match=r"uid totals\) has max parallelism 30.*taken with max parallelism 20"):
        env.execute("scaled")

    env = checkpointed_env(tmp_path / "chk", parallelism=5, resume=True)
    env.set_max_parallelism(20)
    totals_job(env, tmp_path / "out")
    assert env.execute("scaled").metrics["Collection.rows_read"] < 3000
    env = new_env()
    totals_job(env, tmp_path / "expected")
    env.execute()
    assert lines_of(tmp_path / "out") == lines_of(tmp_path / "expected")


def test_exchanges_deal_records_as_their_names_say():
    def subtasks_of(stream):
        return collect(stream.map(Where()).set_parallelism(3))

    one = new_env(1).from_collection(range(30_000))
    assert len({subtask for _, subtask, _ in subtasks_of(one.rebalance())}) == 3
    copies = subtasks_of(one.broadcast())
    assert len(copies) == 90_000
    assert {(value, subtask) for value, subtask, _ in copies} == {(v, s) for v in range(30_000) for s in range(3)}
    kept = new_env(3).from_sequence(0, 29_999).map(Where()).forward().map(Where())
    assert all(before == after for (_, before, _), after, _ in collect(kept))
    gathered = subtasks_of(new_env(3).from_sequence(0, 29_999).map(lambda v: v).global_())
    assert {subtask for _, subtask, _ in gathered} == {0}


def test_records_of_a_single_source_stay_in_order_up_to_the_first_exchange():
    env = new_env(3)
    numbers = env.from_collection(range(50_000))
    assert collect(numbers) == list(range(50_000))
    assert collect(numbers.union(env.from_collection([]))) == list(range(50_000))
