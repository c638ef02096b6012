"""Operators that call Python, run through Graph and Job directly: state, timers, side outputs, errors, room."""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import Types, _core
from headrace.datastream import OutputTag
from headrace.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor

OBJECTS = _core.Schema(None)


class Flow:
    """A straight chain of operators over a list, at parallelism 1."""

    def __init__(self, items: list[Any], schema: _core.Schema = OBJECTS) -> None:
        self._graph = _core.Graph()
        self._schema = schema
        source = _core.collection_source(items, schema)
        self._last = self._graph.add_source(
            source, kind="source:collection", name="items", uid="", parallelism=1, max_parallelism=128, schema=schema
        )
        self._partitioning = "forward"
        self.job: Any = None

    def then(self, kind: str, function: Any, output: _core.Schema = OBJECTS, **options: Any) -> "Flow":
        operator = _core.python_operator(kind, function, self._schema, output, options)
        self._add(operator, kind, output, self._partitioning == "hash")
        self._partitioning = "hash" if kind == "key_by" else "forward"
        return self

    def native(self, kind: str, **options: Any) -> "Flow":
        operator, schema = _core.native_operator(kind, self._schema, options)
        self._add(operator, kind, schema, False)
        return self

    def _add(self, operator: Any, kind: str, output: _core.Schema, keyed: bool) -> None:
        self._last = self._graph.add_operator(
            operator, kind=kind, name=f"the {kind}", uid="", parallelism=1, max_parallelism=128, schema=output,
            keyed=keyed, inputs=[(self._last, self._partitioning, "", 0)],
        )  # fmt: skip
        self._schema = output

    def run(self, tag: str = "") -> list[Any]:
        seen: list[Any] = []
        sink = _core.python_operator("sink", seen.append, self._schema, self._schema, {})
        self._graph.add_operator(
            sink, kind="sink", name="sink", uid="", parallelism=1, max_parallelism=128, schema=self._schema,
            keyed=False, inputs=[(self._last, "forward", tag, 0)],
        )  # fmt: skip
        self.job = _core.Job(self._graph, {"name": "test", "job_key": "test", "restart": {"kind": "none"}})
        self.job.start()
        assert self.job.wait(60_000)
        self.job.result()
        return seen


class Process:
    """A process function whose `open` and `process_element` are given."""

    def __init__(self, element: Callable[..., Any], opened: Callable[[Any], Any] | None = None) -> None:
        self._element, self._opened = element, opened
        self.state: Any = None

    def open(self, context: Any) -> None:
        if self._opened is not None:
            self.state = self._opened(context)

    def process_element(self, value: Any, ctx: Any) -> Any:
        return self._element(self, value, ctx)


def keyed(items: list[Any], function: Any, **options: Any) -> list[Any]:
    return Flow(items).then("key_by", lambda v: v[0]).then("keyed_process", function, **options).run()


@pytest.mark.parametrize(
    ("type_info", "values", "expected"),
    [
        (Types.LONG(), [1, 2**63], -(2**63)),
        (Types.INT(), [1, 2**31], -(2**31)),
        (Types.SHORT(), [1, 2**15], -(2**15)),
        (Types.BYTE(), [1, 200], -56),
        (Types.BOOLEAN(), [True, False], False),
        (Types.DOUBLE(), [1, 0.1], 0.1),
        (Types.FLOAT(), [1, 0.5], 0.5),
        (Types.STRING(), ["a", "b"], "b"),
        (None, [[1], {"a": (1, 2)}], {"a": (1, 2)}),
        (Types.PICKLED_BYTE_ARRAY(), [1, 2 + 1j], 2 + 1j),
    ],
)
def test_value_state_of_each_type(type_info: Any, values: list[Any], expected: Any) -> None:
    def element(self: Process, value: Any, _: Any) -> Iterator[Any]:
        before = self.state.value()
        self.state.update(value[1])
        after = self.state.value()
        if value[2]:
            self.state.clear()
        yield before, after, self.state.value()

    opened = lambda context: context.get_state(ValueStateDescriptor("v", type_info))  # noqa: E731
    first, second = keyed([("k", values[0], False), ("k", values[1], True)], Process(element, opened))
    assert first[0] is None
    assert second == (values[0], expected, None)


def test_a_list_changed_in_place_is_seen_by_the_next_record() -> None:
    def element(self: Process, value: Any, _: Any) -> Iterator[Any]:
        items = self.state.value()
        if items is None:
            items = []
            self.state.update(items)
        items.append(value[1])
        yield list(items)

    records = [(k, i) for i in range(3) for k in range(6000)]  # more keys than live objects are kept
    opened = lambda context: context.get_state(ValueStateDescriptor("v"))  # noqa: E731
    assert keyed(records, Process(element, opened))[-6000:] == [[0, 1, 2]] * 6000


def test_list_state() -> None:
    def element(self: Process, value: Any, _: Any) -> Iterator[Any]:
        self.state.add(value[1])
        self.state.add_all(["x" * 600, "y" * 600])
        yield len(self.state.get()), self.state.get()[0], [v for v in self.state][-1][:1]
        if value[1] == 2:
            self.state.update([7])
            yield self.state.get()
            self.state.clear()
            yield self.state.get()

    opened = lambda context: context.get_list_state(ListStateDescriptor("l"))  # noqa: E731
    assert keyed([("k", 1), ("k", 2)], Process(element, opened)) == [(3, 1, "y"), (6, 1, "y"), [7], []]


def test_map_state() -> None:
    def element(self: Process, value: Any, _: Any) -> Iterator[Any]:
        state = self.state
        assert state.is_empty()
        state.put("a", 1)
        state["b"] = 2
        state.put_all({f"k{i:03}": i for i in range(300)})
        del state["k000"]
        state.remove("nothing")
        assert "a" in state
        assert not state.contains("k000")
        assert (state.get("b"), state["zz"]) == (2, None)
        assert len(list(state)) == len(list(state.values())) == 301
        assert dict(state.items())["k299"] == 299
        for key in state.keys():  # noqa: SIM118 - changing the map while walking it is allowed
            state.remove(key)
        yield state.is_empty()

    descriptor = MapStateDescriptor("m", Types.STRING(), Types.LONG())
    opened = lambda context: context.get_map_state(descriptor)  # noqa: E731
    assert keyed([("k", 1)], Process(element, opened)) == [True]


def test_one_name_with_two_types_fails_at_open() -> None:
    def opened(context: Any) -> None:
        context.get_state(ValueStateDescriptor("v", Types.LONG()))
        context.get_state(ValueStateDescriptor("v", Types.STRING()))

    with pytest.raises(_core.UserFunctionError, match=r"value<string>.*value<int64>|value<int64>.*value<string>"):
        keyed([("k", 1)], Process(lambda *_: None, opened))


def test_state_without_key_is_refused() -> None:
    process = Process(lambda *_: None, lambda context: context.get_state(ValueStateDescriptor("v")))
    with pytest.raises(_core.UserFunctionError, match="key_by"):
        Flow([1]).then("process", process).run()


def test_unserialisable_state_names_type_and_remedy() -> None:
    opened = lambda context: context.get_state(ValueStateDescriptor("v"))  # noqa: E731
    with pytest.raises(_core.UserFunctionError, match=r"state 'v'.*PICKLED_BYTE_ARRAY"):
        keyed([("k", 1)], Process(lambda self, v, c: self.state.update(object()), opened))


class Alarm:
    """Fires once for each key, with the key and time of the timer."""

    def process_element(self, value: Any, ctx: Any) -> None:
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 10)
        ctx.timer_service().register_event_time_timer(10_000)
        ctx.timer_service().delete_event_time_timer(10_000)

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield ctx.get_current_key(), timestamp, ctx.time_domain().name


def test_event_time_timers() -> None:
    flow = Flow([("b", 5), ("a", 5), (3, 1), (("t", 1.0), 2)])
    flow.then("assign_timestamps", lambda v, _: v[1])
    flow.native("timestamps", field=None, watermarks={"kind": "monotonous", "bound_ms": 0, "idle_timeout_ms": 0})
    flow.then("key_by", lambda v: v[0]).then("keyed_process", Alarm())
    out = flow.run()
    assert sorted(map(repr, out)) == sorted(
        map(repr, [("b", 15, "EVENT_TIME"), ("a", 15, "EVENT_TIME"), (3, 11, "EVENT_TIME"),
                   (("t", 1.0), 12, "EVENT_TIME")])
    )  # fmt: skip
    assert [t for _, t, _ in out] == sorted(t for _, t, _ in out)


class WithCollector:
    def process_element(self, value: Any, ctx: Any, out: Any) -> None:
        buffer: list[int] = []
        for i in range(value[1]):
            buffer.append(i)
            out.collect(buffer)


def test_three_argument_form_copies_what_is_collected_twice() -> None:
    assert keyed([("k", 3)], WithCollector()) == [[0], [0, 1], [0, 1, 2]]


def test_side_outputs() -> None:
    tag = OutputTag("odd", Types.LONG())

    def element(_: Process, value: int, ctx: Any) -> Iterator[Any]:
        yield (tag, value) if value % 2 else value

    assert Flow(list(range(6))).then("process", Process(element)).run() == [0, 2, 4]


def test_one_record_yields_more_than_any_channel_holds() -> None:
    def numbers(n: int) -> Iterator[int]:
        yield from range(n)

    flow = Flow([300_000]).then("flat_map", numbers).then("filter", lambda v: v % 100_000 == 0)
    assert flow.run() == [0, 100_000, 200_000]


def test_reduce_and_field_aggregates() -> None:
    rows = [("a", 1), ("b", 5), ("a", 2)]
    by_key = lambda v: v[0]  # noqa: E731
    reduced = Flow(rows).then("key_by", by_key).then("reduce", lambda x, y: (x[0], x[1] + y[1])).run()
    assert reduced == [("a", 1), ("b", 5), ("a", 3)]
    for op, last in [("sum", ("a", 3)), ("min", ("a", 1)), ("max_by", ("a", 2))]:
        flow = Flow(rows).then("key_by", by_key).then("aggregate_field", None, op=op, field=1)
        assert flow.run()[-1] == last


def boom(value: Any) -> Any:
    raise KeyError(f"no {value}")


@pytest.mark.parametrize("kind", ["map", "filter", "flat_map", "key_by", "sink"])
def test_failures_name_operator_record_and_place(kind: str) -> None:
    with pytest.raises(_core.UserFunctionError) as caught:
        Flow([{"id": 7}]).then(kind, boom).run()
    assert f"operator 'the {kind}'" in str(caught.value)
    assert "test_core_process.py" in str(caught.value)
    assert "{'id': 7}" in str(caught.value)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.__traceback__ is not None


@pytest.mark.parametrize(
    "raised", [StopIteration, SystemExit, KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit]
)
@pytest.mark.parametrize("kind", ["map", "flat_map"])
def test_exceptions_of_every_kind_fail_the_job(kind: str, raised: type[BaseException]) -> None:
    def fail(_: Any) -> Any:
        raise raised("x")

    with pytest.raises(_core.UserFunctionError):
        Flow([1]).then(kind, fail).run()


def test_results_that_do_not_fit_the_declared_type() -> None:
    with pytest.raises(_core.InvalidArgumentError, match=r"'abc' of type str is no int64"):
        Flow([1]).then("map", lambda _: "abc", _core.Schema(("int64",))).run()


def test_typed_columns_between_functions() -> None:
    row = ("row", ("a", "b"), (("int32",), ("string",)))
    flow = Flow([1, 2**31]).then("map", lambda v: _core.Row(a=v, b=str(v)), _core.Schema(row))
    assert flow.then("map", lambda r: (r.a, r.b)).run() == [(1, "1"), (-(2**31), str(2**31))]


def test_functions_that_cannot_be_copied_name_the_attribute() -> None:
    import threading

    process = Process(lambda *_: None)
    process.state = threading.Lock()
    with pytest.raises(_core.InvalidArgumentError, match="attribute 'state'"):
        _core.python_operator("process", process, OBJECTS, OBJECTS, {})


def test_user_objects_are_released_after_the_job() -> None:
    class Token:
        pass

    token = Token()
    seen = weakref.ref(token)
    flow = Flow([token]).then("map", lambda v: v)
    flow.run()
    del token, flow
    gc.collect()
    _core.CollectBuffer(OBJECTS).take(150)
    gc.collect()
    assert seen() is None
