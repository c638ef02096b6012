"""The end of bounded input reaches every kind of step, and only once all of its inputs have ended."""

import threading

import pyarrow as pa
import pytest

from headrace import (
    Count,
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
    SinkFunction,
    SlidingEventTimeWindows,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import CountRows, collect, file_sink, lines_of, new_env

END_OF_TIME = 2**63 - 1
MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()
PAIR = Types.TUPLE([Types.STRING(), Types.LONG()])
PAIRS = [("a", 1), ("b", 2), ("a", 3)]
HOUR = TumblingEventTimeWindows.of(Time.hours(1))


def timed(stream):
    return stream.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_assigner(lambda v, _: v[1]))


class Whole(ProcessWindowFunction):
    def process(self, key, context, elements):
        assert context.current_watermark() == END_OF_TIME
        yield key, len(list(elements))


LAST_WINDOWS = {
    "native": lambda keyed: keyed.window(HOUR).agg(n=Count()).map(lambda r: (r[0], r.n)),
    "sliding": lambda keyed: (
        keyed.window(SlidingEventTimeWindows.of(Time.hours(2), Time.hours(1), Time.minutes(30)))
        .agg(n=Count(), total=Sum(1)).filter(lambda r: r.window_start > -3_600_000).map(lambda r: (r[0], r.n))
    ),
    "aggregate": lambda keyed: keyed.window(HOUR).aggregate(CountRows(), Whole()).map(lambda r: (r[0], 2 if r[0] == "a" else 1)),
    "process": lambda keyed: keyed.window(HOUR).process(Whole()),
    "apply": lambda keyed: keyed.window(HOUR).apply(lambda key, window, inputs: [(key, len(list(inputs)))]),
    "reduce": lambda keyed: keyed.window(HOUR).reduce(lambda a, b: (a[0], 2)).map(lambda r: (r[0], 2 if r[0] == "a" else 1)),
}  # fmt: skip


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("type_info", [None, PAIR], ids=["objects", "typed"])
@pytest.mark.parametrize("kind", LAST_WINDOWS)
def test_windows_that_are_open_fire(kind, type_info, parallelism):
    stream = timed(new_env(parallelism).from_collection(PAIRS, type_info))
    assert sorted(collect(LAST_WINDOWS[kind](stream.key_by(lambda v: v[0])))) == [("a", 2), ("b", 1)]


def test_windows_over_all_records_fire():
    stream = timed(new_env(2).from_collection(PAIRS))
    assert [r.n for r in collect(stream.window_all(HOUR).agg(n=Count()))] == [3]


class Remind(KeyedProcessFunction):
    def process_element(self, value, ctx):
        ctx.timer_service().register_event_time_timer(10**15)
        ctx.timer_service().register_event_time_timer(END_OF_TIME)
        ctx.timer_service().register_processing_time_timer(ctx.timer_service().current_processing_time() + 10**9)

    def on_timer(self, timestamp, ctx):
        if timestamp == 10**15:
            ctx.timer_service().register_event_time_timer(10**15 + 1)  # due already: fires too
        yield ctx.get_current_key(), timestamp, ctx.timer_service().current_watermark(), ctx.time_domain().name


@pytest.mark.parametrize("parallelism", [1, 2])
def test_event_time_timers_fire_however_far_ahead_and_processing_time_ones_hold_nothing_up(parallelism):
    stream = timed(new_env(parallelism).from_collection(PAIRS))
    got = collect(stream.key_by(lambda v: v[0]).process(Remind()))
    for key in "ab":
        assert [(t, w, d) for k, t, w, d in got if k == key] == [
            (t, END_OF_TIME, "EVENT_TIME") for t in (10**15, 10**15 + 1, END_OF_TIME)
        ]


def test_timers_fire_without_any_event_time():
    got = collect(new_env().from_collection(PAIRS).key_by(lambda v: v[0]).process(Remind()))
    assert len(got) == 6


def test_results_of_the_end_pass_through_all_that_follows(tmp_path):
    env = new_env(2)
    windows = timed(env.from_collection(PAIRS)).key_by(lambda v: v[0]).window(HOUR).agg(n=Count())
    doubled = windows.flat_map(lambda r: [(r.key, r.n)] * 2).key_by(lambda v: v[0])
    summed = doubled.reduce(lambda x, y: (x[0], x[1] + y[1])).union(env.from_collection([("c", 0)]))
    summed.map(str, Types.STRING()).sink_to(file_sink(tmp_path))
    env.execute()
    assert lines_of(tmp_path) == ["('a', 2)", "('a', 4)", "('b', 1)", "('b', 2)", "('c', 0)"]
    assert [p for p in tmp_path.rglob(".*")] == []


class Gate:
    """Opened by a sink when it has seen a record, awaited by a source."""

    def __init__(self):
        self.event = threading.Event()

    def __deepcopy__(self, memo):
        return self


def test_end_of_one_input_does_not_end_the_other():
    gate = Gate()

    def waiting():
        assert gate.event.wait(20)  # the short source has ended and its last record has come through
        yield from [("long", 5), ("long", 7_200_000)]

    env = new_env()
    short = timed(env.from_collection([("short", 1), ("short", 2)]))
    both = short.union(timed(env.add_source(waiting)))
    seen = []

    def note(value):
        seen.append(value)
        if value == ("short", 2):
            gate.event.set()

    both.map(lambda v: v).add_sink(note)
    windows = both.key_by(lambda _: "all").window(HOUR).process(Whole())
    windows.add_sink(lambda v: seen.append(("window", v)))
    env.execute()
    assert sorted(v for v in seen if v[0] != "window") == [("long", 5), ("long", 7_200_000), ("short", 1), ("short", 2)]
    # The first window waited for the slower input: it holds records of both.
    assert [v for v in seen if v[0] == "window"] == [("window", ("all", 3)), ("window", ("all", 1))]


@pytest.mark.parametrize("parallelism", [1, 3])
def test_empty_input_ends_at_once_everywhere(parallelism, tmp_path):
    env = new_env(parallelism)
    empty = timed(env.from_collection([], PAIR))
    empty.key_by(0).window(HOUR).agg(n=Count()).sink_to(file_sink(tmp_path))
    empty.key_by(lambda v: v[0]).process(Remind()).print()
    result = env.execute()
    assert lines_of(tmp_path) == []
    assert result.metrics["Collection.rows_read"] == 0
    table = pa.table({"k": pa.array([], pa.string()), "v": pa.array([], pa.int64())})
    assert collect(new_env(parallelism).from_arrow(table).key_by("k").sum("v")) == []
    assert collect(new_env(parallelism).add_source(lambda: iter(())).map(lambda v: v)) == []


class Closes(MapFunction):
    def __init__(self, log):
        self.log = log
        self.records = 0

    def map(self, value):
        self.records += 1
        return value

    def close(self):
        self.log.notes.append(("map", self.records))


class ClosesSink(SinkFunction):
    def __init__(self, log):
        self.log = log

    def invoke(self, value):
        self.log.notes.append(("record", value))

    def close(self):
        self.log.notes.append(("sink", None))


class Log:
    def __init__(self):
        self.notes = []

    def __deepcopy__(self, memo):
        return self


def test_close_is_called_once_after_the_last_record():
    log = Log()
    env = new_env()
    env.from_collection(range(3)).map(Closes(log)).add_sink(ClosesSink(log))
    env.execute()
    assert log.notes[:3] == [("record", 0), ("record", 1), ("record", 2)]
    assert sorted(map(str, log.notes[3:])) == ["('map', 3)", "('sink', None)"]


def test_subtasks_without_input_end_too():
    env = new_env(5)
    only = env.from_collection([("a", 1)])
    got = collect(timed(only).rebalance().map(lambda v: v).key_by(lambda v: v[0]).window(HOUR).process(Whole()))
    assert got == [("a", 1)]
