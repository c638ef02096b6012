"""Built-in aggregates for `windowed.agg(total=Sum("value"))` and `windowed.aggregate(Sum(), "sum")`.

Over typed columns the common ones run natively. Over opaque Python records, and for the others, they run as the Python
folds below; both give the same results.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import Any, ClassVar

from headrace._core import Row

__all__ = [
    "Aggregate", "Avg", "CollectList", "Count", "First", "Last", "Max", "MaxBy", "Min", "MinBy", "StdDev", "Sum", "TopK",
    "Var",
]  # fmt: skip


def read_field(record: Any, field: str | int) -> Any:
    """The field of a record: dict item, attribute or column of a Row, item of a tuple or list.

    Raises:
        KeyError: the record has no such field; the message shows the record (shortened) and what it has.
    """
    if isinstance(field, int):
        try:
            return record[field]
        except (IndexError, KeyError, TypeError):
            raise FieldMissingError(field, record) from None
    if isinstance(record, dict):
        if field in record:
            return record[field]
        raise FieldMissingError(field, record)
    try:
        return getattr(record, field)
    except AttributeError:
        raise FieldMissingError(field, record) from None


class FieldMissingError(KeyError):
    """A record has no such field; the message shows the record (shortened) and the fields it has."""

    def __init__(self, field: str | int, record: Any) -> None:
        wanted = f"field number {field}" if isinstance(field, int) else f"field {field!r}"
        super().__init__(f"no {wanted} in {_shorten(record)}{_fields_of(record)}")

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would quote it


def _fields_of(record: Any) -> str:
    if isinstance(record, dict):
        return f"; it has {sorted(map(str, record))}"
    names = getattr(type(record), "_fields", None) or getattr(type(record), "__dataclass_fields__", None)
    if isinstance(record, Row):
        names = getattr(record, "_fields", None)
    if names:
        return f"; it has {list(names)}"
    if isinstance(record, tuple | list | Row):
        return f"; it has {len(record)} fields without names"
    return ""


def _shorten(record: Any) -> str:
    text = repr(record)
    return text if len(text) <= 80 else text[:77] + "..."


class Aggregate:
    """One aggregate over one field.

    Args:
        field: Name or position of the field; None takes the value itself, or the second field of a pair (tuple of two).
    """

    native: ClassVar[str | None] = None
    """Name of the native implementation, None when there is only the Python one."""

    def __init__(self, field: str | int | None = None) -> None:
        self.field = field

    def read(self, record: Any) -> Any:
        """What of `record` is aggregated."""
        if self.field is not None:
            return read_field(record, self.field)
        if isinstance(record, tuple | Row) and len(record) == 2:
            return record[1]
        return record

    def create(self) -> Any:
        """A new, empty accumulator."""
        return None

    def add(self, accumulator: Any, record: Any) -> Any:
        """The accumulator with `record` taken in; None values are passed over, as in SQL."""
        value = self.read(record)
        return accumulator if value is None else self.combine(accumulator, value)

    def combine(self, accumulator: Any, value: Any) -> Any:
        """The accumulator with a value that is not None taken in."""
        raise NotImplementedError

    def merge(self, left: Any, right: Any) -> Any:
        """Two accumulators as one, `left` being the earlier."""
        raise NotImplementedError

    def result(self, accumulator: Any) -> Any:
        """The result; None when no value was seen, as in SQL."""
        return accumulator

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.field is None else repr(self.field)})"


class Sum(Aggregate):
    """Sum of the values."""

    native = "sum"

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        if isinstance(value, str | bytes):
            raise TypeError(f"{self!r}: cannot sum {_shorten(value)} of type {type(value).__name__}: sum needs numbers")
        return value if accumulator is None else accumulator + value

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return left if right is None else right if left is None else left + right


class Count(Aggregate):
    """Number of records; with a field, of records where it is not None."""

    native = "count"

    def create(self) -> Any:
        """See `Aggregate.create`."""
        return 0

    def add(self, accumulator: Any, record: Any) -> Any:
        """See `Aggregate.add`."""
        return accumulator + (self.field is None or self.read(record) is not None)

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return left + right


class Avg(Aggregate):
    """Arithmetic mean, a float."""

    native = "avg"

    def create(self) -> Any:
        """See `Aggregate.create`."""
        return (0, 0)

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        return (accumulator[0] + value, accumulator[1] + 1)

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return (left[0] + right[0], left[1] + right[1])

    def result(self, accumulator: Any) -> Any:
        """See `Aggregate.result`."""
        return accumulator[0] / accumulator[1] if accumulator[1] else None


class Min(Aggregate):
    """Smallest value."""

    native = "min"

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        return value if accumulator is None or value < accumulator else accumulator

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return left if right is None else self.combine(left, right)


class Max(Aggregate):
    """Largest value."""

    native = "max"

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        return value if accumulator is None or value > accumulator else accumulator

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return left if right is None else self.combine(left, right)


class First(Aggregate):
    """First value in order of arrival."""

    native = "first"

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        return value if accumulator is None else accumulator

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return right if left is None else left


class Last(Aggregate):
    """Last value in order of arrival."""

    native = "last"

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        return value

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return left if right is None else right


class _Extreme(Aggregate):
    """The whole record whose field is extreme; the first one when several are."""

    def create(self) -> Any:
        return None

    def better(self, candidate: Any, best: Any) -> bool:
        raise NotImplementedError

    def add(self, accumulator: Any, record: Any) -> Any:
        value = self.read(record)
        if value is None or (accumulator is not None and not self.better(value, accumulator[0])):
            return accumulator
        return (value, record)

    def merge(self, left: Any, right: Any) -> Any:
        if left is None or right is None:
            return right if left is None else left
        return right if self.better(right[0], left[0]) else left

    def result(self, accumulator: Any) -> Any:
        return None if accumulator is None else accumulator[1]


class MinBy(_Extreme):
    """The first record with the smallest value of the field."""

    def better(self, candidate: Any, best: Any) -> bool:
        """True when `candidate` replaces `best`."""
        return bool(candidate < best)


class MaxBy(_Extreme):
    """The first record with the largest value of the field."""

    def better(self, candidate: Any, best: Any) -> bool:
        """True when `candidate` replaces `best`."""
        return bool(candidate > best)


class Var(Aggregate):
    """Sample variance (n - 1), by Welford's recurrence; None for fewer than two values."""

    def create(self) -> Any:
        """See `Aggregate.create`."""
        return (0, 0.0, 0.0)

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        count, mean, m2 = accumulator
        count += 1
        delta = value - mean
        mean += delta / count
        return (count, mean, m2 + delta * (value - mean))

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`. Source: Chan, Golub and LeVeque 1979."""
        if not left[0] or not right[0]:
            return left if left[0] else right
        count = left[0] + right[0]
        delta = right[1] - left[1]
        return (
            count,
            left[1] + delta * right[0] / count,
            left[2] + right[2] + delta * delta * left[0] * right[0] / count,
        )

    def result(self, accumulator: Any) -> Any:
        """See `Aggregate.result`."""
        return accumulator[2] / (accumulator[0] - 1) if accumulator[0] > 1 else None


class StdDev(Var):
    """Sample standard deviation."""

    def result(self, accumulator: Any) -> Any:
        """See `Aggregate.result`."""
        variance = super().result(accumulator)
        return None if variance is None else math.sqrt(variance)


class CollectList(Aggregate):
    """All values in order of arrival."""

    def create(self) -> Any:
        """See `Aggregate.create`."""
        return []

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        accumulator.append(value)
        return accumulator

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        return list(itertools.chain(left, right))


class TopK(Aggregate):
    """The `k` largest values, largest first.

    Args:
        field: As for every aggregate.
        k: How many, > 0.
    """

    def __init__(self, field: str | int | None = None, k: int = 10) -> None:
        if k <= 0:
            raise ValueError(f"TopK: k must be positive, got {k}")
        super().__init__(field)
        self.k = k

    def create(self) -> Any:
        """See `Aggregate.create`."""
        return []

    def combine(self, accumulator: Any, value: Any) -> Any:
        """See `Aggregate.combine`."""
        if len(accumulator) < self.k:
            heapq.heappush(accumulator, value)
        else:
            heapq.heappushpop(accumulator, value)
        return accumulator

    def merge(self, left: Any, right: Any) -> Any:
        """See `Aggregate.merge`."""
        for value in right:
            left = self.combine(left, value)
        return left

    def result(self, accumulator: Any) -> Any:
        """See `Aggregate.result`."""
        return sorted(accumulator, reverse=True)
