"""Time and timers (PyFlink's `pyflink.datastream.timerservice`)."""

from __future__ import annotations

from typing import Protocol


class TimerService(Protocol):
    """Time and timers of a keyed process function."""

    def current_processing_time(self) -> int:
        """Wall clock in ms."""

    def current_watermark(self) -> int:
        """Event time reached, the smallest int64 before the first watermark."""

    def register_processing_time_timer(self, timestamp: int) -> None:
        """Calls `on_timer` when the wall clock reaches `timestamp` (ms); once for each key and time."""

    def register_event_time_timer(self, timestamp: int) -> None:
        """Calls `on_timer` when the watermark reaches `timestamp` (ms); once for each key and time."""

    def delete_processing_time_timer(self, timestamp: int) -> None:
        """Takes a processing-time timer back."""

    def delete_event_time_timer(self, timestamp: int) -> None:
        """Takes an event-time timer back."""
