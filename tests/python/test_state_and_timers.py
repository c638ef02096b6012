"""Keyed state handles and timers as user functions see them."""

import pytest

from headrace import (
    KeyedProcessFunction,
    ListStateDescriptor,
    MapStateDescriptor,
    TimeDomain,
    Types,
    UserFunctionError,
    ValueStateDescriptor,
    WatermarkStrategy,
)  # fmt: skip
from python.streams import collect, new_env


class Everything(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))
        self.last = runtime_context.get_state(ValueStateDescriptor("last"))
        self.seen = runtime_context.get_list_state(ListStateDescriptor("seen", Types.LONG()))
        self.by_parity = runtime_context.get_map_state(MapStateDescriptor("parity", Types.STRING(), Types.LONG()))
        self.counter = runtime_context.get_metrics_group().counter("records")

    def process_element(self, value, ctx):
        self.counter.inc()
        _, number = value
        self.total.update((self.total.value() or 0) + number)
        previous, _ = self.last.value(), self.last.update({"number": number})
        self.seen.add(number)
        parity = "odd" if number % 2 else "even"
        self.by_parity[parity] = (self.by_parity.get(parity) or 0) + 1
        yield (ctx.get_current_key(), self.total.value(), previous, list(self.seen.get()), dict(self.by_parity.items()))
        if number == 9:
            self.total.clear()
            self.seen.clear()
            del self.by_parity["odd"]


def test_all_kinds_of_state():
    env = new_env()
    data = [("a", 1), ("b", 2), ("a", 4), ("a", 9), ("a", 6)]
    got = collect(env.from_collection(data).key_by(lambda v: v[0]).process(Everything()))
    assert got == [
        ("a", 1, None, [1], {"odd": 1}),
        ("b", 2, None, [2], {"even": 1}),
        ("a", 5, {"number": 1}, [1, 4], {"odd": 1, "even": 1}),
        ("a", 14, {"number": 4}, [1, 4, 9], {"odd": 2, "even": 1}),
        ("a", 6, {"number": 9}, [6], {"even": 2}),
    ]


def test_mutating_a_value_read_from_state_is_seen_by_the_next_read():
    class Append(KeyedProcessFunction):
        def open(self, runtime_context):
            self.items = runtime_context.get_state(ValueStateDescriptor("items"))

        def process_element(self, value, ctx):
            items = self.items.value()
            if items is None:
                self.items.update([value])
            else:
                items.append(value)
                self.items.update(items)
            yield list(self.items.value())

    got = collect(new_env().from_collection([1, 2, 3]).key_by(lambda v: 0).process(Append()))
    assert got == [[1], [1, 2], [1, 2, 3]]


def test_two_states_of_one_name_and_different_type_fail_at_open():
    class Twice(KeyedProcessFunction):
        def open(self, runtime_context):
            runtime_context.get_state(ValueStateDescriptor("x", Types.LONG()))
            runtime_context.get_state(ValueStateDescriptor("x", Types.STRING()))

        def process_element(self, value, ctx):
            yield value

    with pytest.raises(Exception, match=r"'?x'?.*") as caught:
        collect(new_env().from_collection([1]).key_by(lambda v: v).process(Twice()))
    assert "int64" in str(caught.value)
    assert "string" in str(caught.value)


def test_value_that_cannot_be_encoded_names_its_type_and_the_remedy():
    class Opaque:
        pass

    class Store(KeyedProcessFunction):
        def open(self, runtime_context):
            self.state = runtime_context.get_state(ValueStateDescriptor("state"))

        def process_element(self, value, ctx):
            self.state.update(Opaque())
            yield value

    with pytest.raises(UserFunctionError, match=r"Opaque.*PICKLED_BYTE_ARRAY"):
        collect(new_env().from_collection([1]).key_by(lambda v: v).process(Store()))


class Alarm(KeyedProcessFunction):
    def process_element(self, value, ctx):
        ctx.timer_service().register_event_time_timer(value[1] + 100)
        ctx.timer_service().register_event_time_timer(value[1] + 100)
        if value[2] == "delete":
            ctx.timer_service().delete_event_time_timer(value[1] + 100)
        yield ("element", value[0], ctx.timestamp())

    def on_timer(self, timestamp, ctx):
        assert ctx.time_domain() == TimeDomain.EVENT_TIME
        yield ("timer", ctx.get_current_key(), timestamp)


def test_event_time_timers_fire_once_in_order_and_can_be_deleted():
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(lambda v, _: v[1])
    data = [("a", 10, ""), ("b", 10, ""), ("c", 5, "delete"), ("a", 20, "")]
    stream = new_env().from_collection(data).assign_timestamps_and_watermarks(strategy)
    got = collect(stream.key_by(lambda v: v[0]).process(Alarm()))
    assert [r for r in got if r[0] == "timer"] == [("timer", "a", 110), ("timer", "b", 110), ("timer", "a", 120)]
    assert ("element", "a", 10) in got


def test_processing_time_timers_fire_while_the_source_waits():
    class Later(KeyedProcessFunction):
        def process_element(self, value, ctx):
            now = ctx.timer_service().current_processing_time()
            ctx.timer_service().register_processing_time_timer(now + 50)

        def on_timer(self, timestamp, ctx):
            assert ctx.time_domain() == TimeDomain.PROCESSING_TIME
            yield ctx.get_current_key()

    stream = new_env().from_collection(range(10), rows_per_second=20)
    got = collect(stream.key_by(lambda v: v).process(Later()))
    assert set(range(7)) <= set(got) <= set(range(10))


def test_three_argument_form_collects():
    class Collecting(KeyedProcessFunction):
        def process_element(self, value, ctx, out):
            out.collect(value)
            out.collect(-value)

    assert collect(new_env().from_collection([1, 2]).key_by(lambda v: v).process(Collecting())) == [1, -1, 2, -2]


def test_user_counters_are_in_the_result():
    env = new_env()
    env.from_collection([("a", 1), ("a", 2)]).key_by(lambda v: v[0]).process(Everything()).name("everything")
    assert env.execute().metrics["everything.user.records"] == 2
