"""Keyed state: descriptors that name a state, and the handles a RuntimeContext gives for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from headrace.aggregates import Aggregate
from headrace.common.typeinfo import TypeInformation
from headrace.datastream.state_ttl import StateTtlConfig

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class StateDescriptor:
    """Name and type of a state; the same name must always mean the same type."""

    def __init__(self, name: str, type_info: TypeInformation | None) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a state needs a name that is a str and not empty, got {name!r}")
        self.name = name
        self.type_info = type_info
        self.ttl_config: StateTtlConfig | None = None

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Lets entries of the state end some time after their last use; keyed state only.

        Raises:
            TypeError: not a StateTtlConfig.
        """
        if not isinstance(ttl_config, StateTtlConfig):
            raise TypeError(f"state {self.name!r}: expected a StateTtlConfig, got {type(ttl_config).__name__}")
        self.ttl_config = ttl_config

    def get_name(self) -> str:
        """The state's name."""
        return self.name


class ValueStateDescriptor(StateDescriptor):
    """One value a key. `value_type_info` None: any plain Python value, in headrace's typed encoding."""

    def __init__(self, name: str, value_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """A list a key; as operator state a list of the subtask."""

    def __init__(self, name: str, elem_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, elem_type_info)
        self.element_type_info = elem_type_info


class MapStateDescriptor(StateDescriptor):
    """A map a key; each entry is a row of its own."""

    def __init__(
        self,
        name: str,
        key_type_info: TypeInformation | None = None,
        value_type_info: TypeInformation | None = None,
    ) -> None:
        super().__init__(name, None)
        self.key_type_info = key_type_info
        self.value_type_info = value_type_info


class ReducingStateDescriptor(StateDescriptor):
    """One value a key, into which each added one is reduced.

    Args:
        name: The state's name.
        reduce_function: A ReduceFunction or a function of two values. Its `open` is not called.
        type_info: Type of the values; None: any plain Python value.

    Raises:
        TypeError: `reduce_function` can not reduce.
    """

    def __init__(self, name: str, reduce_function: Any, type_info: TypeInformation | None = None) -> None:
        super().__init__(name, type_info)
        if not callable(getattr(reduce_function, "reduce", reduce_function)):
            raise TypeError(
                f"state {name!r}: expected a ReduceFunction or a function of two values, "
                f"got {type(reduce_function).__name__}"
            )
        self.reduce_function = reduce_function

    def get_reduce_function(self) -> Any:
        """What reduces two values to one."""
        return self.reduce_function


class AggregatingStateDescriptor(StateDescriptor):
    """One accumulator a key, which takes in each added value; reading gives its result.

    Args:
        name: The state's name.
        agg_function: An AggregateFunction, or one of `headrace.aggregates`. Its `open` is not called.
        state_type_info: Type of the accumulator, which is what is stored; None: any plain Python value.

    Raises:
        TypeError: `agg_function` lacks a method of an AggregateFunction.
    """

    def __init__(self, name: str, agg_function: Any, state_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, state_type_info)
        if isinstance(agg_function, Aggregate):
            agg_function = _folding(agg_function)
        for method in ("create_accumulator", "add", "get_result"):
            if isinstance(agg_function, type) or not callable(getattr(agg_function, method, None)):
                raise TypeError(
                    f"state {name!r}: expected an AggregateFunction, got "
                    f"{agg_function if isinstance(agg_function, type) else type(agg_function).__name__}"
                )
        self.agg_function = agg_function

    def get_agg_function(self) -> Any:
        """What takes values into an accumulator."""
        return self.agg_function


def _folding(aggregate: Aggregate) -> Any:
    from headrace.datastream.builtin_window_functions import SingleAggregate  # which reads this module

    return SingleAggregate(aggregate)


class State(ABC):
    """Base of all handles: what they show belongs to the key of the current record or timer."""

    @abstractmethod
    def clear(self) -> None:
        """Removes the state of the current key."""


class ValueState(State, Generic[T]):
    """One value for the current key."""

    @abstractmethod
    def value(self) -> T | None:
        """The value, None when there is none."""

    @abstractmethod
    def update(self, value: T) -> None:
        """Replaces the value."""


class AppendingState(State, Generic[IN, OUT]):
    """State that values are added to."""

    @abstractmethod
    def get(self) -> OUT:
        """What the added values have become."""

    @abstractmethod
    def add(self, value: IN) -> None:
        """Adds a value."""


class MergingState(AppendingState[IN, OUT]):
    """State that could be merged with that of another window."""


class ReducingState(MergingState[T, T]):
    """A value for the current key, into which each added one is reduced."""

    @abstractmethod
    def get(self) -> T:
        """The reduced value, None when nothing was added."""


class AggregatingState(MergingState[IN, OUT]):
    """An accumulator for the current key; `get` gives its result, None when nothing was added."""


class ListState(MergingState[T, Iterable[T]]):
    """A list for the current key."""

    @abstractmethod
    def get(self) -> Iterable[T]:
        """The elements in order."""

    @abstractmethod
    def add(self, value: T) -> None:
        """Appends an element."""

    @abstractmethod
    def add_all(self, values: list[T]) -> None:
        """Appends elements."""

    @abstractmethod
    def update(self, values: list[T]) -> None:
        """Replaces all elements."""


class MapState(State, Generic[K, V]):
    """A map for the current key; iterates in the order of its encoded keys, on every backend."""

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value of `key`, None when there is none."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Sets the value of `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Sets all entries of the dict."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Removes `key` if it is there."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """True when `key` is there."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """All entries."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """All values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """True when there is no entry."""

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class ReadOnlyBroadcastState(State, Generic[K, V]):
    """A map that each subtask has whole, as its keyed side sees it; iterates in the order of encoded keys."""

    def clear(self) -> None:
        """Refused: this side may not write.

        Raises:
            TypeError: always.
        """
        raise TypeError("clear() on the read-only side of a broadcast state: write in process_broadcast_element")

    @abstractmethod
    def get(self, key: K) -> V | None:
        """The value of `key`, None when there is none."""

    @abstractmethod
    def contains(self, key: K) -> bool:
        """True when `key` is there."""

    @abstractmethod
    def items(self) -> Iterable[tuple[K, V]]:
        """All entries."""

    @abstractmethod
    def keys(self) -> Iterable[K]:
        """All keys."""

    @abstractmethod
    def values(self) -> Iterable[V]:
        """All values."""

    @abstractmethod
    def is_empty(self) -> bool:
        """True when there is no entry."""

    def __getitem__(self, key: K) -> V | None:
        return self.get(key)

    def __contains__(self, key: K) -> bool:
        return self.contains(key)

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())


class BroadcastState(ReadOnlyBroadcastState[K, V]):
    """The same for the broadcast side, which must write the same in every subtask."""

    @abstractmethod
    def put(self, key: K, value: V) -> None:
        """Sets the value of `key`."""

    @abstractmethod
    def put_all(self, dict_value: dict[K, V]) -> None:
        """Sets all entries of the dict."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Removes `key` if it is there."""

    @abstractmethod
    def clear(self) -> None:
        """Removes all entries."""

    def __setitem__(self, key: K, value: V) -> None:
        self.put(key, value)

    def __delitem__(self, key: K) -> None:
        self.remove(key)


class OperatorStateStore(Protocol):
    """Where a CheckpointedFunction makes operator state: state of a subtask that is not bound to keys."""

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list whose elements are dealt out evenly over the new subtasks when parallelism changes."""

    def get_union_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """A list of which every subtask gets all elements of all subtasks when it is restored."""

    def get_broadcast_state(self, state_descriptor: MapStateDescriptor) -> BroadcastState[Any, Any]:
        """A map that must be the same in every subtask; at another parallelism each new subtask gets a copy."""

    def get_registered_state_names(self) -> set[str]:
        """Names of the lists registered so far."""

    def get_registered_broadcast_state_names(self) -> set[str]:
        """Names of the broadcast states registered so far."""


class KeyedStateStore(Protocol):
    """Where keyed state is made, as by a RuntimeContext."""

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        """The value state of the descriptor."""

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        """The list state of the descriptor."""

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        """The map state of the descriptor."""

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        """The reducing state of the descriptor."""

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        """The aggregating state of the descriptor."""


def _register_engine_handles() -> None:
    """The engine's handles are C types: made virtual subclasses, so that isinstance holds."""
    from headrace import _core

    for base, names in _ENGINE_HANDLES.items():
        for name in names.split():
            base.register(getattr(_core, name))


_ENGINE_HANDLES: dict[type[ABC], str] = {
    ValueState: "ValueState",
    ListState: "ListState OperatorListState",
    MapState: "MapState",
    ReducingState: "ReducingState",
    AggregatingState: "AggregatingState",
    BroadcastState: "BroadcastState",
    ReadOnlyBroadcastState: "ReadOnlyBroadcastState",
}
_register_engine_handles()
