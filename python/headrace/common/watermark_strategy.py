"""How event time is read from records and how it advances (PyFlink's `pyflink.common.watermark_strategy`)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from headrace.common.time import DurationLike, to_milliseconds


class TimestampAssigner(ABC):
    """Reads the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Event time of `value` in milliseconds since 1970-01-01 UTC.

        Args:
            value: The record.
            record_timestamp: What the source attached, or the smallest int64 when it attached none.
        """


class WatermarkStrategy:
    """Event time of a stream: where timestamps come from, how far out of order they may be, when it is idle."""

    def __init__(self, kind: str, bound_ms: int = 0) -> None:
        self._kind = kind
        self._bound_ms = bound_ms
        self._assigner: TimestampAssigner | Callable[[Any, int], int] | None = None
        self._field: str | int | None = None
        self._idle_timeout_ms = 0

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps never go back within a split."""
        return WatermarkStrategy("monotonous")

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: DurationLike) -> WatermarkStrategy:
        """A record is at most `max_out_of_orderness` behind the largest timestamp seen; later ones are late."""
        bound_ms = to_milliseconds(max_out_of_orderness, "max_out_of_orderness")
        if bound_ms < 0:
            raise ValueError(f"max_out_of_orderness: must not be negative, got {bound_ms} ms")
        return WatermarkStrategy("bounded", bound_ms)

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """Timestamps without progress of event time before the end of input."""
        return WatermarkStrategy("none")

    def with_timestamp_assigner(
        self, timestamp_assigner: TimestampAssigner | Callable[[Any, int], int]
    ) -> WatermarkStrategy:
        """The same strategy with event time read by `timestamp_assigner` (an object or a function of both arguments)."""
        if not isinstance(timestamp_assigner, TimestampAssigner) and not callable(timestamp_assigner):
            raise TypeError(f"expected a TimestampAssigner or a callable, got {type(timestamp_assigner).__name__}")
        return self._with(_assigner=timestamp_assigner, _field=None)

    def with_timestamp_field(self, field: str | int) -> WatermarkStrategy:
        """The same strategy with event time read from a column: int64 ms or a timestamp. No Python call a record."""
        return self._with(_field=field, _assigner=None)

    def with_idleness(self, idle_timeout: DurationLike) -> WatermarkStrategy:
        """The same strategy; a source that gives nothing for `idle_timeout` no longer holds event time back."""
        timeout_ms = to_milliseconds(idle_timeout, "idle_timeout")
        if timeout_ms <= 0:
            raise ValueError(f"idle_timeout: must be positive, got {timeout_ms} ms")
        return self._with(_idle_timeout_ms=timeout_ms)

    def _with(self, **changes: Any) -> WatermarkStrategy:
        strategy = copy.copy(self)
        strategy.__dict__.update(changes)
        return strategy

    def _describe(self) -> dict[str, Any]:
        return {"kind": self._kind, "bound_ms": self._bound_ms, "idle_timeout_ms": self._idle_timeout_ms}
