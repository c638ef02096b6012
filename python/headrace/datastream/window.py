"""Windows: how a stream is cut by time (PyFlink's `pyflink.datastream.window`)."""

from __future__ import annotations

from functools import total_ordering
from typing import Any

from headrace.common.time import DurationLike, to_milliseconds


@total_ordering
class TimeWindow:
    """The interval [start, end) in ms; ordered by (end, start)."""

    __slots__ = ("end", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end

    def max_timestamp(self) -> int:
        """Last millisecond that belongs to the window."""
        return self.end - 1

    def intersects(self, other: TimeWindow) -> bool:
        """True when the windows overlap or touch."""
        return self.start <= other.end and self.end >= other.start

    def cover(self, other: TimeWindow) -> TimeWindow:
        """The smallest window that holds both."""
        return TimeWindow(min(self.start, other.start), max(self.end, other.end))

    @staticmethod
    def get_window_start_with_offset(timestamp: int, offset: int, window_size: int) -> int:
        """Start of the tumbling window that holds `timestamp`; times before 1970 round down."""
        return timestamp - (timestamp - offset) % window_size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TimeWindow) and (self.start, self.end) == (other.start, other.end)

    def __lt__(self, other: TimeWindow) -> bool:
        return (self.end, self.start) < (other.end, other.start)

    def __hash__(self) -> int:
        return hash((self.start, self.end))

    def __repr__(self) -> str:
        return f"TimeWindow(start={self.start}, end={self.end})"


class WindowAssigner:
    """Which windows an element belongs to. Use the subclasses' `of`."""

    def __init__(self, kind: str, size_ms: int, slide_ms: int, offset_ms: int) -> None:
        self._kind = kind
        self._size_ms = size_ms
        self._slide_ms = slide_ms
        self._offset_ms = offset_ms

    def is_event_time(self) -> bool:
        """True when windows are cut by event time."""
        return True

    def _describe(self) -> dict[str, Any]:
        return {"kind": self._kind, "size": self._size_ms, "slide": self._slide_ms, "offset": self._offset_ms}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self._size_ms} ms, slide={self._slide_ms} ms, offset={self._offset_ms} ms)"


def _positive(length: DurationLike, what: str) -> int:
    length_ms = to_milliseconds(length, what)
    if length_ms <= 0:
        raise ValueError(f"{what}: must be positive, got {length_ms} ms")
    return length_ms


class TumblingEventTimeWindows(WindowAssigner):
    """Windows of one size that tile event time."""

    @staticmethod
    def of(size: DurationLike, offset: DurationLike | None = None) -> TumblingEventTimeWindows:
        """Windows [n·size + offset, (n+1)·size + offset).

        Raises:
            ValueError: `size` is not positive, or `abs(offset)` is not smaller than `size`.
        """
        size_ms = _positive(size, "window size")
        offset_ms = 0 if offset is None else to_milliseconds(offset, "window offset")
        if abs(offset_ms) >= size_ms:
            raise ValueError(f"window offset: must be smaller than the size {size_ms} ms, got {offset_ms} ms")
        return TumblingEventTimeWindows("tumbling", size_ms, size_ms, offset_ms)


class TimeWindows(TumblingEventTimeWindows):
    """Document 000's name for tumbling event-time windows."""


class SlidingEventTimeWindows(WindowAssigner):
    """Overlapping windows of one size, one starting every `slide`."""

    @staticmethod
    def of(size: DurationLike, slide: DurationLike, offset: DurationLike | None = None) -> SlidingEventTimeWindows:
        """Windows [n·slide + offset, n·slide + offset + size).

        Raises:
            ValueError: `size` or `slide` is not positive, or `abs(offset)` is not smaller than `slide`.
        """
        size_ms = _positive(size, "window size")
        slide_ms = _positive(slide, "window slide")
        offset_ms = 0 if offset is None else to_milliseconds(offset, "window offset")
        if abs(offset_ms) >= slide_ms:
            raise ValueError(f"window offset: must be smaller than the slide {slide_ms} ms, got {offset_ms} ms")
        return SlidingEventTimeWindows("sliding", size_ms, slide_ms, offset_ms)
