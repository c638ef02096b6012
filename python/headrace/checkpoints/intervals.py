"""The decision log of the adaptive interval, as it lies beside a job's checkpoints."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

LOG_NAME = "interval-decisions.jsonl"


@dataclass(frozen=True)
class LoggedInterval:
    """What `enable_adaptive_interval` saw in one checkpoint, and chose after it.

    Attributes:
        checkpoint: Its number.
        decided: When, in UTC.
        interval_ms: The interval that followed.
        why: Which bound or optimum it is.
        interval_s: From the trigger before the checkpoint to its own.
        seconds: From the trigger to the end of the checkpoint.
        bytes: Written by it.
        state_bytes: S, the size of all state.
        rows: Read by sources in `interval_s`.
        change_rate: Bytes that become dirty a second, as estimated.
        dirty_bytes: D, expected at the end of the interval.
        budget_rate: F, bytes a second that may be sent.
        fixed_s: What a checkpoint takes whatever its size.
        replay_share: Seconds of replay for a second that was lost.
        budget_ms: The shortest interval that the budget sustains.
        optimum_ms: That of the least sum of overhead and expected replay.
        recovery_ms: The longest that meets the recovery target; -1: there is none.
        run: Number of the process run that took the checkpoint.
    """

    checkpoint: int
    decided: datetime
    interval_ms: int
    why: str
    interval_s: float = 0.0
    seconds: float = 0.0
    bytes: float = 0.0
    state_bytes: float = 0.0
    rows: float = 0.0
    change_rate: float = 0.0
    dirty_bytes: float = 0.0
    budget_rate: float = 0.0
    fixed_s: float = 0.0
    replay_share: float = 0.0
    budget_ms: int = 0
    optimum_ms: int = 0
    recovery_ms: int = -1
    run: int = 0


_NAMES = {field.name for field in dataclasses.fields(LoggedInterval)}


def read_log(directory: Path) -> list[LoggedInterval]:
    """The decisions logged in a job's directory, oldest first; none where the interval does not adapt."""
    try:
        return parse_log((directory / LOG_NAME).read_bytes())
    except OSError:
        return []


def parse_log(content: bytes) -> list[LoggedInterval]:
    """The decisions in a log, oldest first, without lines that were cut off or damaged."""
    lines = content.decode("utf-8", errors="replace").splitlines()
    return [entry for line in lines if (entry := _parsed(line)) is not None]


def _parsed(line: str) -> LoggedInterval | None:
    """A line; None for one that was cut off or damaged: nothing depends on it."""
    try:
        values: dict[str, Any] = json.loads(line)
        decided = datetime.fromtimestamp(values.pop("decided_ms") / 1000, timezone.utc)
        return LoggedInterval(decided=decided, **{name: value for name, value in values.items() if name in _NAMES})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, OSError):
        return None
