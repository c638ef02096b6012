"""Functions that fail on demand, and what a job around one of them is described by; used by `callbacks`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import DataStream, TimestampAssigner, WatermarkStrategy

RECORDS = 40
KEYS = 3


class PlannedError(Exception):
    pass


class Plan:
    """Which callback fails, when and how. Here and not in the functions, as each attempt has fresh copies of those."""

    callback = ""
    failures_left = 0
    failing_call = 0  # 0 = any call, else that one, counted from 1
    error: Callable[[str], BaseException]
    calls: dict[str, int]
    records = RECORDS  # how many records the sources have
    released = RECORDS  # how many of them they may give now
    pause_seconds = 0.0  # after each of them

    @classmethod
    def clear(cls) -> None:
        cls.callback, cls.failures_left, cls.failing_call = "", 0, 0
        cls.error = lambda text: PlannedError(text)
        cls.calls = {}
        cls.records = cls.released = RECORDS
        cls.pause_seconds = 0.0

    @classmethod
    def fail_in(cls, callback: str, times: int = -1, call: int = 0) -> None:
        """From now on `callback` fails, `times` times (-1 = always)."""
        cls.failing_call, cls.failures_left, cls.callback = call, times, callback


Plan.clear()


def here(callback: str) -> None:
    """Fails if `callback` is the one that is to fail; a call of this stands in every callback."""
    number = Plan.calls[callback] = Plan.calls.get(callback, 0) + 1
    if callback == Plan.callback and Plan.failures_left != 0 and Plan.failing_call in (0, number):
        Plan.failures_left -= 1
        raise Plan.error(f"planned failure in {callback}")


class Watched:
    """open and close of a function; they carry its program's name."""

    program = ""

    def open(self, runtime_context):
        here(f"{self.program}.open")

    def close(self):
        here(f"{self.program}.close")


class Assigner(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        here("timestamps.extract_timestamp")
        return value


def timed(numbers: DataStream) -> DataStream:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Assigner())
    return numbers.assign_timestamps_and_watermarks(strategy)


def keyed(numbers: DataStream) -> Any:
    return timed(numbers).key_by(lambda n: n % KEYS)


@dataclass(frozen=True)
class Program:
    """A job around one user function.

    Attributes:
        function: The exported class that the function is a subclass of; None for an object or function of its own kind.
        operator: Name of the function's operator in messages.
        methods: Callbacks, with what a failure's message tells of the call: the record, the key, the timer, or nothing.
        build: Takes a stream of numbers and a folder; gives the stream of results, or None where it ends in a sink.
        source: The function is the source: `build` takes the environment instead of a stream.
        same_each_time: The results are the same in each run, failures or not.
        rows_per_second: Pace of the numbers: a bounded job does not wait for processing-time timers.
    """

    function: type | None
    operator: str
    methods: dict[str, str]
    build: Callable[[Any, Path], DataStream | None]
    source: bool = False
    same_each_time: bool = True
    rows_per_second: float = 0


OPEN = {"open": ""}
