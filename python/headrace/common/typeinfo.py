"""Type information: what a stream's records are made of (PyFlink's `pyflink.common.typeinfo`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headrace._core import Row

__all__ = [
    "BasicArrayTypeInfo", "BasicTypeInfo", "ListTypeInfo", "MapTypeInfo", "ObjectArrayTypeInfo",
    "PickledBytesTypeInfo", "PrimitiveArrayTypeInfo", "Row", "RowTypeInfo", "TupleTypeInfo", "TypeInformation",
    "Types",
]  # fmt: skip


class TypeInformation:
    """Base of all type descriptions. Immutable; equal when they describe the same type."""

    def _describe(self) -> tuple[Any, ...]:
        """The nested tuple that the engine reads, see `_core.pyi`."""
        raise NotImplementedError

    def _history(self) -> dict[str, dict[str, Any]]:
        """What rows in it were before, by path (`schema_evolution.h`)."""
        return {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeInformation) and self._describe() == other._describe()

    def __hash__(self) -> int:
        return hash(self._describe())


class BasicTypeInfo(TypeInformation):
    """A type without parameters."""

    def __init__(self, name: str, kind: str) -> None:
        self._name = name
        self._kind = kind

    def _describe(self) -> tuple[Any, ...]:
        return (self._kind,)

    def __repr__(self) -> str:
        return self._name


class PickledBytesTypeInfo(TypeInformation):
    """Any Python object, pickled: the opt-in for classes that the typed encoding does not know."""

    def _describe(self) -> tuple[Any, ...]:
        return ("pickle",)

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


def _below(name: str, type_info: TypeInformation) -> dict[str, dict[str, Any]]:
    return {f"{name}.{path}" if path else name: said for path, said in type_info._history().items()}


class RowTypeInfo(TypeInformation):
    """Rows of named or numbered fields."""

    def __init__(self, field_types: list[TypeInformation], field_names: list[str] | None = None) -> None:
        names = list(field_names) if field_names is not None else [f"f{i}" for i in range(len(field_types))]
        if len(names) != len(field_types):
            raise ValueError(
                f"a row type needs one name for each type, got {len(names)} names, {len(field_types)} types"
            )
        duplicates = sorted({n for n in names if names.count(n) > 1})
        if duplicates:
            raise ValueError(f"a row type needs distinct field names; {duplicates} occur more than once")
        self._types = list(field_types)
        self._names = names
        self._renamed: dict[str, str] = {}
        self._dropped: tuple[str, ...] = ()
        self._defaults: dict[str, Any] = {}

    def evolved(
        self,
        renamed: dict[str, str] | None = None,
        dropped: Iterable[str] = (),
        defaults: dict[str, Any] | None = None,
    ) -> RowTypeInfo:
        """The same type for state that was stored with other fields.

        When a checkpoint or savepoint is restored, stored rows become rows of this type before any record flows. Fields go
        by name; ints and floats may have become wider (INT to LONG, FLOAT to DOUBLE) without a word. A type may keep its
        history for ever: what does not apply to stored state is passed over.

        Args:
            renamed: Former name of fields, by their name in this type.
            dropped: Stored fields that may be let go of.
            defaults: Values of fields that stored rows do not have; None unless given.

        Raises:
            ValueError: a name in `renamed` or `defaults` that is no field.
        """
        for field in [*(renamed or {}), *(defaults or {})]:
            if field not in self._names:
                raise ValueError(f"evolved: there is no field {field!r}; the row has {self._names}")
        row = RowTypeInfo(self._types, self._names)
        row._renamed, row._dropped, row._defaults = dict(renamed or {}), tuple(dropped), dict(defaults or {})
        return row

    def _history(self) -> dict[str, dict[str, Any]]:
        said = {"renamed": self._renamed, "dropped": self._dropped, "defaults": self._defaults}
        history = {"": said} if any(said.values()) else {}
        for name, type_info in zip(self._names, self._types, strict=True):
            history.update(_below(name, type_info))
        return history

    def get_field_names(self) -> list[str]:
        """Names in order."""
        return list(self._names)

    def get_field_types(self) -> list[TypeInformation]:
        """Types in order."""
        return list(self._types)

    def get_field_index(self, field_name: str) -> int:
        """Position of a field, -1 when there is none of that name."""
        return self._names.index(field_name) if field_name in self._names else -1

    def _describe(self) -> tuple[Any, ...]:
        return ("row", tuple(self._names), tuple(t._describe() for t in self._types))

    def __repr__(self) -> str:
        fields = ", ".join(f"{n}: {t}" for n, t in zip(self._names, self._types, strict=True))
        return f"RowTypeInfo({fields})"


class TupleTypeInfo(TypeInformation):
    """Python tuples of fixed length."""

    def __init__(self, field_types: list[TypeInformation]) -> None:
        self._types = list(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        """Types in order."""
        return list(self._types)

    def _describe(self) -> tuple[Any, ...]:
        return ("tuple", tuple(t._describe() for t in self._types))

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(str, self._types))})"


class ListTypeInfo(TypeInformation):
    """Python lists of one element type."""

    def __init__(self, element_type: TypeInformation) -> None:
        self.elem_type = element_type

    def _describe(self) -> tuple[Any, ...]:
        return ("list", self.elem_type._describe())

    def _history(self) -> dict[str, dict[str, Any]]:
        return _below("[]", self.elem_type)

    def __repr__(self) -> str:
        return f"ListTypeInfo<{self.elem_type}>"


class PrimitiveArrayTypeInfo(ListTypeInfo):
    """Arrays of primitive numbers; Python lists."""


class BasicArrayTypeInfo(ListTypeInfo):
    """Arrays of boxed values; Python lists."""


class ObjectArrayTypeInfo(ListTypeInfo):
    """Arrays of any type; Python lists."""


class MapTypeInfo(TypeInformation):
    """Python dicts of one key and one value type."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self._key = key_type_info
        self._value = value_type_info

    def _describe(self) -> tuple[Any, ...]:
        return ("map", self._key._describe(), self._value._describe())

    def __repr__(self) -> str:
        return f"MapTypeInfo<{self._key}, {self._value}>"


_STRING = BasicTypeInfo("String", "string")
_OBJECT = BasicTypeInfo("Object", "object")
_BASIC = {
    name: BasicTypeInfo(label, kind)
    for name, label, kind in [
        ("byte", "Byte", "int8"), ("short", "Short", "int16"), ("int", "Integer", "int32"), ("long", "Long", "int64"),
        ("float", "Float", "float32"), ("double", "Double", "float64"), ("boolean", "Boolean", "bool"),
        ("char", "Character", "string"), ("big_int", "BigInteger", "object"), ("big_dec", "BigDecimal", "object"),
        ("instant", "Instant", "object"), ("sql_date", "SqlDate", "date"), ("sql_time", "SqlTime", "time"),
        ("sql_timestamp", "SqlTimestamp", "timestamp"),
    ]
}  # fmt: skip


class Types:
    """Makers of type information, named as in PyFlink."""

    @staticmethod
    def STRING() -> TypeInformation:
        """`str`."""
        return _STRING

    @staticmethod
    def BYTE() -> TypeInformation:
        """8-bit int; larger values wrap around."""
        return _BASIC["byte"]

    @staticmethod
    def SHORT() -> TypeInformation:
        """16-bit int; larger values wrap around."""
        return _BASIC["short"]

    @staticmethod
    def INT() -> TypeInformation:
        """32-bit int; larger values wrap around."""
        return _BASIC["int"]

    @staticmethod
    def LONG() -> TypeInformation:
        """64-bit int; larger values wrap around."""
        return _BASIC["long"]

    @staticmethod
    def FLOAT() -> TypeInformation:
        """32-bit float."""
        return _BASIC["float"]

    @staticmethod
    def DOUBLE() -> TypeInformation:
        """64-bit float."""
        return _BASIC["double"]

    @staticmethod
    def BOOLEAN() -> TypeInformation:
        """`bool`."""
        return _BASIC["boolean"]

    @staticmethod
    def CHAR() -> TypeInformation:
        """`str` of one character."""
        return _BASIC["char"]

    @staticmethod
    def BIG_INT() -> TypeInformation:
        """`int` of any size."""
        return _BASIC["big_int"]

    @staticmethod
    def BIG_DEC() -> TypeInformation:
        """`decimal.Decimal`."""
        return _BASIC["big_dec"]

    @staticmethod
    def INSTANT() -> TypeInformation:
        """`Instant`."""
        return _BASIC["instant"]

    @staticmethod
    def SQL_DATE() -> TypeInformation:
        """`datetime.date`."""
        return _BASIC["sql_date"]

    @staticmethod
    def SQL_TIME() -> TypeInformation:
        """`datetime.time` in microseconds, without zone."""
        return _BASIC["sql_time"]

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:
        """`datetime.datetime` in milliseconds, without zone."""
        return _BASIC["sql_timestamp"]

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> TypeInformation:
        """Any object, by pickle: only checkpoints of a program that asks for this are ever unpickled."""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: list[TypeInformation]) -> RowTypeInfo:
        """`Row` with fields f0, f1 and so on."""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(field_names: list[str], field_types: list[TypeInformation]) -> RowTypeInfo:
        """`Row` with named fields."""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: list[TypeInformation]) -> TupleTypeInfo:
        """`tuple`."""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """List of primitive numbers; of `Types.BYTE()`: `bytes`."""
        if element_type == Types.BYTE():
            return BasicTypeInfo("ByteArray", "binary")
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """List of basic values."""
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """List of anything."""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(key_type: TypeInformation, value_type: TypeInformation) -> TypeInformation:
        """`dict`."""
        return MapTypeInfo(key_type, value_type)

    @staticmethod
    def LIST(element_type: TypeInformation) -> TypeInformation:
        """`list`."""
        return ListTypeInfo(element_type)

    @staticmethod
    def OBJECT() -> TypeInformation:
        """Any Python object, kept as it is; in state by the typed encoding. Beyond PyFlink."""
        return _OBJECT


def type_from_description(description: tuple[Any, ...] | None) -> TypeInformation | None:
    """The type information whose `_describe()` gives `description`; None for streams of opaque objects."""
    if description is None:
        return None
    kind = description[0]
    if kind == "row":
        return RowTypeInfo([_required(t) for t in description[2]], list(description[1]))
    if kind == "tuple":
        return TupleTypeInfo([_required(t) for t in description[1]])
    if kind == "list":
        return ListTypeInfo(_required(description[1]))
    if kind == "map":
        return MapTypeInfo(_required(description[1]), _required(description[2]))
    if kind == "pickle":
        return PickledBytesTypeInfo()
    if kind == "string":
        return _STRING
    for info in _BASIC.values():
        if info._describe() == description and kind != "object":
            return info
    return BasicTypeInfo(kind.capitalize(), kind) if len(description) == 1 else _Foreign(description)


class _Foreign(TypeInformation):
    """A type with parameters that PyFlink has no class for (decimal(10, 2), timestamps with a unit)."""

    def __init__(self, description: tuple[Any, ...]) -> None:
        self._description = description

    def _describe(self) -> tuple[Any, ...]:
        return self._description

    def __repr__(self) -> str:
        return f"{self._description[0]}({', '.join(map(str, self._description[1:]))})"


def _required(description: tuple[Any, ...]) -> TypeInformation:
    info = type_from_description(description)
    assert info is not None
    return info
