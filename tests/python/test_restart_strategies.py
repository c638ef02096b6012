"""Failure-rate restarts: from the API and from the configuration."""

import pytest

from headrace import Configuration, RestartStrategies, Time, UserFunctionError
from headrace.common.restart_strategy import restart_strategy_of
from python.streams import new_env


def failing_job(env, times):
    """A job that fails `times` times and then ends; gives its client."""
    failures = []

    def fail(value):
        if len(failures) < times:
            failures.append(value)
            raise RuntimeError("planned failure")
        return value

    env.from_collection([1]).map(fail)
    return env.execute_async()


@pytest.mark.parametrize("configured", [False, True])
def test_job_restarts_until_an_interval_has_too_many_failures(configured):
    def env():
        if configured:
            return new_env(
                restart_strategy__type="failure-rate",
                restart_strategy__failure_rate__max_failures_per_interval="3",
                restart_strategy__failure_rate__failure_rate_interval="1 h",
                restart_strategy__failure_rate__delay="1 ms",
            )
        made = new_env()
        made.set_restart_strategy(RestartStrategies.failure_rate_restart(3, Time.hours(1), Time.milliseconds(1)))
        return made

    assert len(failing_job(env(), 3).result().recoveries) == 3
    with pytest.raises(UserFunctionError, match="planned failure"):
        failing_job(env(), 4).result()


def test_configuration_has_flinks_keys_and_defaults():
    def described(**options):
        return restart_strategy_of(Configuration.from_dict({f"restart-strategy.{k}": v for k, v in options.items()}))

    assert described(type="failure-rate") == RestartStrategies.failure_rate_restart(1, "1 min", "1 s")
    assert described(type="fixed-delay") == RestartStrategies.fixed_delay_restart(1, "1 s")
    assert described(type="exponential-delay") == RestartStrategies.exponential_delay_restart()
    assert described(type="none") == RestartStrategies.no_restart()
    assert described() == RestartStrategies.fall_back_restart()
    with pytest.raises(ValueError, match=r"restart-strategy\.type: 'sometimes'.*failure-rate"):
        described(type="sometimes")
    with pytest.raises(ValueError, match=r"restart-strategy\.failure-rate\.delay"):
        described(type="failure-rate", **{"failure-rate.delay": "soon"})


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="failure_rate"):
        RestartStrategies.failure_rate_restart(0, "1 s", "1 s")
    with pytest.raises(ValueError, match="failure_interval"):
        RestartStrategies.failure_rate_restart(1, "0 s", "1 s")
