"""User functions that raise, in every callback there is."""

import re
import traceback

import pytest

import headrace
from headrace import (
    Function,
    JobStatus,
    OutputTag,
    ProcessFunction,
    RestartStrategies,
    SourceFunction,
    Types,
    UserFunctionError,
)  # fmt: skip
from python.callbacks import (
    CALLBACKS,
    NOT_CALLED,
    PROGRAMS,
    Feed,
    Generating,
    Map,
    build,
    callbacks_of_the_api,
    env_that_calls,
)  # fmt: skip
from python.planned_failures import RECORDS, Plan, PlannedError
from python.streams import checkpointed_env, file_sink, lines_of, new_env


@pytest.fixture(autouse=True)
def no_failure_left_over():
    Plan.clear()


def numbers(env):
    return env.from_collection(range(RECORDS))


def callbacks_without_a_program():
    covered = {(program.function, name.split(".", 1)[1]) for name, (program, _) in CALLBACKS.items()}
    covered |= {(program.function, "close") for program in PROGRAMS.values() if "open" in program.methods}
    covered |= {(SourceFunction, "cancel")}  # has a test of its own below
    return {f"{function.__name__}.{method}" for function, method in callbacks_of_the_api() - covered - NOT_CALLED}


def test_every_callback_of_the_api_has_a_program():
    assert callbacks_without_a_program() == set()
    assert len(callbacks_of_the_api()) >= 45


def test_new_class_or_method_without_a_program_is_found(monkeypatch):
    class CoMapFunction(Function):
        __module__ = "headrace.datastream.functions"

        def map1(self, value):
            return value

    monkeypatch.setattr(headrace, "CoMapFunction", CoMapFunction, raising=False)
    monkeypatch.setattr(headrace, "__all__", [*headrace.__all__, "CoMapFunction"])
    monkeypatch.setattr(headrace.MapFunction, "map_twice", lambda self, value: value, raising=False)
    assert callbacks_without_a_program() == {
        "CoMapFunction.map1", "CoMapFunction.open", "CoMapFunction.close", "MapFunction.map_twice"
    }  # fmt: skip


@pytest.mark.parametrize("callback", CALLBACKS)
def test_callback_that_raises_fails_the_job_with_operator_record_and_traceback(callback, tmp_path):
    program, told = CALLBACKS[callback]
    env = env_that_calls(callback, tmp_path)
    build(env, program, tmp_path / "out")
    Plan.fail_in(callback)
    client = env.execute_async()
    with pytest.raises(UserFunctionError, match=rf"^operator '{program.operator}' \(subtask 0/1\): ") as caught:
        client.result()
    assert client.status() == JobStatus.FAILED
    message = str(caught.value)
    assert f"PlannedError: planned failure in {callback} (" in message
    assert "planned_failures.py:" in message
    assert (f", {told}" in message) if told else not re.search(r", (record|key|timer) ", message)
    cause = caught.value.__cause__
    if callback == "source.snapshot_state":  # which `run` calls through ctx.collect
        cause = cause.__cause__
    assert isinstance(cause, PlannedError)
    frames = traceback.extract_tb(cause.__traceback__)
    assert frames[-1].name == "here"
    assert len(frames) >= (1 if callback == "source.snapshot_state" else 2)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_job_restarts_and_ends_well_when_the_callback_recovers(callback, tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="10 ms")
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(2, "1 ms"))
    build(env, CALLBACKS[callback][0], tmp_path / "out")
    Plan.fail_in(callback, times=2)
    client = env.execute_async()
    result = client.result()
    assert client.status() == JobStatus.FINISHED
    assert [f"planned failure in {callback}" in recovery["cause"] for recovery in result.recoveries] == [True, True]


@pytest.mark.parametrize("name", [name for name, program in PROGRAMS.items() if "open" in program.methods])
def test_close_that_raises_fails_a_job_whose_output_is_committed(name, tmp_path):
    env = checkpointed_env(tmp_path / "chk")
    numbers(env).sink_to(file_sink(tmp_path / "out"))
    build(env, PROGRAMS[name], tmp_path / "elsewhere")
    Plan.fail_in(f"{name}.close")
    client = env.execute_async()
    with pytest.raises(UserFunctionError, match=rf"operator '{PROGRAMS[name].operator}' .*\.close raised PlannedError"):
        client.result()
    assert client.status() == JobStatus.FAILED
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(RECORDS))


def test_close_that_raises_behind_a_failure_does_not_hide_it():
    class Both(Map):
        def map(self, value):
            raise KeyError("the first failure")

    env = new_env()
    numbers(env).map(Both())
    Plan.fail_in("map.close")
    with pytest.raises(UserFunctionError, match=r"map raised KeyError: 'the first failure'"):
        env.execute()


def test_close_that_raises_while_a_job_is_cancelled_is_told_in_its_messages():
    env = new_env()
    env.from_sequence(0, 10**12).map(Map())
    Plan.fail_in("map.close")
    client = env.execute_async()
    while client.metrics().get("Map.rows_in", 0) == 0:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    assert client.status() == JobStatus.CANCELED
    assert any("Map.close raised PlannedError" in message for message in client.result().messages)


class Endless(SourceFunction):
    def __init__(self):
        self.cancelled = False

    def run(self, ctx):
        number = 0
        while not self.cancelled:
            ctx.collect(number)
            number += 1

    def cancel(self):
        self.cancelled = True
        raise PlannedError("planned failure in cancel")


def test_cancel_that_raises_does_not_keep_the_job():
    env = new_env()
    env.add_source(Endless()).map(lambda n: n).name("m")
    client = env.execute_async()
    while client.metrics().get("m.rows_in", 0) == 0:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    assert client.status() == JobStatus.CANCELED


def test_restore_state_that_raises_fails_the_resumed_job(tmp_path):
    def program(resume):
        env = checkpointed_env(tmp_path / "chk", interval="10 ms", resume=resume)
        env.add_source(Feed(), "resumed", rows_per_second=0 if resume else 50).uid("source")
        return env

    client = program(resume=False).execute_async("resumed")
    while client.metrics().get("job.checkpoints_completed", 0) < 5:  # the first ones may be of no record
        assert not client.status().is_terminal_state()
    client.cancel().result()
    Plan.fail_in("source.restore_state")
    with pytest.raises(UserFunctionError, match=r"operator 'resumed' .*restore_state raised PlannedError"):
        program(resume=True).execute("resumed")
    Plan.failures_left = 0
    assert program(resume=True).execute("resumed").metrics["resumed.rows_read"] <= RECORDS


@pytest.mark.parametrize(
    "error",
    [StopIteration(3), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), MemoryError(), RecursionError("deep")],
)
@pytest.mark.parametrize("generator", [False, True])
def test_errors_with_a_meaning_of_their_own_are_failures_too(error, generator):
    def raising(value):
        if value == 7:
            raise error
        return [value]

    def generating(value):
        yield from raising(value)

    env = new_env()
    numbers(env).flat_map(generating if generator else raising)
    client = env.execute_async()
    expected = (
        "RuntimeError: generator raised StopIteration"
        if generator and type(error) is StopIteration
        else type(error).__name__
    )
    with pytest.raises(UserFunctionError, match=rf"operator 'FlatMap' .*raised {expected}.*, record 7"):
        client.result()
    assert client.status() == JobStatus.FAILED


def test_results_before_the_error_do_not_leave_a_job_without_checkpoints(tmp_path):
    env = new_env()
    numbers(env).flat_map(Generating()).sink_to(file_sink(tmp_path / "out"))
    Plan.fail_in("flat_map as a generator.flat_map")
    with pytest.raises(UserFunctionError, match="planned failure in flat_map as a generator"):
        env.execute()
    assert lines_of(tmp_path / "out") == []


def test_type_of_a_side_output_that_cannot_be_described_fails_by_name():
    class Odd:
        def _describe(self):
            raise PlannedError("planned failure in a type")

    class Tagging(ProcessFunction):
        def process_element(self, value, ctx):
            yield OutputTag("odd", Odd()), value

    env = new_env()
    numbers(env).process(Tagging()).get_side_output(OutputTag("odd", Types.LONG())).print()
    with pytest.raises(
        UserFunctionError, match=r"operator 'Process' .*the type of side output 'odd' raised PlannedError"
    ):
        env.execute()
