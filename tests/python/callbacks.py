"""Every callback that user code may define: functions that fail on demand, and a job around each of them.

`PROGRAMS` is the one list. `callbacks_of_the_api()` says what the exported classes have, so that a class or a method
that is added to headrace without a program here fails a test.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import headrace
from headrace import (
    AggregateFunction,
    AllWindowFunction,
    DataStream,
    FileSink,
    FilterFunction,
    FlatMapFunction,
    Function,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    ProcessAllWindowFunction,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RichAggregateFunction,
    SinkFunction,
    SourceFunction,
    StreamExecutionEnvironment,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    WindowFunction,
)  # fmt: skip
from python.planned_failures import (
    KEYS,
    OPEN,
    RECORDS,
    Plan,
    Program,
    Watched,
    here,
    keyed,
    timed,
)  # fmt: skip
from python.state_callbacks import STATE_PROGRAMS
from python.streams import checkpointed_env, new_env

# Four windows in a feed of RECORDS, so that some fire before its end.
TEN_MS = TumblingEventTimeWindows.of(Time.milliseconds(10))


class Map(Watched, MapFunction):
    program = "map"

    def map(self, value):
        here("map.map")
        return value


class FlatMap(Watched, FlatMapFunction):
    program = "flat_map"

    def flat_map(self, value):
        here("flat_map.flat_map")
        return [value]


class Generating(Watched, FlatMapFunction):
    program = "flat_map as a generator"

    def flat_map(self, value):
        yield value
        here("flat_map as a generator.flat_map")


class Filter(Watched, FilterFunction):
    program = "filter"

    def filter(self, value):
        here("filter.filter")
        return True


class Key(Watched, KeySelector):
    program = "key"

    def get_key(self, value):
        here("key.get_key")
        return value % KEYS


class Reduce(Watched, ReduceFunction):
    program = "reduce"

    def reduce(self, value1, value2):
        here(f"{self.program}.reduce")
        return value1 + value2


class WindowReduce(Reduce):
    program = "reduce in windows"


class Process(Watched, ProcessFunction):
    program = "process"

    def process_element(self, value, ctx):
        here("process.process_element")
        yield value


class Timers(Watched, KeyedProcessFunction):
    program = "keyed process"

    def process_element(self, value, ctx):
        here("keyed process.process_element")
        ctx.timer_service().register_event_time_timer(value + 1)
        yield value

    def on_timer(self, timestamp, ctx):
        here("keyed process.on_timer")
        yield -timestamp


class Collecting(Watched, KeyedProcessFunction):
    program = "keyed process with a collector"

    def process_element(self, value, ctx, out):
        here("keyed process with a collector.process_element")
        ctx.timer_service().register_event_time_timer(value + 1)
        out.collect(value)

    def on_timer(self, timestamp, ctx, out):
        here("keyed process with a collector.on_timer")
        out.collect(-timestamp)


class ProcessingTime(Watched, KeyedProcessFunction):
    program = "processing-time timers"

    def process_element(self, value, ctx):
        here("processing-time timers.process_element")
        ctx.timer_service().register_processing_time_timer(ctx.timer_service().current_processing_time() + 1)

    def on_timer(self, timestamp, ctx):
        here("processing-time timers.on_timer")
        yield 1


class Aggregate(Watched, AggregateFunction):
    program = "aggregate"

    def create_accumulator(self):
        here("aggregate.create_accumulator")
        return 0

    def add(self, value, accumulator):
        here("aggregate.add")
        return accumulator + value

    def get_result(self, accumulator):
        here("aggregate.get_result")
        return accumulator


class Rich(Watched, RichAggregateFunction):
    program = "rich aggregate"

    def create_accumulator(self):
        here("rich aggregate.create_accumulator")
        return []

    def accumulate(self, value, accumulator):
        here("rich aggregate.accumulate")
        accumulator.append(value)

    def get_result(self, accumulator):
        here("rich aggregate.get_result")
        return sum(accumulator)

    def reset_state(self, location, runtime_context):
        here("rich aggregate.reset_state")


class Apply(Watched, WindowFunction):
    program = "apply"

    def apply(self, key, window, inputs):
        here("apply.apply")
        return [sum(inputs)]


class ApplyAll(Watched, AllWindowFunction):
    program = "apply to all"

    def apply(self, window, inputs):
        here("apply to all.apply")
        return [sum(inputs)]


class ProcessWindow(Watched, ProcessWindowFunction):
    program = "process windows"

    def process(self, key, context, elements):
        here(f"{self.program}.process")
        yield sum(elements)

    def clear(self, context):
        here(f"{self.program}.clear")


class ProcessFolded(ProcessWindow):
    program = "process folded windows"


class ProcessAllWindow(Watched, ProcessAllWindowFunction):
    program = "process all windows"

    def process(self, context, elements):
        here("process all windows.process")
        yield sum(elements)

    def clear(self, context):
        here("process all windows.clear")


class Feed(Watched, SourceFunction):
    """The numbers from 0, each once it is released. Has a position, so that a restart goes on from it."""

    program = "source"
    next_number = 0
    cancelled = False

    def run(self, ctx):
        for number in range(self.next_number, Plan.records):
            here("source.run")
            while number >= Plan.released:
                if self.cancelled:
                    return
                time.sleep(0.0005)
            self.next_number = number + 1
            ctx.collect(number)
            if Plan.pause_seconds:
                time.sleep(Plan.pause_seconds)

    def cancel(self):
        self.cancelled = True
        here("source.cancel")

    def snapshot_state(self):
        here("source.snapshot_state")
        return self.next_number

    def restore_state(self, value):
        here("source.restore_state")
        self.next_number = value


class CalledSource(Watched, SourceFunction):
    program = "called source"

    def call(self):
        here("called source.call")
        return called_records()


def until_released(number: int) -> Iterator[int]:
    """The number again and again: a source that waits inside its iterator would hold back every barrier."""
    yield number
    while number >= Plan.released:
        time.sleep(0.0005)
        yield number


def called_records() -> Iterator[int]:
    for number in range(Plan.records):
        here("called source.next record")
        yield from until_released(number)


def iterator() -> Iterator[int]:
    here("iterator.making it")
    return iterated_records()


def iterated_records() -> Iterator[int]:
    for number in range(Plan.records):
        here("iterator.next record")
        yield from until_released(number)


class Sink(Watched, SinkFunction):
    program = "sink"

    def invoke(self, value):
        here("sink.invoke")


class Text:
    def encode(self, value):
        here("encoder.encode")
        return str(value)


def windowed(numbers: DataStream) -> Any:
    return keyed(numbers).window(TEN_MS)


def all_windows(numbers: DataStream) -> Any:
    return timed(numbers).window_all(TEN_MS)


def to_sink(numbers: DataStream, out: Path) -> None:
    numbers.add_sink(Sink())


def to_text_files(numbers: DataStream, out: Path) -> None:
    numbers.sink_to(FileSink.for_row_format(out / "encoded", Text()).build())


PROGRAMS = {
    "map": Program(MapFunction, "Map", OPEN | {"map": "record "}, lambda s, out: s.map(Map())),
    "flat_map": Program(FlatMapFunction, "FlatMap", OPEN | {"flat_map": "record "}, lambda s, out: s.flat_map(FlatMap())),
    "flat_map as a generator": Program(
        FlatMapFunction, "FlatMap", OPEN | {"flat_map": "record "}, lambda s, out: s.flat_map(Generating())
    ),
    "filter": Program(FilterFunction, "Filter", OPEN | {"filter": "record "}, lambda s, out: s.filter(Filter())),
    "key": Program(
        KeySelector, "KeyBy", OPEN | {"get_key": "record "}, lambda s, out: s.key_by(Key()).map(lambda n: n)
    ),
    "reduce": Program(ReduceFunction, "Reduce", OPEN | {"reduce": "record "}, lambda s, out: keyed(s).reduce(Reduce())),
    "reduce in windows": Program(
        ReduceFunction, "Window", OPEN | {"reduce": "record "}, lambda s, out: windowed(s).reduce(WindowReduce())
    ),
    "process": Program(
        ProcessFunction, "Process", OPEN | {"process_element": "record "}, lambda s, out: s.process(Process())
    ),
    "keyed process": Program(
        KeyedProcessFunction,
        "KeyedProcess",
        OPEN | {"process_element": "record ", "on_timer": "timer at "},
        lambda s, out: keyed(s).process(Timers()),
    ),
    "keyed process with a collector": Program(
        KeyedProcessFunction,
        "KeyedProcess",
        OPEN | {"process_element": "record ", "on_timer": "timer at "},
        lambda s, out: keyed(s).process(Collecting()),
    ),
    "processing-time timers": Program(
        KeyedProcessFunction,
        "KeyedProcess",
        {"process_element": "record ", "on_timer": "timer at "},
        lambda s, out: s.key_by(lambda n: n % KEYS).process(ProcessingTime()),
        same_each_time=False,
        rows_per_second=400,
    ),
    "aggregate": Program(
        AggregateFunction,
        "Window",
        OPEN | {"create_accumulator": "record ", "add": "record ", "get_result": "key "},
        lambda s, out: windowed(s).aggregate(Aggregate()),
    ),
    "rich aggregate": Program(
        RichAggregateFunction,
        "Window",
        OPEN | {"create_accumulator": "record ", "accumulate": "record ", "get_result": "key ", "reset_state": ""},
        lambda s, out: windowed(s).aggregate(Rich()),
    ),
    "apply": Program(WindowFunction, "Window", OPEN | {"apply": "key "}, lambda s, out: windowed(s).apply(Apply())),
    "apply to all": Program(
        AllWindowFunction, "Window", OPEN | {"apply": "key "}, lambda s, out: all_windows(s).apply(ApplyAll())
    ),
    "process windows": Program(
        ProcessWindowFunction,
        "Window",
        OPEN | {"process": "key ", "clear": "key "},
        lambda s, out: windowed(s).process(ProcessWindow()),
    ),
    "process folded windows": Program(
        ProcessWindowFunction,
        "Window",
        OPEN | {"process": "key ", "clear": "key "},
        lambda s, out: windowed(s).aggregate(Aggregate(), ProcessFolded()),
    ),
    "process all windows": Program(
        ProcessAllWindowFunction,
        "Window",
        OPEN | {"process": "key ", "clear": "key "},
        lambda s, out: all_windows(s).process(ProcessAllWindow()),
    ),
    "timestamps": Program(
        TimestampAssigner, "Timestamps", {"extract_timestamp": "record "}, lambda s, out: timed(s)
    ),
    "source": Program(
        SourceFunction,
        "Custom Source",
        OPEN | {"run": "", "snapshot_state": ""},
        lambda env, out: env.add_source(Feed()),
        source=True,
    ),
    "called source": Program(
        SourceFunction,
        "Custom Source",
        OPEN | {"call": "", "next record": ""},
        lambda env, out: env.add_source(CalledSource()),
        source=True,
        same_each_time=False,
    ),
    "iterator": Program(
        None,
        "Custom Source",
        {"making it": "", "next record": ""},
        lambda env, out: env.add_source(iterator),
        source=True,
        same_each_time=False,
    ),
    "sink": Program(SinkFunction, "Sink", OPEN | {"invoke": "record "}, to_sink),
    "encoder": Program(None, "Encode", {"encode": "record "}, to_text_files),
    **STATE_PROGRAMS,
}  # fmt: skip
# callback: (its program, what the failure's message tells of the call)
CALLBACKS = {
    f"{name}.{method}": (program, told)
    for name, program in PROGRAMS.items()
    for method, told in program.methods.items()
}
# What checkpoints call, and nothing else.
BY_CHECKPOINTS = {"checkpointed.snapshot_state"}
# Part of the API, but nothing calls them yet.
NOT_CALLED = {(AggregateFunction, "merge")}  # merging windows


def env_that_calls(callback: str, folder: Path) -> StreamExecutionEnvironment:
    """An environment without checkpoints, or for what they call one with a single checkpoint: that of a job's end."""
    return checkpointed_env(folder / "chk", interval="1 h") if callback in BY_CHECKPOINTS else new_env()


def build(
    env: StreamExecutionEnvironment, program: Program, out: Path, numbers: DataStream | None = None
) -> DataStream:
    """Builds the program; returns its results, or where it has none, what went into it."""
    if program.source:
        results = program.build(env, out)
        assert results is not None
        return results
    if numbers is None:
        numbers = env.from_collection(range(RECORDS), rows_per_second=program.rows_per_second)
    results = program.build(numbers, out)
    return numbers if results is None else results


def callbacks_of_the_api() -> set[tuple[type, str]]:
    """(class, method) for each method that a user may define in a subclass of an exported class."""
    found = set()
    for name in headrace.__all__:
        exported = getattr(headrace, name)
        if not isinstance(exported, type) or exported is Function:
            continue
        if not (issubclass(exported, Function) or _is_to_be_defined_by_users(exported)):
            continue
        for base in exported.__mro__:
            for method, value in vars(base).items():
                if base.__module__.startswith("headrace.") and not method.startswith("_") and inspect.isfunction(value):
                    found.add((exported, method))
    return found


def _is_to_be_defined_by_users(exported: type) -> bool:
    """An abstract class that the package itself leaves abstract; states and where they live are the engine's."""
    own = ("headrace.datastream.state", "headrace.datastream.state_backend")
    return inspect.isabstract(exported) and exported.__module__ not in own
