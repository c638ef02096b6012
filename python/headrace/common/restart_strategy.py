"""What happens after a failure (PyFlink's `pyflink.common.restart_strategy`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.common.time import DurationLike, to_milliseconds

if TYPE_CHECKING:
    from headrace.common.configuration import Configuration


@dataclass(frozen=True)
class RestartStrategyConfiguration:
    """A restart strategy; made by `RestartStrategies`."""

    kind: str
    attempts: int = 0
    delay_ms: int = 0
    backoff_multiplier: float = 1.5
    max_delay_ms: int = 60_000
    reset_after_ms: int = 3_600_000
    interval_ms: int = 60_000

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

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: DurationLike, delay_interval: DurationLike
    ) -> RestartStrategyConfiguration:
        """Restarts, each time after `delay_interval`, until more than `failure_rate` failures fall into one interval.

        Raises:
            ValueError: `failure_rate` is less than 1, or the interval is not positive.
        """
        if failure_rate < 1:
            raise ValueError(f"failure_rate: must be at least 1, got {failure_rate}")
        interval_ms = to_milliseconds(failure_interval, "failure_interval")
        if interval_ms <= 0:
            raise ValueError(f"failure_interval: must be positive, got {failure_interval!r}")
        delay_ms = to_milliseconds(delay_interval, "delay_interval")
        return RestartStrategyConfiguration("failure_rate", failure_rate, delay_ms, interval_ms=interval_ms)


def restart_strategy_of(configuration: Configuration) -> RestartStrategyConfiguration:
    """The strategy that Flink's `restart-strategy.*` keys ask for; headrace's default where they ask for none.

    Raises:
        ValueError: an unknown `restart-strategy.type`, or a value out of range.
    """

    def duration(key: str, default: str) -> int:
        key = f"restart-strategy.{key}"
        return to_milliseconds(configuration.get_string(key) or default, key)

    def number(key: str, default: int) -> int:
        value = configuration.get_integer(f"restart-strategy.{key}", default)
        return default if value is None else value

    kind = configuration.get_string("restart-strategy.type")
    if kind is None:
        return RestartStrategies.fall_back_restart()
    if kind in ("none", "off", "disable"):
        return RestartStrategies.no_restart()
    if kind in ("fixed-delay", "fixeddelay"):
        return RestartStrategies.fixed_delay_restart(
            number("fixed-delay.attempts", 1), duration("fixed-delay.delay", "1 s")
        )
    if kind in ("exponential-delay", "exponentialdelay"):
        return RestartStrategies.exponential_delay_restart(
            duration("exponential-delay.initial-backoff", "1 s"),
            duration("exponential-delay.max-backoff", "1 min"),
            configuration.get_float("restart-strategy.exponential-delay.backoff-multiplier", 1.5) or 1.5,
            duration("exponential-delay.reset-backoff-threshold", "1 h"),
        )
    if kind in ("failure-rate", "failurerate"):
        return RestartStrategies.failure_rate_restart(
            number("failure-rate.max-failures-per-interval", 1),
            duration("failure-rate.failure-rate-interval", "1 min"),
            duration("failure-rate.delay", "1 s"),
        )
    raise ValueError(
        f"restart-strategy.type: {kind!r} is unknown; use none, fixed-delay, exponential-delay or failure-rate"
    )
