"""Event time: how strategies read it, where it stands after which row, and what a silent source does to it."""

import datetime
import random
import threading
from collections import defaultdict

import pyarrow as pa
import pytest

from headrace import (
    Count,
    Duration,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    SourceFunction,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import collect, new_env

BEFORE_ALL = -(2**63)
STRIDE = 1024  # rows between two watermarks of a source that is not slowed down
WAIT_SECONDS = 20
MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


class SeeTime(ProcessFunction):
    """Each record with its event time and the watermark before it."""

    def process_element(self, value, ctx):
        yield value, ctx.timestamp(), ctx.timer_service().current_watermark()


def seen_times(stream):
    return collect(stream.process(SeeTime()))


@pytest.mark.parametrize(("strategy", "behind"), [
    (MONOTONOUS, 1),
    (WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(3)), 3001),
    (WatermarkStrategy.for_bounded_out_of_orderness("3 s"), 3001),
    (WatermarkStrategy.for_bounded_out_of_orderness(datetime.timedelta(seconds=3)), 3001),
])  # fmt: skip
def test_watermark_stands_behind_the_largest_time_of_every_stride(strategy, behind):
    rng = random.Random(5)
    times = [i * 10 - rng.randrange(3000) for i in range(5000)]
    stream = new_env().from_collection(times)
    stream = stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(lambda v, _: v))
    want, watermark = [], BEFORE_ALL
    for row, time in enumerate(times):
        want.append((time, time, watermark))
        if (row + 1) % STRIDE == 0:
            watermark = max(times[: row + 1]) - behind
    assert seen_times(stream) == want


def test_without_watermarks_time_stands_still_until_the_end():
    class AtTheEnd(KeyedProcessFunction):
        def process_element(self, value, ctx):
            ctx.timer_service().register_event_time_timer(value)
            yield ctx.timer_service().current_watermark()

        def on_timer(self, timestamp, ctx):
            yield "fired"

    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(lambda v, _: v)
    stream = new_env().from_collection(range(3000)).assign_timestamps_and_watermarks(strategy)
    got = collect(stream.key_by(lambda _: 0).process(AtTheEnd()))
    assert got == [BEFORE_ALL] * 3000 + ["fired"] * 3000


class SecondField(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


@pytest.mark.parametrize("type_info", [None, Types.TUPLE([Types.STRING(), Types.LONG()])])
@pytest.mark.parametrize("assigner", [SecondField(), lambda value, _: value[1]])
def test_assigner_is_an_object_or_a_function(assigner, type_info):
    stream = new_env().from_collection([("a", 30), ("b", 10)], type_info)
    stream = stream.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_assigner(assigner))
    assert [time for _, time, _ in seen_times(stream)] == [30, 10]


def test_assigner_is_told_what_the_source_attached():
    class Timed(SourceFunction):
        def run(self, ctx):
            ctx.collect_with_timestamp("timed", 70)
            ctx.collect("untimed")

    stream = new_env().add_source(Timed())
    strategy = MONOTONOUS.with_timestamp_assigner(lambda _, attached: attached + 1 if attached >= 0 else 5)
    assert seen_times(stream) == [("timed", 70, BEFORE_ALL), ("untimed", None, BEFORE_ALL)]
    stream = new_env().add_source(Timed()).assign_timestamps_and_watermarks(strategy)
    assert [time for _, time, _ in seen_times(stream)] == [71, 5]


@pytest.mark.parametrize("field", ["ts", 1])
def test_field_of_typed_rows_is_event_time(field):
    noon = datetime.datetime(2024, 1, 1, 12)
    epoch_ms = 1_704_110_400_000
    for column in (pa.array([epoch_ms], pa.int64()), pa.array([noon], pa.timestamp("us"))):
        stream = new_env().from_arrow(pa.table({"v": [1], "ts": column}))
        stream = stream.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field(field))
        assert [time for _, time, _ in seen_times(stream)] == [epoch_ms]
    stream = new_env().from_arrow(pa.table({"v": [1], "ts": [epoch_ms]}), timestamp="ts")
    assert [time for _, time, _ in seen_times(stream)] == [epoch_ms]


def test_field_of_dicts_is_event_time():
    stream = new_env().from_collection([{"ts": 7}, {"ts": 9}])
    stream = stream.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("ts"))
    assert [time for _, time, _ in seen_times(stream)] == [7, 9]


def test_field_that_is_not_there_is_named():
    typed = new_env().from_arrow(pa.table({"v": [1]}))
    with pytest.raises(ValueError, match=r"'ts'.*v"):
        typed.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("ts"))
    dicts = new_env().from_collection([{"v": 1}])
    dicts = dicts.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_field("ts"))
    with pytest.raises(Exception, match=r"Timestamps.*no field 'ts' in \{'v': 1\}"):
        collect(dicts)


def test_time_that_is_no_int_is_refused_with_the_record():
    stream = new_env().from_collection(["x"])
    stream = stream.assign_timestamps_and_watermarks(MONOTONOUS.with_timestamp_assigner(lambda *_: "noon"))
    with pytest.raises(Exception, match=r"Timestamps.*must return event time as an int \(ms\), got 'noon'.*'x'"):
        collect(stream)


@pytest.mark.parametrize("native", [True, False])
def test_rows_are_late_by_the_watermark_of_their_stride(native):
    rng = random.Random(11)
    times = [i * 5 - rng.randrange(4000) for i in range(6000)]
    on_time, late, watermark = defaultdict(int), [], BEFORE_ALL
    for row, time in enumerate(times):
        start = time // 1000 * 1000
        if start + 999 <= watermark:
            late.append(time)
        else:
            on_time[start] += 1
        if (row + 1) % STRIDE == 0:
            watermark = max(times[: row + 1]) - 1500 - 1
    assert len(late) > 50
    table = pa.table({"key": ["k"] * len(times), "ts": times})
    strategy = WatermarkStrategy.for_bounded_out_of_orderness("1500 ms")
    tag = OutputTag("late")
    stream = new_env().from_arrow(table)
    if not native:
        stream = stream.map(lambda row: row)
    stream = stream.assign_timestamps_and_watermarks(strategy.with_timestamp_field("ts"))
    windows = stream.key_by("key").window(TumblingEventTimeWindows.of(Time.seconds(1))).side_output_late_data(tag)
    counts = windows.agg(n=Count())
    got = collect(counts.map(lambda r: (r.window_start, r.n)).union(counts.get_side_output(tag).map(lambda r: r.ts)))
    assert [g for g in got if isinstance(g, int)] == late
    assert dict(g for g in got if isinstance(g, tuple)) == on_time


# ---- live and slow sources: what is known of them while a test runs


class Stage:
    """Signals between a test, its sources and its sinks, which live on other threads."""

    def __init__(self):
        self.fired = threading.Event()
        self.may_end = threading.Event()
        self.windows = []

    def on_window(self, row):
        self.windows.append(row)
        self.fired.set()

    def __deepcopy__(self, memo):
        return self  # one stage for all subtasks


class Silent(SourceFunction):
    """Gives `records`, then nothing until the stage says so."""

    def __init__(self, stage, records=()):
        self.stage, self.records = stage, records

    def run(self, ctx):
        for record in self.records:
            ctx.collect(record)
        self.stage.may_end.wait(2 * WAIT_SECONDS)

    def cancel(self):
        self.stage.may_end.set()


def start_and_wait_for_a_window(env, stage):
    """Whether a window fired while the job ran, and the job's numbers then."""
    client = env.execute_async()
    fired = stage.fired.wait(WAIT_SECONDS)
    numbers = client.metrics()
    stage.may_end.set()
    client.cancel().result()
    return fired, numbers


def count_in_windows(stream, stage, size):
    windows = stream.key_by(lambda _: 0).window(TumblingEventTimeWindows.of(size))
    windows.agg(n=Count()).add_sink(stage.on_window)


def timed(stream, strategy=MONOTONOUS):
    return stream.assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(lambda v, _: v))


@pytest.mark.parametrize("parallelism", [1, 2])
def test_idle_source_does_not_hold_the_windows_back(parallelism):
    stage = Stage()
    env = new_env(parallelism)
    silent = timed(env.add_source(Silent(stage), type_info=Types.LONG()), MONOTONOUS.with_idleness("50 ms"))
    spoken = timed(env.from_sequence(0, 10**9, rows_per_second=2000))
    count_in_windows(spoken.union(silent), stage, 100)
    fired, _ = start_and_wait_for_a_window(env, stage)
    assert fired
    assert stage.windows[0].as_dict() == {"key": 0, "window_start": 0, "window_end": 100, "n": 100}


def test_source_that_is_silent_without_idleness_holds_the_windows_back():
    stage = Stage()
    env = new_env()
    silent = timed(env.add_source(Silent(stage), type_info=Types.LONG()))
    numbers = timed(env.from_collection(range(5000), Types.LONG()))
    seen = []
    numbers.add_sink(seen.append)
    count_in_windows(numbers.union(silent), stage, 100)
    client = env.execute_async()
    while len(seen) < 5000 and not client.status().is_terminal_state():
        client._job.wait(5)
    before_the_end = list(stage.windows)
    stage.may_end.set()
    client.result()
    assert before_the_end == []
    assert len(stage.windows) == 50


def test_idle_source_that_speaks_again_counts_again():
    class Twice(Silent):
        def run(self, ctx):
            ctx.collect(0)
            assert self.stage.fired.wait(WAIT_SECONDS)  # the other source went on without this one
            for value in range(10**6, 10**6 + 3):
                ctx.collect(value)

    stage = Stage()
    env = new_env()
    twice = timed(env.add_source(Twice(stage), type_info=Types.LONG()), MONOTONOUS.with_idleness("50 ms"))
    spoken = timed(env.from_sequence(0, 1500, rows_per_second=2000))
    count_in_windows(spoken.union(twice), stage, 100)
    env.execute()
    assert stage.fired.is_set()
    assert stage.windows[-1].as_dict() == {"key": 0, "window_start": 10**6, "window_end": 10**6 + 100, "n": 3}
    assert sum(row.n for row in stage.windows) in (1504, 1505)  # the 0 is on time unless it was overtaken


def test_windows_over_a_slow_source_do_not_wait_for_a_whole_stride():
    stage = Stage()
    env = new_env()
    count_in_windows(timed(env.from_sequence(0, 10**9, rows_per_second=100)), stage, 10)
    fired, numbers = start_and_wait_for_a_window(env, stage)
    assert fired
    assert numbers["Sequence.rows_read"] < 200


def test_live_source_that_falls_silent_lets_time_catch_up():
    stage = Stage()
    env = new_env()
    count_in_windows(timed(env.add_source(Silent(stage, range(25)), type_info=Types.LONG())), stage, 10)
    fired, _ = start_and_wait_for_a_window(env, stage)
    assert fired
    assert [row.window_start for row in stage.windows[:2]] == [0, 10]


def test_auto_watermark_interval_of_zero_leaves_live_sources_to_their_rows():
    stage = Stage()
    env = new_env()
    env.get_config().set_auto_watermark_interval(0)
    seen = []
    stream = env.add_source(Silent(stage, range(2000)), type_info=Types.LONG())
    stream.add_sink(seen.append)
    count_in_windows(timed(stream), stage, 1000)
    fired, _ = start_and_wait_for_a_window(env, stage)
    assert fired
    assert [row.window_start for row in stage.windows] == [0]


def test_strategy_that_is_none_is_refused():
    with pytest.raises(TypeError, match="expected a WatermarkStrategy, got function"):
        new_env().from_elements(1).assign_timestamps_and_watermarks(lambda v: v)
    with pytest.raises(ValueError, match=r"max_out_of_orderness: must not be negative, got -1000 ms"):
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(-1))
    with pytest.raises(ValueError, match=r"idle_timeout: must be positive, got 0 ms"):
        MONOTONOUS.with_idleness(0)
