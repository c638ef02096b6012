"""Checkpoint settings of an environment (PyFlink's `pyflink.datastream.checkpoint_config`)."""

from __future__ import annotations

from enum import Enum

from headrace.common.configuration import Configuration
from headrace.common.time import DurationLike, to_milliseconds

INTERVAL = "execution.checkpointing.interval"
TIMEOUT = "execution.checkpointing.timeout"
MIN_PAUSE = "execution.checkpointing.min-pause"
MODE = "execution.checkpointing.mode"
DIRECTORY = "execution.checkpointing.dir"
RETAINED = "execution.checkpointing.num-retained"
TOLERABLE_FAILURES = "execution.checkpointing.tolerable-failed-checkpoints"


class CheckpointingMode(Enum):
    """What checkpoints promise."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1


class CheckpointConfig:
    """A view of the checkpoint options of an environment's configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def is_checkpointing_enabled(self) -> bool:
        """True when an interval is set."""
        return self.get_checkpoint_interval() > 0

    def get_checkpoint_interval(self) -> int:
        """Milliseconds between two checkpoints, -1 when they are off."""
        value = self._configuration.get_string(INTERVAL)
        return -1 if value is None else to_milliseconds(_number_or_text(value), INTERVAL)

    def set_checkpoint_interval(self, checkpoint_interval: DurationLike) -> CheckpointConfig:
        """Sets the time between two checkpoints, at least 10 ms.

        Raises:
            ValueError: less than 10 ms.
        """
        interval_ms = to_milliseconds(checkpoint_interval, INTERVAL)
        if interval_ms < 10:
            raise ValueError(f"{INTERVAL}: must be at least 10 ms, got {interval_ms} ms")
        self._configuration.set_integer(INTERVAL, interval_ms)
        return self

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """Exactly once unless set otherwise."""
        return CheckpointingMode[str(self._configuration.get_string(MODE, "EXACTLY_ONCE")).upper().replace("-", "_")]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        """Set explicitly, EXACTLY_ONCE refuses sources without a position."""
        self._configuration.set_string(MODE, checkpointing_mode.name)
        return self

    def get_checkpoint_timeout(self) -> int:
        """Milliseconds after which a checkpoint is given up."""
        return to_milliseconds(_number_or_text(self._configuration.get_string(TIMEOUT, "600000") or "600000"), TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: DurationLike) -> CheckpointConfig:
        """Sets how long a checkpoint may take."""
        self._configuration.set_integer(TIMEOUT, to_milliseconds(checkpoint_timeout, TIMEOUT))
        return self

    def get_min_pause_between_checkpoints(self) -> int:
        """Milliseconds between the end of one checkpoint and the start of the next."""
        return to_milliseconds(_number_or_text(self._configuration.get_string(MIN_PAUSE, "0") or "0"), MIN_PAUSE)

    def set_min_pause_between_checkpoints(self, min_pause: DurationLike) -> CheckpointConfig:
        """Sets the least pause between checkpoints."""
        self._configuration.set_integer(MIN_PAUSE, to_milliseconds(min_pause, MIN_PAUSE))
        return self

    def get_tolerable_checkpoint_failure_number(self) -> int:
        """How many checkpoints in a row may fail before the job does."""
        return self._configuration.get_integer(TOLERABLE_FAILURES, 0) or 0

    def set_tolerable_checkpoint_failure_number(self, number: int) -> CheckpointConfig:
        """Sets how many checkpoints in a row may fail."""
        if number < 0:
            raise ValueError(f"{TOLERABLE_FAILURES}: must not be negative, got {number}")
        self._configuration.set_integer(TOLERABLE_FAILURES, number)
        return self

    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> CheckpointConfig:
        """Sets the directory that holds the checkpoints."""
        self._configuration.set_string(DIRECTORY, str(checkpoint_path))
        return self

    def get_checkpoint_storage_dir(self) -> str | None:
        """The directory that holds the checkpoints, None when there is none."""
        return self._configuration.get_string(DIRECTORY)


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
