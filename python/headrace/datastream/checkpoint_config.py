"""Checkpoint settings of an environment (PyFlink's `pyflink.datastream.checkpoint_config`)."""

from __future__ import annotations

from enum import Enum
from typing import Any

from headrace.common.configuration import Configuration
from headrace.common.time import DurationLike, to_milliseconds

INTERVAL = "execution.checkpointing.interval"
TIMEOUT = "execution.checkpointing.timeout"
MIN_PAUSE = "execution.checkpointing.min-pause"
MODE = "execution.checkpointing.mode"
DIRECTORY = "execution.checkpointing.dir"
RETAINED = "execution.checkpointing.num-retained"
TOLERABLE_FAILURES = "execution.checkpointing.tolerable-failed-checkpoints"
MAX_CONCURRENT = "execution.checkpointing.max-concurrent-checkpoints"
RETENTION = "execution.checkpointing.externalized-checkpoint-retention"
SAVEPOINT_DIRECTORY = "execution.checkpointing.savepoint-dir"
UNALIGNED = "execution.checkpointing.unaligned.enabled"


class CheckpointingMode(Enum):
    """What checkpoints promise."""

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1


class IntervalEstimator(Enum):
    """Which checkpoints an adaptive interval learns from."""

    SLIDING_WINDOW = 0
    TIME_WINDOW = 1


class ExternalizedCheckpointRetention(Enum):
    """Which ends of a job its checkpoints outlive. Savepoints outlive all."""

    DELETE_ON_CANCELLATION = 0
    RETAIN_ON_CANCELLATION = 1
    NO_EXTERNALIZED_CHECKPOINTS = 2


class CheckpointConfig:
    """A view of the checkpoint options of an environment's configuration."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._adaptive: dict[str, Any] | None = None

    def is_checkpointing_enabled(self) -> bool:
        """True when an interval is set, or adapts."""
        return self.get_checkpoint_interval() > 0 or self._adaptive is not None

    def enable_adaptive_interval(
        self,
        min: DurationLike,
        max: DurationLike,
        target_overhead: float = 0.05,
        target_recovery_time: DurationLike | None = None,
        *,
        mean_time_between_failures: DurationLike = "24 h",
        estimator: IntervalEstimator = IntervalEstimator.SLIDING_WINDOW,
        window: int | str | None = None,
    ) -> CheckpointConfig:
        """Lets the interval follow the rate at which state changes (document 004's T = D / F).

        After each checkpoint the next interval is the one at which checkpoints and expected replay cost least, but never
        shorter than the byte budget sustains: D bytes are dirty by then, F = target_overhead x the measured speed of
        writing may be sent a second. `JobClient.checkpoints()` tells each decision with its inputs under "interval".

        Args:
            min: Shortest interval, at least 10 ms; the first one, unless an interval is set.
            max: Longest interval.
            target_overhead: Share of the time that checkpoints may take, above 0 and at most 1.
            target_recovery_time: How long restore and replay after a failure may take; the byte budget goes first.
            mean_time_between_failures: How often a failure is expected: what replay is weighed with.
            estimator: SLIDING_WINDOW rests on the last checkpoints, TIME_WINDOW on those of the last time.
            window: How many checkpoints (4 unless given), or how long ("60 s").

        Raises:
            ValueError: limits that contradict each other.
        """
        min_ms, max_ms = to_milliseconds(min, "min"), to_milliseconds(max, "max")
        if min_ms < 10 or max_ms < min_ms:
            raise ValueError(f"adaptive interval: needs 10 ms <= min <= max, got {min_ms} ms and {max_ms} ms")
        if not 0 < target_overhead <= 1:
            raise ValueError(f"target_overhead: must be above 0 and at most 1, got {target_overhead}")
        over_time = estimator is IntervalEstimator.TIME_WINDOW
        options: dict[str, Any] = {
            "min_ms": min_ms,
            "max_ms": max_ms,
            "target_overhead": float(target_overhead),
            "failure_every_ms": to_milliseconds(mean_time_between_failures, "mean_time_between_failures"),
            "over_time": over_time,
        }
        if target_recovery_time is not None:
            options["target_recovery_ms"] = to_milliseconds(target_recovery_time, "target_recovery_time")
        if over_time:
            options["window_ms"] = to_milliseconds("60 s" if window is None else window, "window")
        else:
            options["last_checkpoints"] = 4 if window is None else int(window)
        if (
            options["failure_every_ms"] <= 0
            or options.get("window_ms", 1) <= 0
            or options.get("last_checkpoints", 1) <= 0
        ):
            raise ValueError("adaptive interval: window and mean_time_between_failures must be above 0")
        self._adaptive = options
        return self

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

    def is_fail_on_checkpointing_errors(self) -> bool:
        """True when the first checkpoint that fails ends the attempt (PyFlink's older form of tolerable failures)."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> CheckpointConfig:
        """False tolerates any number of failures in a row."""
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else 2**31 - 1)

    def get_max_concurrent_checkpoints(self) -> int:
        """Always 1."""
        return _only_one(self._configuration.get_integer(MAX_CONCURRENT, 1))

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        """Accepts 1, which is what headrace does.

        A table of state has one frozen view at a time: it shares its pages with the table until they are written. A
        second one beside it would have to copy them all.

        Raises:
            ValueError: another number than 1.
        """
        self._configuration.set_integer(MAX_CONCURRENT, _only_one(max_concurrent_checkpoints))
        return self

    def get_num_retained_checkpoints(self) -> int:
        """How many usable checkpoints are kept; one older stays until two newer are complete."""
        number = self._configuration.get_integer(RETAINED, 1)
        if number is None or number < 1:
            raise ValueError(f"{RETAINED}: must be at least 1, got {number}")
        return number

    def set_num_retained_checkpoints(self, number: int) -> CheckpointConfig:
        """Sets how many usable checkpoints are kept, at least 1."""
        if number < 1:
            raise ValueError(f"{RETAINED}: must be at least 1, got {number}")
        self._configuration.set_integer(RETAINED, number)
        return self

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention:
        """What becomes of the checkpoints when the job ends.

        RETAIN_ON_CANCELLATION unless set otherwise, where PyFlink has NO_EXTERNALIZED_CHECKPOINTS: the final checkpoint
        says that the job has ended, and a job that was cancelled resumes from `latest`.
        """
        name = str(self._configuration.get_string(RETENTION, "RETAIN_ON_CANCELLATION")).upper().replace("-", "_")
        if name not in ExternalizedCheckpointRetention.__members__:
            names = ", ".join(ExternalizedCheckpointRetention.__members__)
            raise ValueError(f"{RETENTION}: {name!r} is unknown; use one of {names}")
        return ExternalizedCheckpointRetention[name]

    def set_externalized_checkpoint_retention(self, retention: ExternalizedCheckpointRetention) -> CheckpointConfig:
        """Chooses what becomes of the checkpoints when the job ends.

        Args:
            retention: RETAIN_ON_CANCELLATION keeps them, DELETE_ON_CANCELLATION deletes them when the job is cancelled,
                NO_EXTERNALIZED_CHECKPOINTS at every end of the job. A process that is killed deletes nothing.
        """
        self._configuration.set_string(RETENTION, retention.name)
        return self

    set_externalized_checkpoint_cleanup = set_externalized_checkpoint_retention
    get_externalized_checkpoint_cleanup = get_externalized_checkpoint_retention
    enable_externalized_checkpoints = set_externalized_checkpoint_retention

    def is_externalized_checkpoints_enabled(self) -> bool:
        """True when checkpoints outlive the job at some of its ends."""
        retention = self.get_externalized_checkpoint_retention()
        return retention is not ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Always False: barriers are aligned."""
        return False

    def is_force_unaligned_checkpoints(self) -> bool:
        """Always False: barriers are aligned."""
        return False

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        """Accepts False.

        Raises:
            ValueError: True; barriers are aligned, which waits for a batch in flight and no longer.
        """
        if enabled:
            raise ValueError(f"{UNALIGNED}: headrace aligns barriers; unaligned checkpoints are not built yet")
        return self

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        """Nothing to do: barriers are aligned."""
        return self

    def set_checkpoint_storage_dir(self, checkpoint_path: str) -> CheckpointConfig:
        """Sets the directory that holds the checkpoints."""
        self._configuration.set_string(DIRECTORY, str(checkpoint_path))
        return self

    def get_checkpoint_storage_dir(self) -> str | None:
        """The directory that holds the checkpoints, None when there is none."""
        return self._configuration.get_string(DIRECTORY)

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        """Exactly once unless set otherwise."""
        return self.get_checkpointing_mode()

    def set_checkpointing_consistency_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        """Set explicitly, EXACTLY_ONCE refuses sources without a position."""
        return self.set_checkpointing_mode(checkpointing_mode)

    def _describe(self) -> dict[str, Any]:
        """Options of the core's job."""
        self.get_max_concurrent_checkpoints()
        if self._configuration.get_boolean(UNALIGNED, False):
            self.enable_unaligned_checkpoints()
        interval_ms = self.get_checkpoint_interval()
        adaptive = {}
        if self._adaptive is not None:
            adaptive = {"adaptive_interval": self._adaptive}
            limits = self._adaptive["min_ms"], self._adaptive["max_ms"]
            interval_ms = min(max(interval_ms, limits[0]), limits[1])
        return {
            **adaptive,
            "checkpoint_interval_ms": interval_ms,
            "checkpoint_timeout_ms": self.get_checkpoint_timeout(),
            "checkpoint_min_pause_ms": self.get_min_pause_between_checkpoints(),
            "tolerable_checkpoint_failures": self.get_tolerable_checkpoint_failure_number(),
            "at_least_once": self.get_checkpointing_mode() is CheckpointingMode.AT_LEAST_ONCE,
            "retained_checkpoints": self.get_num_retained_checkpoints(),
            "checkpoint_retention": _RETENTIONS[self.get_externalized_checkpoint_retention()],
        }


_RETENTIONS = {
    ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION: "on_cancellation",
    ExternalizedCheckpointRetention.DELETE_ON_CANCELLATION: "on_failure",
    ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS: "never",
}


def _only_one(number: int | None) -> int:
    if number != 1:
        raise ValueError(
            f"{MAX_CONCURRENT}: must be 1, got {number}: a table of state has one frozen view at a time, so a second "
            "checkpoint starts when the first is written"
        )
    return 1


def _number_or_text(value: str) -> int | str:
    try:
        return int(value)
    except ValueError:
        return value
