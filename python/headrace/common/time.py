"""Lengths of time and points in time (PyFlink's `pyflink.common.time` and `.typeinfo` neighbours)."""

from __future__ import annotations

import datetime
import re
from functools import total_ordering
from typing import TypeAlias

_UNITS_MS = {
    "ms": 1.0, "milli": 1.0, "millis": 1.0, "millisecond": 1.0, "milliseconds": 1.0,
    "s": 1e3, "sec": 1e3, "secs": 1e3, "second": 1e3, "seconds": 1e3,
    "m": 6e4, "min": 6e4, "mins": 6e4, "minute": 6e4, "minutes": 6e4,
    "h": 3.6e6, "hour": 3.6e6, "hours": 3.6e6,
    "d": 8.64e7, "day": 8.64e7, "days": 8.64e7,
    "us": 1e-3, "µs": 1e-3, "micro": 1e-3, "micros": 1e-3, "microsecond": 1e-3, "microseconds": 1e-3,
    "ns": 1e-6, "nano": 1e-6, "nanos": 1e-6, "nanosecond": 1e-6, "nanoseconds": 1e-6,
}  # fmt: skip
_DURATION = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)


@total_ordering
class Time:
    """A length of time in whole milliseconds, as window constructors take it."""

    def __init__(self, milliseconds: int) -> None:
        self._ms = int(milliseconds)

    @staticmethod
    def milliseconds(milliseconds: int) -> Time:
        """A length of `milliseconds` ms."""
        return Time(milliseconds)

    @staticmethod
    def seconds(seconds: float) -> Time:
        """A length of `seconds` s."""
        return Time(round(seconds * 1000))

    @staticmethod
    def minutes(minutes: float) -> Time:
        """A length of `minutes` min."""
        return Time(round(minutes * 60_000))

    @staticmethod
    def hours(hours: float) -> Time:
        """A length of `hours` h."""
        return Time(round(hours * 3_600_000))

    @staticmethod
    def days(days: float) -> Time:
        """A length of `days` days of 24 h."""
        return Time(round(days * 86_400_000))

    def to_milliseconds(self) -> int:
        """The length in milliseconds."""
        return self._ms

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._ms == other._ms

    def __lt__(self, other: Time) -> bool:
        return self._ms < other._ms

    def __hash__(self) -> int:
        return hash(("headrace.Time", self._ms))

    def __repr__(self) -> str:
        return f"Time({self._ms})"


class Duration:
    """A length of time, as watermark strategies take it."""

    def __init__(self, nanos: int) -> None:
        self._nanos = int(nanos)

    @staticmethod
    def of_days(days: int) -> Duration:
        """A length of `days` days of 24 h."""
        return Duration(days * 86_400_000_000_000)

    @staticmethod
    def of_hours(hours: int) -> Duration:
        """A length of `hours` h."""
        return Duration(hours * 3_600_000_000_000)

    @staticmethod
    def of_minutes(minutes: int) -> Duration:
        """A length of `minutes` min."""
        return Duration(minutes * 60_000_000_000)

    @staticmethod
    def of_seconds(seconds: int) -> Duration:
        """A length of `seconds` s."""
        return Duration(seconds * 1_000_000_000)

    @staticmethod
    def of_millis(millis: int) -> Duration:
        """A length of `millis` ms."""
        return Duration(millis * 1_000_000)

    @staticmethod
    def of_nanos(nanos: int) -> Duration:
        """A length of `nanos` ns."""
        return Duration(nanos)

    def to_milliseconds(self) -> int:
        """The length in whole milliseconds, rounded down."""
        return self._nanos // 1_000_000

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self._nanos == other._nanos

    def __hash__(self) -> int:
        return hash(("headrace.Duration", self._nanos))

    def __repr__(self) -> str:
        return f"Duration({self._nanos} ns)"


class Instant:
    """A point on the time line: seconds since 1970-01-01 UTC and nanoseconds within the second."""

    def __init__(self, seconds: int, nanos: int) -> None:
        self.seconds = seconds
        self.nanos = nanos

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> Instant:
        """The instant `epoch_milli` ms after 1970-01-01 UTC."""
        seconds, millis = divmod(epoch_milli, 1000)
        return Instant(seconds, millis * 1_000_000)

    def to_epoch_milli(self) -> int:
        """Milliseconds since 1970-01-01 UTC, rounded down."""
        return self.seconds * 1000 + self.nanos // 1_000_000

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instant) and (self.seconds, self.nanos) == (other.seconds, other.nanos)

    def __hash__(self) -> int:
        return hash((self.seconds, self.nanos))

    def __repr__(self) -> str:
        return f"Instant<{self.seconds}, {self.nanos}>"


DurationLike: TypeAlias = "int | str | Time | Duration | datetime.timedelta"


def to_milliseconds(length: DurationLike, what: str = "duration") -> int:
    """Convert any accepted length of time to whole milliseconds.

    Args:
        length: Flink's strings ("50 ms", "10s", "2 min"), `Time`, `Duration`, `datetime.timedelta`, or an int in ms.
        what: Name of the setting, for the error message.

    Returns:
        Milliseconds; fractions are rounded to the nearest.

    Raises:
        ValueError: a string that is not a number with a known unit.
        TypeError: any other type.
    """
    if isinstance(length, bool):
        raise TypeError(f"{what}: expected a length of time, got the bool {length!r}")
    if isinstance(length, int):
        return length
    if isinstance(length, Time | Duration):
        return length.to_milliseconds()
    if isinstance(length, datetime.timedelta):
        return round(length.total_seconds() * 1000)
    if isinstance(length, str):
        match = _DURATION.fullmatch(length)
        unit = match.group(2).lower() or "ms" if match else ""
        if match and unit in _UNITS_MS:
            return round(float(match.group(1)) * _UNITS_MS[unit])
        raise ValueError(f"{what}: {length!r} is not a length of time; write for example '50 ms', '10s', '2 min'")
    raise TypeError(
        f"{what}: expected Time, Duration, timedelta, a string such as '10s', or an int in milliseconds, "
        f"got {type(length).__name__}"
    )
