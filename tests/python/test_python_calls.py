"""What a record costs on its way through Python: no GIL hold, no frame and no wrapper of its own, no leak."""

import gc
import sys
import weakref

import pyarrow as pa
import pytest

from headrace import (
    AggregateFunction,
    KeyedProcessFunction,
    MapFunction,
    Row,
    SourceFunction,
    Sum,
    Time,
    TumblingEventTimeWindows,
    Types,
    ValueStateDescriptor,
    WatermarkStrategy,
    _core,
)  # fmt: skip
from python.streams import collect, new_env

ROWS = 200_000


class Count(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        if value % 1000 == 0:
            ctx.timer_service().register_event_time_timer(value)
        yield value

    def on_timer(self, timestamp, ctx):
        return None


class AddUp(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + value

    def get_result(self, accumulator):
        return accumulator


class Numbers(SourceFunction):
    def run(self, ctx):
        for value in range(ROWS):
            ctx.collect(value)


WINDOW = TumblingEventTimeWindows.of(Time.seconds(20))
STEPS = {
    "map": lambda s: s.map(lambda v: v),
    "filter": lambda s: s.filter(lambda v: True),
    "flat_map": lambda s: s.flat_map(lambda v: (v,)),
    "reduce": lambda s: s.key_by(lambda v: v % 7).reduce(lambda a, b: b),
    "keyed process": lambda s: s.key_by(lambda v: v % 7).process(Count()),
    "windows": lambda s: s.key_by(lambda v: v % 7).window(WINDOW).aggregate(AddUp()),
    "exchange": lambda s: s.map(lambda v: v).rebalance().map(lambda v: v),
}


def holds_during(env):
    """GIL holds of a whole job, and how many batches its steps were given."""
    before = _core.gil_acquisitions()
    metrics = env.execute().metrics
    batches = sum(number for name, number in metrics.items() if name.endswith(".batches_in"))
    return _core.gil_acquisitions() - before, batches


@pytest.mark.parametrize("step", STEPS)
def test_gil_is_taken_per_batch_and_not_per_record(step):
    env = new_env()
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v)
    STEPS[step](env.from_collection(range(ROWS)).assign_timestamps_and_watermarks(strategy)).add_sink(lambda v: None)
    holds, batches = holds_during(env)
    # A step of a task takes the GIL once, for at least a batch of one operator; waits and timers add a few.
    assert 0 < batches < ROWS / 50
    assert 0 < holds < batches + 300


def test_source_function_gives_the_gil_up_to_wait_and_not_for_each_record():
    env = new_env()
    env.add_source(Numbers()).add_sink(lambda v: None)
    holds, _ = holds_during(env)
    assert 0 < holds < ROWS / 20


def test_native_steps_do_not_take_the_gil():
    def holds_of(rows):
        env = new_env()
        table = pa.table({"k": [i % 7 for i in range(rows)], "v": list(range(rows))})
        strategy = WatermarkStrategy.for_monotonous_timestamps()
        stream = env.from_arrow(table, timestamp="v", watermark_strategy=strategy)
        windows = stream.key_by("k").window(WINDOW).agg(total=Sum("v"))
        windows._native("discard", "Discard", {})
        return holds_during(env)

    few, _ = holds_of(1000)
    many, batches = holds_of(ROWS)
    assert batches > 50
    # The main thread takes it back after each wait of 50 ms; the job itself never needs it.
    assert many < few + 40


def test_user_functions_are_called_without_a_frame_in_between():
    class Frames(MapFunction):
        def map(self, value):
            return sys._getframe().f_back is None

    class KeyedFrames(KeyedProcessFunction):
        def process_element(self, value, ctx):
            return [value, sys._getframe().f_back is None]

    env = new_env()
    numbers = env.from_collection([1])
    assert collect(numbers.map(Frames())) == [True]
    assert collect(numbers.map(lambda v: sys._getframe().f_back is None)) == [True]
    assert collect(numbers.key_by(lambda v: v).process(KeyedFrames())) == [1, True]
    assert collect(numbers.key_by(lambda v: sys._getframe().f_back is None).map(lambda v: v)) == [1]


HOT_TYPES = (
    "Row", "Context", "OnTimerContext", "TimerService", "Collector", "ValueState", "ListState", "MapState",
    "WindowContext", "RuntimeContext", "MetricGroup", "Counter", "SourceContext",
)  # fmt: skip


@pytest.mark.parametrize("name", HOT_TYPES)
def test_hot_types_are_no_pybind11_classes(name):
    hot = getattr(_core, name)
    assert type(hot) is type
    assert hot.__module__ in ("headrace._core", "headrace")
    assert hot.__flags__ & (1 << 9)  # a heap type, made for this module
    assert type(_core.Job).__name__ == "pybind11_type"  # what the test tells hot types from


def test_what_user_code_is_handed_has_these_types():
    class Look(KeyedProcessFunction):
        def open(self, runtime_context):
            self.handle = runtime_context.get_state(ValueStateDescriptor("x"))
            self.types = {type(runtime_context), type(self.handle)}

        def process_element(self, value, ctx, out):
            for item in self.types | {type(ctx), type(ctx.timer_service()), type(out), type(value)}:
                out.collect(f"{item.__module__}.{item.__name__}")

    seen = collect(new_env().from_collection([Row(1)]).key_by(lambda v: 0).process(Look()))
    assert set(seen) == {
        f"headrace._core.{name}"
        for name in ("Row", "Context", "TimerService", "Collector", "ValueState", "RuntimeContext")
    }


class Token:
    """Seen through a weak reference: gone when what holds it was collected."""


def program(token, box, raises=False):
    """A program whose function refers to the box, in which the program itself lies."""

    def function(value):
        if raises:
            raise ValueError("planned")
        return (token, box) and value

    env = new_env()
    env.from_collection([1, 2]).map(function)
    box["env"] = env
    return env


def env_in_its_function(token):
    program(token, {})


def job_in_its_function(token):
    box = {}
    box["client"] = program(token, box).execute_async()
    assert box["client"].result().metrics["Map.rows_in"] == 2


def failed_job_in_its_function(token):
    box = {}
    box["client"] = program(token, box, raises=True).execute_async()
    failure = box["client"].get_job_execution_result().exception()
    assert "planned" in str(failure)


def rows_in_their_function(token):
    box = {}
    env = new_env()
    box["rows"] = env.from_collection([1, 2]).map(lambda v: (token, box) and v).execute_and_collect()
    assert list(box["rows"]) == [1, 2]


def operator_in_its_function(token):
    box = {}
    schema = _core.Schema(None)
    box["operator"] = _core.python_operator("map", lambda v: (token, box) and v, schema, schema, {})


def graph_in_its_function(token):
    box = {"graph": _core.Graph()}
    schema = _core.Schema(None)
    common = {"uid": "", "parallelism": 1, "max_parallelism": 128, "schema": schema}
    source = _core.iterator_source(lambda: iter((token, box)), schema)
    node = box["graph"].add_source(source, kind="source:iterator", name="numbers", **common)
    operator = _core.python_operator("map", lambda v: (token, box) and v, schema, schema, {})
    inputs = [(node, "forward", "", 0)]
    box["graph"].add_operator(operator, kind="map", name="map", keyed=False, inputs=inputs, **common)


def handles_in_their_function(token):
    class Keeps(KeyedProcessFunction):
        def open(self, runtime_context):
            self.all = [self, token, runtime_context, runtime_context.get_state(ValueStateDescriptor("x"))]

        def process_element(self, value, ctx):
            self.all += [ctx, ctx.timer_service()]
            self.all[3].update([value])
            self.all.append(self.all[3].value())
            yield value

    env = new_env()
    assert collect(env.from_collection([1, 2]).key_by(lambda v: v).process(Keeps())) == [1, 2]


def row_in_itself(token):
    row = Row(None, token)
    row[0] = row


@pytest.mark.parametrize("make", [
    env_in_its_function, job_in_its_function, failed_job_in_its_function, rows_in_their_function,
    operator_in_its_function, graph_in_its_function, handles_in_their_function, row_in_itself,
])  # fmt: skip
def test_cycles_through_user_functions_are_collected(make):
    token = Token()
    seen = weakref.ref(token)
    make(token)
    del token
    idle = _core.CollectBuffer(_core.Schema(None))
    for _ in range(10):  # references dropped by native threads wait for a holder of the GIL
        gc.collect()
        if seen() is None:
            break
        idle.take(50)
    assert seen() is None
