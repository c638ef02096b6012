"""Errors that mean something to Python itself are failures like any other, in whatever callback they are raised."""

import pytest

from headrace import JobStatus, UserFunctionError
from python.callbacks import CALLBACKS, build, env_that_calls
from python.planned_failures import Plan

# Raised where the callback stands in a generator, StopIteration would end that: Python makes it a RuntimeError.
KINDS = [StopIteration, SystemExit, KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit]


@pytest.fixture(autouse=True)
def no_failure_left_over():
    Plan.clear()


def endless(text):
    return endless(text)


def raised(kind, text):
    """An error of the kind as Python itself makes it, where that can be had."""
    if kind is not RecursionError:
        return kind(text)
    try:
        endless(text)
    except RecursionError as error:
        return error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("callback", CALLBACKS)
def test_error_of_a_special_kind_fails_the_job_and_nothing_else(callback, kind, tmp_path):
    program, _ = CALLBACKS[callback]
    env = env_that_calls(callback, tmp_path)
    build(env, program, tmp_path / "out")
    Plan.error = lambda text: raised(kind, text)
    Plan.fail_in(callback)
    client = env.execute_async()
    with pytest.raises(UserFunctionError) as caught:
        client.result()
    assert client.status() == JobStatus.FAILED
    message = str(caught.value)
    assert message.startswith(f"operator '{program.operator}' (subtask 0/1): ")
    expected = [f"raised {kind.__name__}"]
    if kind is StopIteration:
        expected.append("raised RuntimeError: generator raised StopIteration")
    assert any(text in message for text in expected)
