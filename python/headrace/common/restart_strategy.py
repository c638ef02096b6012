"""What happens after a failure (PyFlink's `pyflink.common.restart_strategy`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headrace.common.time import DurationLike, to_milliseconds


@dataclass(frozen=True)
class RestartStrategyConfiguration:
    """A restart strategy; made by `RestartStrategies`."""

    kind: str
    attempts: int = 0
    delay_ms: int = 0
    backoff_multiplier: float = 1.5
    max_delay_ms: int = 60_000
    reset_after_ms: int = 3_600_000

    def _describe(self) -> dict[str, Any]:
        return dict(self.__dict__)


class RestartStrategies:
    """Makers of restart strategies."""

    @staticmethod
    def no_restart() -> RestartStrategyConfiguration:
        """A failure ends the job."""
        return RestartStrategyConfiguration("none")

    @staticmethod
    def fall_back_restart() -> RestartStrategyConfiguration:
        """Headrace's default: errors of user code end the job, I/O errors are retried three times."""
        return RestartStrategyConfiguration("default")

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: DurationLike
    ) -> RestartStrategyConfiguration:
        """Restarts up to `restart_attempts` times, each after the delay."""
        if restart_attempts < 0:
            raise ValueError(f"restart_attempts: must not be negative, got {restart_attempts}")
        delay_ms = to_milliseconds(delay_between_attempts, "delay_between_attempts")
        return RestartStrategyConfiguration("fixed_delay", restart_attempts, delay_ms)

    @staticmethod
    def exponential_delay_restart(
        initial_backoff: DurationLike = "1 s",
        max_backoff: DurationLike = "1 min",
        backoff_multiplier: float = 1.5,
        reset_backoff_threshold: DurationLike = "1 h",
        attempts: int = -1,
    ) -> RestartStrategyConfiguration:
        """Restarts with growing delays; `attempts` -1 = for ever."""
        return RestartStrategyConfiguration(
            "exponential_delay",
            attempts,
            to_milliseconds(initial_backoff, "initial_backoff"),
            backoff_multiplier,
            to_milliseconds(max_backoff, "max_backoff"),
            to_milliseconds(reset_backoff_threshold, "reset_backoff_threshold"),
        )
