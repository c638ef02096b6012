"""Which built-in aggregates the engine can run itself on a stream's columns."""

from __future__ import annotations

from typing import Any

from headrace import _core
from headrace.aggregates import Aggregate, Avg, StdDev, Sum, Var
from headrace.datastream.transformation import column_kind


def native_aggregates(aggregates: dict[str, Aggregate], schema: _core.Schema) -> list[tuple[str, Any, str]] | None:
    """The engine's description of the aggregates, None when one of them only runs in Python."""
    if schema.type_desc is None:
        return None
    native = []
    for name, aggregate in aggregates.items():
        if not isinstance(aggregate, Aggregate):
            raise TypeError(
                f"agg: {name} must be a built-in aggregate such as Sum('value'), got {type(aggregate).__name__}"
            )
        field = aggregate.field
        if field is None and aggregate.native != "count":
            field = 1 if len(schema.names) == 2 else 0
        if isinstance(field, str) and field not in schema.names:
            raise ValueError(f"agg: {name}={aggregate!r}: no field {field!r}; the stream has {schema.names}")
        index = field if isinstance(field, int) or field is None else schema.names.index(field)
        if index is not None and not 0 <= index < len(schema.names):
            raise ValueError(f"agg: {name}={aggregate!r}: no field number {index}; the stream has {schema.names}")
        if index is not None:
            _refuse_arithmetic_on_text(name, aggregate, schema, index)
        if aggregate.native is None or (
            index is not None and not _aggregates_natively(schema, index, aggregate.native)
        ):
            return None
        native.append((aggregate.native, index, name))
    return native


_ARITHMETIC = (Sum, Avg, StdDev, Var)
_NO_NUMBERS = frozenset({"string", "binary", "list", "map", "row", "tuple"})


def _refuse_arithmetic_on_text(name: str, aggregate: Aggregate, schema: _core.Schema, index: int) -> None:
    kind = column_kind(schema, index)
    if isinstance(aggregate, _ARITHMETIC) and kind in _NO_NUMBERS:
        raise ValueError(
            f"agg: {name}={aggregate!r}: field {schema.names[index]!r} is of type {kind}; it needs numbers"
        )


_NUMBERS = frozenset({"int8", "int16", "int32", "int64", "float32", "float64", "bool"})


def _aggregates_natively(schema: _core.Schema, index: int, function: str) -> bool:
    return column_kind(schema, index) in _NUMBERS or function == "count"
