"""User functions that raise, in every callback there is."""

import re
import traceback

import pytest

from headrace import (
    AggregateFunction,
    FileSink,
    FilterFunction,
    FlatMapFunction,
    JobStatus,
    KeyedProcessFunction,
    KeySelector,
    MapFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RestartStrategies,
    RichAggregateFunction,
    SinkFunction,
    SourceFunction,
    Time,
    TimestampAssigner,
    TumblingEventTimeWindows,
    Types,
    UserFunctionError,
    WatermarkStrategy,
    WindowFunction,
)  # fmt: skip
from python.streams import checkpointed_env, file_sink, lines_of, new_env

SECOND = TumblingEventTimeWindows.of(Time.seconds(1))
RECORDS = 40


class PlannedError(Exception):
    pass


class Plan:
    """Which callback fails, and how often. Here and not in the functions, as each attempt has fresh copies of those."""

    callback = ""
    failures_left = 0


@pytest.fixture(autouse=True)
def no_failure_left_over():
    Plan.callback, Plan.failures_left = "", 0


def here(callback):
    """Fails if `callback` is the one that is to fail; a call of this stands in every callback."""
    if callback == Plan.callback and Plan.failures_left != 0:
        Plan.failures_left -= 1
        raise PlannedError(f"planned failure in {callback}")


class Watched:
    def open(self, runtime_context):
        here("open")

    def close(self):
        here("close")


class Map(Watched, MapFunction):
    def map(self, value):
        here("map")
        return value


class FlatMap(FlatMapFunction):
    def flat_map(self, value):
        here("flat_map")
        return [value]


class Generating(FlatMapFunction):
    def flat_map(self, value):
        for number in range(3):
            if number == 2:
                here("generator")
            yield value


class Filter(FilterFunction):
    def filter(self, value):
        here("filter")
        return True


class Key(KeySelector):
    def get_key(self, value):
        here("get_key")
        return value % 3


class Reduce(ReduceFunction):
    def reduce(self, value1, value2):
        here("reduce")
        return value1 + value2


class Process(ProcessFunction):
    def process_element(self, value, ctx):
        here("process_element")
        yield value


class Timers(KeyedProcessFunction):
    def process_element(self, value, ctx):
        here("keyed process_element")
        ctx.timer_service().register_event_time_timer(value + 1)
        yield value

    def on_timer(self, timestamp, ctx):
        here("on_timer")
        yield timestamp


class Collecting(KeyedProcessFunction):
    def process_element(self, value, ctx, out):
        here("process_element with a collector")
        ctx.timer_service().register_event_time_timer(value + 1)
        out.collect(value)

    def on_timer(self, timestamp, ctx, out):
        here("on_timer with a collector")
        out.collect(timestamp)


class ProcessingTime(KeyedProcessFunction):
    def process_element(self, value, ctx):
        ctx.timer_service().register_processing_time_timer(ctx.timer_service().current_processing_time() + 1)

    def on_timer(self, timestamp, ctx):
        here("processing-time on_timer")
        yield 1


class Aggregate(AggregateFunction):
    def create_accumulator(self):
        here("create_accumulator")
        return 0

    def add(self, value, accumulator):
        here("add")
        return accumulator + value

    def get_result(self, accumulator):
        here("get_result")
        return accumulator


class Rich(Watched, RichAggregateFunction):
    def create_accumulator(self):
        here("rich create_accumulator")
        return []

    def accumulate(self, value, accumulator):
        here("accumulate")
        accumulator.append(value)

    def get_result(self, accumulator):
        here("rich get_result")
        return sum(accumulator)

    def reset_state(self, location, runtime_context):
        here("reset_state")


class Apply(WindowFunction):
    def apply(self, key, window, inputs):
        here("apply")
        return [sum(inputs)]


class ProcessWindow(ProcessWindowFunction):
    def process(self, key, context, elements):
        here("window process")
        yield sum(elements)

    def clear(self, context):
        here("clear")


class Assigner(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        here("extract_timestamp")
        return value


class Source(Watched, SourceFunction):
    """Has a position, so that a restart goes on from it."""

    next_number = 0

    def run(self, ctx):
        for number in range(self.next_number, RECORDS):
            here("run")
            self.next_number = number + 1
            ctx.collect(number)

    def snapshot_state(self):
        here("snapshot_state")
        return self.next_number

    def restore_state(self, value):
        self.next_number = value


class CalledSource(SourceFunction):
    def call(self):
        here("call")
        for number in range(RECORDS):
            if number == 5:
                here("call's generator")
            yield number


def iterator():
    here("making an iterator")
    for number in range(RECORDS):
        if number == 5:
            here("the iterator")
        yield number


class Sink(Watched, SinkFunction):
    def invoke(self, value):
        here("invoke")


class Text:
    def encode(self, value):
        here("encode")
        return str(value)


def numbers(env):
    return env.from_collection(range(RECORDS))


def timed(env):
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Assigner())
    return numbers(env).assign_timestamps_and_watermarks(strategy)


def keyed(env):
    return timed(env).key_by(lambda n: n % 3)


def windowed(env):
    return keyed(env).window(SECOND)


# callback: (operator, what the message says of the call, what is built)
CALLBACKS = {
    "map": ("Map", "record ", lambda env, out: numbers(env).map(Map())),
    "open": ("Map", "", lambda env, out: numbers(env).map(Map())),
    "flat_map": ("FlatMap", "record ", lambda env, out: numbers(env).flat_map(FlatMap())),
    "generator": ("FlatMap", "record ", lambda env, out: numbers(env).flat_map(Generating())),
    "filter": ("Filter", "record ", lambda env, out: numbers(env).filter(Filter())),
    "get_key": ("KeyBy", "record ", lambda env, out: numbers(env).key_by(Key())),
    "reduce": ("Reduce", "record ", lambda env, out: keyed(env).reduce(Reduce())),
    "process_element": ("Process", "record ", lambda env, out: numbers(env).process(Process())),
    "keyed process_element": ("KeyedProcess", "record ", lambda env, out: keyed(env).process(Timers())),
    "on_timer": ("KeyedProcess", "timer at ", lambda env, out: keyed(env).process(Timers())),
    "process_element with a collector": ("KeyedProcess", "record ", lambda env, out: keyed(env).process(Collecting())),
    "on_timer with a collector": ("KeyedProcess", "timer at ", lambda env, out: keyed(env).process(Collecting())),
    "processing-time on_timer": ("KeyedProcess", "timer at ", lambda env, out: slow(env).process(ProcessingTime())),
    "create_accumulator": ("Window", "record ", lambda env, out: windowed(env).aggregate(Aggregate())),
    "add": ("Window", "record ", lambda env, out: windowed(env).aggregate(Aggregate())),
    "get_result": ("Window", "key ", lambda env, out: windowed(env).aggregate(Aggregate())),
    "rich create_accumulator": ("Window", "record ", lambda env, out: windowed(env).aggregate(Rich())),
    "accumulate": ("Window", "record ", lambda env, out: windowed(env).aggregate(Rich())),
    "rich get_result": ("Window", "key ", lambda env, out: windowed(env).aggregate(Rich())),
    "reset_state": ("Window", "", lambda env, out: windowed(env).aggregate(Rich())),
    "apply": ("Window", "key ", lambda env, out: windowed(env).apply(Apply())),
    "window process": ("Window", "key ", lambda env, out: windowed(env).process(ProcessWindow())),
    "clear": ("Window", "key ", lambda env, out: windowed(env).process(ProcessWindow())),
    "extract_timestamp": ("Timestamps", "record ", lambda env, out: timed(env)),
    "run": ("Custom Source", "", lambda env, out: env.add_source(Source())),
    "snapshot_state": ("Custom Source", "", lambda env, out: env.add_source(Source())),
    "call": ("Custom Source", "", lambda env, out: env.add_source(CalledSource())),
    "call's generator": ("Custom Source", "", lambda env, out: env.add_source(CalledSource())),
    "making an iterator": ("Custom Source", "", lambda env, out: env.add_source(iterator)),
    "the iterator": ("Custom Source", "", lambda env, out: env.add_source(iterator)),
    "invoke": ("Sink", "record ", lambda env, out: numbers(env).add_sink(Sink())),
    "encode": (
        "Encode",
        "record ",
        lambda env, out: numbers(env).sink_to(FileSink.for_row_format(out, Text()).build()),
    ),
}


def slow(env):
    return env.from_collection(range(RECORDS), rows_per_second=400).key_by(lambda n: n % 3)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_callback_that_raises_fails_the_job_with_operator_record_and_traceback(callback, tmp_path):
    operator, told, build = CALLBACKS[callback]
    env = new_env()
    build(env, tmp_path / "out")
    Plan.callback, Plan.failures_left = callback, -1
    client = env.execute_async()
    with pytest.raises(UserFunctionError, match=rf"^operator '{operator}' \(subtask 0/1\): ") as caught:
        client.result()
    assert client.status() == JobStatus.FAILED
    message = str(caught.value)
    assert f"PlannedError: planned failure in {callback} (" in message
    assert "test_bad_functions.py:" in message
    assert (f", {told}" in message) if told else not re.search(r", (record|key|timer) ", message)
    cause = caught.value.__cause__
    if callback == "snapshot_state":  # which `run` calls through ctx.collect
        cause = cause.__cause__
    assert isinstance(cause, PlannedError)
    frames = traceback.extract_tb(cause.__traceback__)
    assert frames[-1].name == "here"
    assert len(frames) >= (1 if callback == "snapshot_state" else 2)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_job_restarts_and_ends_well_when_the_callback_recovers(callback, tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="10 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(2, "1 ms"))
    CALLBACKS[callback][2](env, tmp_path / "out")
    Plan.callback, Plan.failures_left = callback, 2
    client = env.execute_async()
    result = client.result()
    assert client.status() == JobStatus.FINISHED
    assert [f"planned failure in {callback}" in recovery["cause"] for recovery in result.recoveries] == [True, True]


@pytest.mark.parametrize(
    ("operator", "build"),
    [
        ("Map", lambda env: numbers(env).map(Map())),
        ("Window", lambda env: windowed(env).aggregate(Rich())),
        ("Sink", lambda env: numbers(env).add_sink(Sink())),
    ],
)
def test_close_that_raises_fails_a_job_whose_output_is_committed(operator, build, tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    numbers(env).sink_to(file_sink(tmp_path / "out"))
    build(env)
    Plan.callback, Plan.failures_left = "close", -1
    client = env.execute_async()
    with pytest.raises(UserFunctionError, match=rf"operator '{operator}' .*\.close raised PlannedError"):
        client.result()
    assert client.status() == JobStatus.FAILED
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(RECORDS))


def test_close_that_raises_behind_a_failure_does_not_hide_it():
    class Both(Map):
        def map(self, value):
            raise KeyError("the first failure")

    env = new_env()
    numbers(env).map(Both())
    Plan.callback, Plan.failures_left = "close", -1
    with pytest.raises(UserFunctionError, match=r"map raised KeyError: 'the first failure'"):
        env.execute()


def test_close_that_raises_while_a_job_is_cancelled_is_told_in_its_messages():
    env = new_env()
    env.from_sequence(0, 10**12).map(Map())
    Plan.callback, Plan.failures_left = "close", -1
    client = env.execute_async()
    while client.metrics().get("Map.rows_in", 0) == 0:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    assert client.status() == JobStatus.CANCELED
    assert any("Map.close raised PlannedError" in message for message in client.result().messages)


class Endless(SourceFunction):
    def __init__(self):
        self.cancelled = False

    def run(self, ctx):
        number = 0
        while not self.cancelled:
            ctx.collect(number)
            number += 1

    def cancel(self):
        self.cancelled = True
        raise PlannedError("planned failure in cancel")


def test_cancel_that_raises_does_not_keep_the_job():
    env = new_env()
    env.add_source(Endless()).map(lambda n: n).name("m")
    client = env.execute_async()
    while client.metrics().get("m.rows_in", 0) == 0:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    assert client.status() == JobStatus.CANCELED


def test_restore_state_that_raises_fails_the_resumed_job(tmp_path):
    class Interrupted(Source):
        def restore_state(self, value):
            here("restore_state")
            super().restore_state(value)

    def program(resume):
        env = checkpointed_env(tmp_path / "chk", interval="10 ms", resume=resume)
        env.add_source(Interrupted(), "resumed", rows_per_second=0 if resume else 50).uid("source")
        return env

    client = program(resume=False).execute_async("resumed")
    while client.metrics().get("job.checkpoints_completed", 0) < 5:  # the first ones may be of no record
        assert not client.status().is_terminal_state()
    client.cancel().result()
    Plan.callback, Plan.failures_left = "restore_state", -1
    with pytest.raises(UserFunctionError, match=r"operator 'resumed' .*restore_state raised PlannedError"):
        program(resume=True).execute("resumed")
    Plan.failures_left = 0
    assert program(resume=True).execute("resumed").metrics["resumed.rows_read"] <= RECORDS


@pytest.mark.parametrize(
    "error",
    [StopIteration(3), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError("deep")],
)
@pytest.mark.parametrize("generator", [False, True])
def test_errors_with_a_meaning_of_their_own_are_failures_too(error, generator):
    def raising(value):
        if value == 7:
            raise error
        return [value]

    def generating(value):
        yield from raising(value)

    env = new_env()
    numbers(env).flat_map(generating if generator else raising)
    client = env.execute_async()
    expected = (
        "RuntimeError: generator raised StopIteration"
        if generator and type(error) is StopIteration
        else type(error).__name__
    )
    with pytest.raises(UserFunctionError, match=rf"operator 'FlatMap' .*raised {expected}.*, record 7"):
        client.result()
    assert client.status() == JobStatus.FAILED


def test_results_before_the_error_do_not_leave_a_job_without_checkpoints(tmp_path):
    env = new_env()
    numbers(env).flat_map(Generating()).sink_to(file_sink(tmp_path / "out"))
    Plan.callback, Plan.failures_left = "generator", -1
    with pytest.raises(UserFunctionError, match="planned failure in generator"):
        env.execute()
    assert lines_of(tmp_path / "out") == []


def test_type_of_a_side_output_that_cannot_be_described_fails_by_name():
    class Odd:
        def _describe(self):
            raise PlannedError("planned failure in a type")

    class Tagging(ProcessFunction):
        def process_element(self, value, ctx):
            yield OutputTag("odd", Odd()), value

    env = new_env()
    numbers(env).process(Tagging()).get_side_output(OutputTag("odd", Types.LONG())).print()
    with pytest.raises(
        UserFunctionError, match=r"operator 'Process' .*the type of side output 'odd' raised PlannedError"
    ):
        env.execute()
