"""Keyed state: descriptors that name a state, and the handles a RuntimeContext gives for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from headrace.common.typeinfo import TypeInformation

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class StateDescriptor:
    """Name and type of a state; the same name must always mean the same type."""

    def __init__(self, name: str, type_info: TypeInformation | None) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a state needs a name that is a str and not empty, got {name!r}")
        self.name = name
        self.type_info = type_info

    def get_name(self) -> str:
        """The state's name."""
        return self.name


class ValueStateDescriptor(StateDescriptor):
    """One value a key. `value_type_info` None: any plain Python value, in headrace's typed encoding."""

    def __init__(self, name: str, value_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, value_type_info)


class ListStateDescriptor(StateDescriptor):
    """A list a key."""

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


class ListState(State, Generic[T]):
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


def _register_engine_handles() -> None:
    """The engine's handles are C types: made virtual subclasses, so that isinstance holds."""
    from headrace import _core

    for base, name in [(ValueState, "ValueState"), (ListState, "ListState"), (MapState, "MapState")]:
        handle: Any = getattr(_core, name, None)
        if handle is not None:
            base.register(handle)


_register_engine_handles()
