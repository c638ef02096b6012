"""Windows against plain loops and DuckDB."""

import random
from collections import defaultdict

import duckdb
import pyarrow as pa
import pytest

from headrace import (
    Avg,
    CollectList,
    Count,
    Max,
    Min,
    OutputTag,
    ProcessWindowFunction,
    SlidingEventTimeWindows,
    Sum,
    Time,
    TimeWindow,
    TumblingEventTimeWindows,
    Types,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import CountRows, TotalsOfPairs, collect, new_env


def events(rows=20_000, keys=50, disorder_ms=2000, seed=7):
    rng = random.Random(seed)
    ts = [i * 5 - rng.randrange(disorder_ms) for i in range(rows)]
    return pa.table({
        "key": pa.array([rng.randrange(keys) for _ in range(rows)], pa.int64()),
        "value": pa.array([rng.randrange(-1000, 1000) for _ in range(rows)], pa.int64()),
        "ts": pa.array(ts, pa.int64()),
    })  # fmt: skip


BOUNDED = WatermarkStrategy.for_bounded_out_of_orderness("2 s")


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_native_tumbling_windows_equal_duckdb(parallelism):
    table = rows_in = events()
    assert rows_in is table
    stream = new_env(parallelism).from_arrow(table, timestamp="ts", watermark_strategy=BOUNDED)
    got = (
        stream.key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(10)))
        .agg(total=Sum("value"), n=Count(), mean=Avg("value"), low=Min("value"), high=Max("value")).to_arrow()
    )  # fmt: skip
    want = duckdb.sql(
        "SELECT key, cast(floor(ts / 10000.0) * 10000 AS BIGINT) s, s + 10000, sum(value)::BIGINT, count(*), avg(value), "
        "min(value), max(value) FROM rows_in GROUP BY key, s"
    ).fetchall()
    assert got.column_names == ["key", "window_start", "window_end", "total", "n", "mean", "low", "high"]
    rows = list(zip(*(c.to_pylist() for c in got.columns), strict=True))
    assert sorted(rows) == sorted(want)


@pytest.mark.parametrize(("size", "slide", "offset"), [(10, 5, 0), (10, 4, 1), (7, 3, -2), (5, 10, 0)])
def test_native_sliding_windows_equal_a_plain_loop(size, slide, offset):
    table = events(5000)
    windows = SlidingEventTimeWindows.of(Time.seconds(size), Time.seconds(slide), Time.seconds(offset))
    stream = new_env().from_arrow(table, timestamp="ts", watermark_strategy=BOUNDED)
    got = stream.key_by("key").window(windows).agg(total=Sum("value"), n=Count()).to_arrow().to_pylist()
    want = defaultdict(lambda: [0, 0])
    for row in table.to_pylist():
        last = (row["ts"] - offset * 1000) // (slide * 1000) * slide * 1000 + offset * 1000
        start = last
        while start > row["ts"] - size * 1000:
            cell = want[row["key"], start]
            cell[0] += row["value"]
            cell[1] += 1
            start -= slide * 1000
    assert {(r["key"], r["window_start"]): [r["total"], r["n"]] for r in got} == dict(want)
    assert len(got) == len(want)


class MeanOfPairs(TotalsOfPairs):
    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]


class WithBounds(ProcessWindowFunction):
    def process(self, key, context, elements):
        window = context.window()
        assert isinstance(window, TimeWindow)
        yield key, window.start, window.end, list(elements)


def timed(env, data):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v[2])
    return env.from_collection(data).assign_timestamps_and_watermarks(strategy)


DATA = [("a", 1, 0), ("b", 2, 400), ("a", 3, 999), ("a", 10, 1000), ("b", 4, 2500), ("a", 5, 2600)]
ONE_SECOND = TumblingEventTimeWindows.of(Time.seconds(1))


@pytest.mark.parametrize("parallelism", [1, 2])
def test_python_aggregate_function_with_process_function(parallelism):
    keyed = timed(new_env(parallelism), DATA).key_by(lambda v: v[0])
    got = sorted(collect(keyed.window(ONE_SECOND).aggregate(MeanOfPairs(), WithBounds())))
    assert got == [("a", 0, 1000, [2.0]), ("a", 1000, 2000, [10.0]), ("a", 2000, 3000, [5.0]),
                   ("b", 0, 1000, [2.0]), ("b", 2000, 3000, [4.0])]  # fmt: skip


def test_process_window_function_sees_all_elements():
    got = sorted(collect(timed(new_env(), DATA).key_by(lambda v: v[0]).window(ONE_SECOND).process(WithBounds())))
    assert got[0] == ("a", 0, 1000, [("a", 1, 0), ("a", 3, 999)])
    assert len(got) == 5


def test_window_reduce():
    keyed = timed(new_env(), DATA).key_by(lambda v: v[0])
    got = sorted(collect(keyed.window(ONE_SECOND).reduce(lambda x, y: (x[0], x[1] + y[1], y[2]))))
    assert got == [("a", 4, 999), ("a", 5, 2600), ("a", 10, 1000), ("b", 2, 400), ("b", 4, 2500)]


def test_builtin_aggregates_over_opaque_records_give_rows():
    keyed = timed(new_env(), DATA).key_by(lambda v: v[0])
    got = collect(keyed.window(ONE_SECOND).agg(total=Sum(1), all=CollectList(1)))
    first = next(r for r in got if (r.key, r.window_start) == ("a", 0))
    assert first.as_dict() == {"key": "a", "window_start": 0, "window_end": 1000, "total": 4, "all": [1, 3]}


def test_document_002_form_of_aggregate():
    keyed = timed(new_env(), [("a", 1, 5), ("a", 1, 7)]).map(lambda v: (v[0], 1)).key_by(lambda v: v[0])
    (row,) = collect(keyed.window(ONE_SECOND).aggregate(Sum(), "sum"))
    assert (row.key, row["sum"]) == ("a", 2)


def test_window_on_a_stream_without_keys_holds_all():
    got = collect(timed(new_env(2), DATA).window(ONE_SECOND).agg(n=Count()))
    assert sorted((r.window_start, r.n) for r in got) == [(0, 3), (1000, 1), (2000, 2)]


@pytest.mark.parametrize("native", [True, False])
def test_late_rows_go_to_the_side_output_and_are_counted(native):
    late = OutputTag("late")
    ts = [*list(range(0, 30000, 10)), 5, *list(range(30000, 40000, 10))]
    table = pa.table({"key": ["k"] * len(ts), "ts": pa.array(ts, pa.int64())})
    env = new_env()
    strategy = WatermarkStrategy.for_monotonous_timestamps()
    stream = env.from_arrow(table, timestamp="ts", watermark_strategy=strategy)
    window = stream.key_by("key").window(ONE_SECOND).side_output_late_data(late)
    counted = window.agg(n=Count()) if native else window.aggregate(CountRows(), output_type=Types.LONG())
    side = counted.get_side_output(late).map(lambda r: ("late", r.ts))
    got = collect(counted.map(lambda r: ("window", r.n if native else r)).union(side))
    assert [r for r in got if r[0] == "late"] == [("late", 5)]
    assert sum(n for kind, n in got if kind == "window") == len(ts) - 1


def test_allowed_lateness_fires_again_with_the_accumulated_result():
    ts = [*list(range(0, 20480, 10)), 500, *list(range(20480, 30000, 10))]
    table = pa.table({"key": ["k"] * len(ts), "ts": pa.array(ts, pa.int64())})
    stream = new_env().from_arrow(
        table, timestamp="ts", watermark_strategy=WatermarkStrategy.for_monotonous_timestamps()
    )
    window = stream.key_by("key").window(ONE_SECOND).allowed_lateness("1 min")
    got = [r for r in window.agg(n=Count()).to_arrow().to_pylist() if r["window_start"] == 0]
    assert [r["n"] for r in got] == [100, 101]


@pytest.mark.parametrize("size", [0, -5])
def test_sizes_that_are_not_positive_are_refused(size):
    with pytest.raises(ValueError, match="window size"):
        TumblingEventTimeWindows.of(Time.seconds(size))


def test_windows_without_event_time_say_what_to_do():
    stream = new_env().from_collection([("a", 1)], Types.TUPLE([Types.STRING(), Types.LONG()]))
    with pytest.raises(Exception, match="assign_timestamps_and_watermarks"):
        stream.key_by(0).window(ONE_SECOND).agg(n=Count()).to_arrow()
