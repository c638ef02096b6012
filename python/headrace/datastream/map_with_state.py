"""Document 003's `MapFunctionWithState`: one function, one state, on a keyed stream or on any other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from headrace.common.typeinfo import Types
from headrace.datastream.checkpointed_function import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)  # fmt: skip
from headrace.datastream.functions import Function, KeyedProcessFunction, ProcessFunction, RuntimeContext
from headrace.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueState,
    ValueStateDescriptor,
)  # fmt: skip

IN = TypeVar("IN")
OUT = TypeVar("OUT")
S = TypeVar("S")


class MapFunctionWithState(Function, Generic[IN, OUT, S]):
    """A function for `map` and `flat_map` that is handed its state with each record.

    On a keyed stream each key has a state of its own. On any other the state belongs to the operator: each subtask has
    one, kept by checkpoints. When the number of subtasks changes, the elements of a list are dealt out; of several
    values that come together the one updated last stays.

    Attributes:
        state_descriptor: Which state it is. By default a ValueState of any plain value; on keyed streams any descriptor
            will do, on others a ValueStateDescriptor or a ListStateDescriptor.
    """

    state_descriptor: StateDescriptor = ValueStateDescriptor("state")

    @abstractmethod
    def process(self, value: IN, context: Any, state: S) -> Any:
        """What `value` becomes.

        In `map` the result is the record. In `flat_map` None is no record, a list or an iterator is many, and anything
        else is one record, a str or a tuple too.
        """


def with_keyed_state(func: MapFunctionWithState[Any, Any, Any], flat: bool) -> KeyedProcessFunction[Any, Any, Any]:
    """What runs `func` on a keyed stream."""
    return _OnKeys(func, flat)


def with_operator_state(func: MapFunctionWithState[Any, Any, Any], flat: bool) -> ProcessFunction[Any, Any]:
    """What runs `func` on a stream without keys.

    Raises:
        TypeError: its state is of a kind that only keyed streams have.
    """
    if not isinstance(func.state_descriptor, ValueStateDescriptor | ListStateDescriptor):
        raise TypeError(
            f"{type(func).__name__}: on a stream that is not keyed the state can be a value or a list, got "
            f"{type(func.state_descriptor).__name__}; call key_by() first"
        )
    return _OnSubtask(func, flat)


def _as_records(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    return result if isinstance(result, list) or hasattr(result, "__next__") else (result,)


def _as_one_record(result: Any) -> Iterable[Any]:
    return (result,)


class _Running(Function):
    def __init__(self, func: MapFunctionWithState[Any, Any, Any], flat: bool) -> None:
        self.__qualname__ = type(func).__qualname__  # for messages
        self._func = func
        self._records: Callable[[Any], Iterable[Any]] = _as_records if flat else _as_one_record
        self._state: Any = None

    def close(self) -> None:
        self._func.close()

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        if isinstance(self._func, CheckpointedFunction):
            self._func.initialize_state(context)

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        if isinstance(self._func, CheckpointedFunction):
            self._func.snapshot_state(context)


class _OnKeys(_Running, KeyedProcessFunction[Any, Any, Any]):
    def open(self, runtime_context: RuntimeContext) -> None:
        self._func.open(runtime_context)
        descriptor: Any = self._func.state_descriptor
        getters: dict[type[StateDescriptor], Callable[[Any], Any]] = {
            ValueStateDescriptor: runtime_context.get_state,
            ListStateDescriptor: runtime_context.get_list_state,
            MapStateDescriptor: runtime_context.get_map_state,
            ReducingStateDescriptor: runtime_context.get_reducing_state,
            AggregatingStateDescriptor: runtime_context.get_aggregating_state,
        }
        self._state = next(get for kind, get in getters.items() if isinstance(descriptor, kind))(descriptor)

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        return self._records(self._func.process(value, ctx, self._state))


class _OnSubtask(_Running, ProcessFunction[Any, Any]):
    def open(self, runtime_context: RuntimeContext) -> None:
        self._func.open(runtime_context)

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        super().initialize_state(context)
        descriptor = self._func.state_descriptor
        store = context.get_operator_state_store()
        if isinstance(descriptor, ListStateDescriptor):
            self._state = store.get_list_state(descriptor)
        else:
            self._state = _SubtaskValue(
                store.get_list_state(ListStateDescriptor(descriptor.name, descriptor.type_info)),
                store.get_list_state(ListStateDescriptor(f"{descriptor.name}/updated", Types.LONG())),
            )

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        super().snapshot_state(context)
        if isinstance(self._state, _SubtaskValue):
            self._state.save()

    def process_element(self, value: Any, ctx: Any) -> Iterable[Any]:
        if isinstance(self._state, _SubtaskValue):
            self._state.clock = ctx.timer_service().current_processing_time
        return self._records(self._func.process(value, ctx, self._state))


class _SubtaskValue(ValueState[Any]):
    """One value of a subtask, kept as a list of at most one element, and beside it when it was updated."""

    def __init__(self, values: Any, updated: Any) -> None:
        self._values, self._updated = values, updated
        self._time: int = 0
        self._value: Any = None
        for time, value in zip(updated.get(), values.get(), strict=True):
            if time >= self._time:
                self._time, self._value = time, value
        self.clock: Callable[[], int] = int

    def value(self) -> Any:
        return self._value

    def update(self, value: Any) -> None:
        self._value, self._time = value, self.clock()

    def clear(self) -> None:
        self._value = None

    def save(self) -> None:
        there = [] if self._value is None else [self._value]
        self._values.update(there)
        self._updated.update([self._time] * len(there))
