"""Callbacks of functions with state of their own, and a job around each; `callbacks` lists them with all others."""

from __future__ import annotations

from typing import Any

from headrace import (
    AggregateFunction,
    AggregatingStateDescriptor,
    BroadcastProcessFunction,
    CheckpointedFunction,
    DataStream,
    KeyedBroadcastProcessFunction,
    KeyedProcessFunction,
    ListStateDescriptor,
    MapFunction,
    MapFunctionWithState,
    MapStateDescriptor,
    ReduceFunction,
    ReducingStateDescriptor,
)  # fmt: skip
from python.planned_failures import OPEN, Program, Watched, here, keyed, timed

SEEN = MapStateDescriptor("seen")


class Checkpointed(CheckpointedFunction, MapFunction):
    def initialize_state(self, context):
        here("checkpointed.initialize_state")
        self.state = context.get_operator_state_store().get_list_state(ListStateDescriptor("count"))
        self.count = sum(self.state.get())

    def snapshot_state(self, context):
        here("checkpointed.snapshot_state")
        self.state.update([self.count])

    def map(self, value):
        self.count += 1
        return value


class Broadcast(Watched, BroadcastProcessFunction):
    program = "broadcast"

    def process_element(self, value, ctx):
        here("broadcast.process_element")
        ctx.get_broadcast_state(SEEN).get("last")
        yield value

    def process_broadcast_element(self, value, ctx):
        here("broadcast.process_broadcast_element")
        ctx.get_broadcast_state(SEEN)["last"] = value
        yield -value


class KeyedBroadcast(Watched, KeyedBroadcastProcessFunction):
    program = "keyed broadcast"

    def process_element(self, value, ctx):
        here("keyed broadcast.process_element")
        ctx.timer_service().register_event_time_timer(value + 1)
        yield value

    def process_broadcast_element(self, value, ctx):
        here("keyed broadcast.process_broadcast_element")
        ctx.get_broadcast_state(SEEN)["last"] = value
        yield -value

    def on_timer(self, timestamp, ctx):
        here("keyed broadcast.on_timer")
        list(ctx.get_broadcast_state(SEEN).items())
        yield 1000 + timestamp


class WithState(Watched, MapFunctionWithState):
    program = "map with state"

    def process(self, value, context, state):
        here("map with state.process")
        state.update(value)
        return value


class AddToReducing(KeyedProcessFunction):
    class Reduce(ReduceFunction):
        def reduce(self, value1, value2):
            here("reducing state.reduce")
            return value1 + value2

    def open(self, runtime_context):
        self.sum = runtime_context.get_reducing_state(ReducingStateDescriptor("sum", self.Reduce()))

    def process_element(self, value, ctx):
        self.sum.add(value)
        yield self.sum.get()


class AddToAggregating(KeyedProcessFunction):
    class Aggregate(AggregateFunction):
        def create_accumulator(self):
            here("aggregating state.create_accumulator")
            return []

        def add(self, value, accumulator):
            here("aggregating state.add")
            return [value]

        def get_result(self, accumulator):
            here("aggregating state.get_result")
            return accumulator[0]

    def open(self, runtime_context):
        self.last = runtime_context.get_aggregating_state(AggregatingStateDescriptor("last", self.Aggregate()))

    def process_element(self, value, ctx):
        self.last.clear()
        self.last.add(value)
        yield self.last.get()


def connected(first: Any, numbers: DataStream) -> Any:
    return first.connect(numbers.broadcast(SEEN))


STATE_PROGRAMS = {
    "checkpointed": Program(
        CheckpointedFunction,
        "Map",
        {"initialize_state": "", "snapshot_state": ""},
        lambda s, out: s.map(Checkpointed()),
    ),
    "broadcast": Program(
        BroadcastProcessFunction,
        "BroadcastProcess",
        OPEN | {"process_element": "record ", "process_broadcast_element": "record "},
        lambda s, out: connected(s, s).process(Broadcast()),
    ),
    "keyed broadcast": Program(
        KeyedBroadcastProcessFunction,
        "KeyedBroadcastProcess",
        OPEN | {"process_element": "record ", "process_broadcast_element": "record ", "on_timer": "timer at "},
        lambda s, out: connected(keyed(s), timed(s)).process(KeyedBroadcast()),
    ),
    "map with state": Program(
        MapFunctionWithState,
        "FlatMap",
        OPEN | {"process": "record "},
        lambda s, out: s.flat_map(WithState()),
    ),
    "reducing state": Program(
        ReduceFunction,
        "KeyedProcess",
        {"reduce": "record "},
        lambda s, out: keyed(s).process(AddToReducing()),
    ),
    "aggregating state": Program(
        AggregateFunction,
        "KeyedProcess",
        {"create_accumulator": "record ", "add": "record ", "get_result": "record "},
        lambda s, out: keyed(s).process(AddToAggregating()),
    ),
}  # fmt: skip
