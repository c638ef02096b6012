"""Starting, watching and stopping jobs."""

import json
import threading
import time

import pytest

from headrace import JobStatus, SourceFunction, Types
from python.streams import checkpointed_env, collect, new_env


def test_async_job_reports_status_metrics_and_result():
    env = new_env()
    env.from_sequence(1, 2000, rows_per_second=4000).map(lambda x: x).name("m")
    client = env.execute_async("watched")
    assert client.status() in (JobStatus.RUNNING, JobStatus.CREATED)
    result = client.result()
    assert client.status() == JobStatus.FINISHED
    assert result.metrics["m.rows_in"] == 2000 == result.metrics["m.rows_out"]


@pytest.mark.parametrize("python_map", [True, False])
def test_cancel_stops_within_a_second(python_map):
    env = new_env()
    stream = env.from_sequence(0, 10**12)
    if python_map:
        stream = stream.map(lambda x: x + 1)
    stream.key_by(lambda x: x % 10).map(lambda x: x)
    client = env.execute_async()
    time.sleep(0.3)
    started = time.monotonic()
    client.cancel().result()
    assert time.monotonic() - started < 1.0
    assert client.status() == JobStatus.CANCELED


def test_generator_that_never_yields_can_be_cancelled():
    def silent(value):
        while True:
            time.sleep(0.001)
        yield value

    env = new_env()
    env.from_elements(1).flat_map(silent)
    client = env.execute_async()
    time.sleep(0.2)
    started = time.monotonic()
    client.cancel()
    client._job.wait(3000)
    assert time.monotonic() - started < 2.5


def test_explain_and_plan():
    env = new_env(2)
    env.from_collection([1, 2]).map(lambda x: x).name("double").key_by(lambda x: x).map(lambda x: x).print()
    text = env.explain()
    assert "double" in text
    assert "hash" in text.lower()
    assert "Python" in text
    assert "at least once" in text
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert any(p["ship_strategy"] == "HASH" for node in nodes for p in node.get("predecessors", []))
    assert nodes[0]["pact"] == "Data Source"


def test_print_prefixes_subtasks_only_in_parallel(capfd):
    env = new_env()
    env.from_elements("x").print()
    env.execute()
    env = new_env(2)
    env.from_elements("y").map(lambda v: v).print("id")
    env.execute()
    out = capfd.readouterr().out.split("\n")
    assert out[0] == "x"
    assert out[1] in ("id:1> y", "id:2> y")


class Numbers(SourceFunction):
    def __init__(self, n):
        self.n = n
        self.cancelled = False

    def run(self, ctx):
        for i in range(self.n):
            if self.cancelled:
                return
            ctx.collect(i)

    def cancel(self):
        self.cancelled = True


def test_source_function_and_iterators():
    assert collect(new_env().add_source(Numbers(5000)).map(lambda x: x)) == list(range(5000))
    assert collect(new_env().add_source(iter([1, 2, 3]))) == [1, 2, 3]
    assert collect(new_env().add_source(lambda: (i * i for i in range(4)), type_info=Types.LONG())) == [0, 1, 4, 9]


def test_source_without_position_is_at_least_once_and_says_so(tmp_path):
    env = checkpointed_env(tmp_path)
    env.add_source(Numbers(10), "numbers")
    assert "at least once" in env.explain()
    assert any("at least once from source numbers" in m for m in env.execute().messages)


def test_source_without_position_is_refused_when_exactly_once_is_asked(tmp_path):
    env = checkpointed_env(tmp_path)
    env.get_checkpoint_config().set_checkpointing_mode(env.get_checkpointing_mode())
    env.add_source(Numbers(10), "numbers")
    with pytest.raises(Exception, match="numbers"):
        env.execute()


def test_two_jobs_at_once():
    results = {}

    def run(name, n):
        results[name] = sum(collect(new_env().from_sequence(1, n).key_by(lambda x: x % 3).map(lambda x: x)))

    threads = [threading.Thread(target=run, args=(i, 20_000 + i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: sum(range(1, 20_001 + i)) for i in range(2)}


def test_busy_job_leaves_other_threads_their_turn():
    env = new_env()
    env.from_sequence(1, 2_000_000).map(lambda n: (n % 10, n)).filter(lambda pair: pair[1] < 0).print()
    client = env.execute_async("busy")
    turns, started = 0, time.monotonic()
    while not client.status().is_terminal_state():
        turns += 1
        time.sleep(0.001)
    seconds = time.monotonic() - started
    client.result()
    # Python gives a waiting thread its turn after 5 ms; both sleep and status wait.
    assert turns > 20 * seconds
