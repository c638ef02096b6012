"""Functions that the API itself puts into a program: built-in aggregates over opaque records, field readers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

from headrace._core import Row
from headrace.aggregates import Aggregate, read_field
from headrace.common.watermark_strategy import TimestampAssigner
from headrace.datastream.checkpointed_function import CheckpointedFunction
from headrace.datastream.functions import (
    AggregateFunction,
    KeyedProcessFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    RichAggregateFunction,
    RuntimeContext,
    WindowContext,
)  # fmt: skip
from headrace.datastream.state import ValueStateDescriptor
from headrace.datastream.window import TimeWindow


def no_key(_: Any) -> int:
    """The one key of window_all."""
    return 0


def field_key(fields: list[str | int]) -> Callable[[Any], Any]:
    """A key selector of one field, or of several as a tuple."""
    if all(isinstance(field, int) for field in fields):
        return operator.itemgetter(*fields)
    return FieldKey(fields)


class FieldKey:
    """Reads named fields of opaque records; a plain tuple stands for its first element (document 002's second key_by)."""

    def __init__(self, fields: list[str | int]) -> None:
        self._fields = fields

    def __call__(self, record: Any) -> Any:
        """The key of a record."""
        if len(self._fields) == 1:
            return self._read(record, self._fields[0])
        return tuple(self._read(record, field) for field in self._fields)

    def _read(self, record: Any, field: str | int) -> Any:
        if isinstance(field, str) and type(record) is tuple and record:
            return read_field(record[0], field)
        return read_field(record, field)


class FieldTimestamps(TimestampAssigner):
    """Event time from a field of opaque records."""

    def __init__(self, field: str | int) -> None:
        self._field = field

    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """See `TimestampAssigner`."""
        timestamp: int = read_field(value, self._field)
        return timestamp


class FieldAggregates(AggregateFunction[Any, list[Any], Any]):
    """Several named built-in aggregates over opaque records."""

    def __init__(self, aggregates: dict[str, Aggregate]) -> None:
        self._aggregates = list(aggregates.values())

    def create_accumulator(self) -> list[Any]:
        """One accumulator for each aggregate."""
        return [aggregate.create() for aggregate in self._aggregates]

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        """See `AggregateFunction`."""
        for i, aggregate in enumerate(self._aggregates):
            accumulator[i] = aggregate.add(accumulator[i], value)
        return accumulator

    def get_result(self, accumulator: list[Any]) -> list[Any]:
        """Results in order."""
        return [aggregate.result(part) for aggregate, part in zip(self._aggregates, accumulator, strict=True)]

    def merge(self, acc_a: list[Any], acc_b: list[Any]) -> list[Any]:
        """See `AggregateFunction`."""
        return [aggregate.merge(a, b) for aggregate, a, b in zip(self._aggregates, acc_a, acc_b, strict=True)]


class SingleAggregate(FieldAggregates):
    """One built-in aggregate whose result is the record."""

    def __init__(self, aggregate: Aggregate) -> None:
        super().__init__({"result": aggregate})

    def get_result(self, accumulator: list[Any]) -> Any:
        """The one result."""
        return super().get_result(accumulator)[0]


class RichAggregate(AggregateFunction[Any, Any, Any]):
    """Document 000's RichAggregateFunction as an AggregateFunction."""

    def __init__(self, function: RichAggregateFunction[Any, Any, Any]) -> None:
        self._function = function
        if isinstance(function, CheckpointedFunction):
            self.snapshot_state, self.initialize_state = function.snapshot_state, function.initialize_state

    def open(self, runtime_context: RuntimeContext) -> None:
        """Opens and resets the function."""
        self._function.open(runtime_context)
        self._function.reset_state(runtime_context.get_task_name(), runtime_context)

    def close(self) -> None:
        """Closes the function."""
        self._function.close()

    def create_accumulator(self) -> Any:
        """See `AggregateFunction`."""
        return self._function.create_accumulator()

    def add(self, value: Any, accumulator: Any) -> Any:
        """See `AggregateFunction`."""
        self._function.accumulate(value, accumulator)
        return accumulator

    def get_result(self, accumulator: Any) -> Any:
        """See `AggregateFunction`."""
        return self._function.get_result(accumulator)


class EmitWindowRow(ProcessWindowFunction[Any, Row, Any, TimeWindow]):
    """A Row of key field(s), window bounds and the aggregates' results."""

    def __init__(self, key_names: list[str], result_names: list[str]) -> None:
        self._key_names = key_names
        self._result_names = result_names

    def process(self, key: Any, context: WindowContext[TimeWindow], elements: Iterable[Any]) -> Iterable[Row]:
        """See `ProcessWindowFunction`."""
        keys = key if len(self._key_names) > 1 else (key,)
        fields = dict(zip(self._key_names, keys, strict=False))
        window = context.window()
        fields["window_start"], fields["window_end"] = window.start, window.end
        for results in elements:
            yield Row(**fields, **dict(zip(self._result_names, results, strict=True)))


class EmitAllWindowRow(ProcessAllWindowFunction[Any, Row, TimeWindow]):
    """As EmitWindowRow, for windows over a stream without keys."""

    def __init__(self, result_names: list[str]) -> None:
        self._rows = EmitWindowRow([], result_names)

    def process(self, context: Any, elements: Iterable[Any]) -> Iterable[Row]:
        """See `ProcessAllWindowFunction`."""
        return self._rows.process(None, context, elements)


class RunningAggregates(KeyedProcessFunction[Any, Any, Row]):
    """Running aggregates over opaque records: a Row of key field(s) and results for each record."""

    def __init__(self, key_names: list[str], aggregates: dict[str, Aggregate]) -> None:
        self._key_names = key_names
        self._names = list(aggregates)
        self._fold = FieldAggregates(aggregates)
        self._state: Any = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Takes the state handle."""
        self._state = runtime_context.get_state(ValueStateDescriptor("accumulators"))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Row]:
        """See `KeyedProcessFunction`."""
        accumulators = self._state.value()
        if accumulators is None:
            accumulators = self._fold.create_accumulator()
        accumulators = self._fold.add(value, accumulators)
        self._state.update(accumulators)
        key = ctx.get_current_key()
        keys = key if len(self._key_names) > 1 else (key,)
        results = self._fold.get_result(accumulators)
        yield Row(**dict(zip(self._key_names, keys, strict=True)), **dict(zip(self._names, results, strict=True)))
