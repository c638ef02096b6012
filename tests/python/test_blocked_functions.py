"""User functions that do not return: Ctrl-C and cancel end the job within its promise, and say where it was stuck."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace import FlatMapFunction, JobStatus, MapFunction, RestartStrategies, RuntimeContext, SourceFunction
from python.streams import checkpointed_env, file_sink, lines_of, new_env

pytestmark = pytest.mark.serial

# What a function does for ever, and whether an exception that is raised in its thread can end it.
BODIES = {
    "a generator that never yields": ("while True: pass", True),
    "a generator in many short sleeps": ("while True: time.sleep(0.001)", True),
    "one long sleep": ("time.sleep(1000)", False),
    "swallowed errors": (
        "while True:\n                try: time.sleep(0.01)\n                except BaseException: pass",
        False,
    ),
}

PROGRAM = """
import sys, time
from headrace import Configuration, KeyedProcessFunction, StreamExecutionEnvironment
from python.streams import checkpointed_env, file_sink

class Stuck(KeyedProcessFunction):
    def process_element(self, value, ctx):
        if value == 300:
            print("stuck", flush=True)
            {body}
        yield value

env = checkpointed_env(sys.argv[1], interval="20 ms")
stream = env.from_collection(range(1000), rows_per_second=1000).key_by(lambda n: n % 3).process(Stuck()).name("stuck here")
stream.sink_to(file_sink(sys.argv[2]))
{run}
"""


def start(body, run, tmp_path):
    tests = Path(__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body, run=run), tmp_path / "chk", tmp_path / "out"],
        env={**os.environ, "PYTHONPATH": str(tests)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "stuck\n"
    return process


@pytest.mark.parametrize("case", BODIES)
@pytest.mark.parametrize("run", ["env.execute()", "list(stream.execute_and_collect())"])
def test_ctrl_c_ends_execute_within_its_promise_and_names_a_function_that_goes_on(tmp_path, case, run):
    body, ends = BODIES[case]
    process = start(body, run, tmp_path)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    out, err = process.communicate(timeout=30)
    seconds = time.monotonic() - started
    assert process.returncode == -signal.SIGINT, out + err
    # The engine gives up after a second; the rest is Python's own start of leaving.
    assert seconds < 2.0
    last = err.strip().splitlines()[-1]
    if ends:
        assert last == "KeyboardInterrupt"
    else:
        assert (
            "KeyboardInterrupt: stopped waiting for operator 'stuck here' (subtask 0/1), which does not return" in last
        )
        assert "(it is at <string>:" in last
        assert "in process_element)" in last
    # What was committed before stays, and nothing else is there.
    committed = sorted(map(int, lines_of(tmp_path / "out")))
    assert committed == list(range(len(committed)))
    assert len(committed) > 50


class StuckMap(MapFunction):
    def open(self, runtime_context: RuntimeContext):
        self.counter = runtime_context.get_metrics_group().counter("calls")

    def map(self, value):
        self.counter.inc()
        time.sleep(4)
        return value


def wait_for_call(client, metric):
    deadline = time.monotonic() + 20
    while client.metrics().get(metric, 0) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_cancel_gives_a_blocked_function_up_after_a_second_and_tells_where_it_is():
    env = new_env()
    env.from_elements(1, 2).map(StuckMap())
    client = env.execute_async()
    wait_for_call(client, "Map.user.calls")
    started = time.monotonic()
    client.cancel().result()
    assert 0.9 < time.monotonic() - started < 1.5
    assert client.status() == JobStatus.CANCELED
    told = client.result().messages[-1]
    assert "stopped waiting for operator 'Map' (subtask 0/1), which does not return (it is at " in told
    assert "test_blocked_functions.py:" in told
    assert "in map)" in told


def test_endless_flat_map_is_interrupted_after_100_ms():
    class Endless(FlatMapFunction):
        def open(self, runtime_context):
            self.counter = runtime_context.get_metrics_group().counter("calls")

        def flat_map(self, value):
            self.counter.inc()
            while True:
                pass
            yield value

    env = new_env()
    env.from_elements(1).flat_map(Endless())
    client = env.execute_async()
    wait_for_call(client, "FlatMap.user.calls")
    started = time.monotonic()
    client.cancel().result()
    assert 0.09 < time.monotonic() - started < 0.6
    assert client.result().messages == []


def test_blocked_function_beside_a_failed_one_ends_the_job_and_says_why_it_does_not_restart():
    def fail(value):
        wait_for_call(client, "Map.user.calls")
        raise RuntimeError("planned failure")

    class LongMap(StuckMap):
        def map(self, value):
            self.counter.inc()
            time.sleep(13)
            return value

    env = new_env()
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, "1 ms"))
    numbers = env.from_elements(1)
    numbers.map(LongMap()).disable_chaining()
    numbers.map(fail).name("failing").disable_chaining()
    client = env.execute_async()
    with pytest.raises(
        RuntimeError, match=r"stopped waiting for operator 'Map' .* in map\); the job cannot restart"
    ) as caught:
        client.result()
    assert "planned failure" in str(caught.value)
    assert client.status() == JobStatus.FAILED


class Deaf(SourceFunction):
    """Does not look whether it was cancelled."""

    def __init__(self, body):
        self.body = body

    def run(self, ctx):
        ctx.collect(1)
        self.body()


def spin():
    while True:
        pass


def test_endless_run_of_a_source_is_interrupted():
    env = new_env()
    env.add_source(Deaf(spin)).map(lambda n: n).name("m")
    client = env.execute_async()
    wait_for_call(client, "m.rows_in")
    started = time.monotonic()
    client.cancel().result()
    assert time.monotonic() - started < 1.0
    assert client.result().messages == ["at least once from source Custom Source"]


def test_run_that_cannot_be_interrupted_is_left_behind_and_named():
    env = new_env()
    env.add_source(Deaf(lambda: time.sleep(5)), "deaf").map(lambda n: n).name("m")
    client = env.execute_async()
    wait_for_call(client, "m.rows_in")
    started = time.monotonic()
    client.cancel().result()
    assert time.monotonic() - started < 1.0
    assert any("operator 'deaf'" in m and "does not return after cancel()" in m for m in client.result().messages)


def test_files_written_by_an_abandoned_job_are_not_taken_over(tmp_path):
    env = checkpointed_env(tmp_path / "chk", interval="20 ms")
    env.from_collection(range(10)).map(StuckMap()).sink_to(file_sink(tmp_path / "out"))
    client = env.execute_async("abandoned")
    wait_for_call(client, "Map.user.calls")
    client.cancel().result()
    assert client.status() == JobStatus.CANCELED
    assert lines_of(tmp_path / "out") == []
