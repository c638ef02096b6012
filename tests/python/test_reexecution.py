"""The same program run again and again in one process, as a notebook does."""

import asyncio
import contextlib
import gc
import signal
import threading
import time
import weakref
from dataclasses import dataclass

import pytest

from headrace import JobStatus, KeyedProcessFunction, Row, Types, ValueStateDescriptor, register_class
from python.streams import checkpointed_env, collect, file_sink, lines_of, new_env

CELL = """
class Count(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield value % 3, count * {factor}

stream = new_env().from_collection(range(30)).key_by(lambda n: n % 3).process(Count())
rows = list(stream.execute_and_collect())
"""


def run_cell(source, names):
    exec(compile(source, "<cell>", "exec"), names)


def cell_names():
    return {
        "KeyedProcessFunction": KeyedProcessFunction,
        "ValueStateDescriptor": ValueStateDescriptor,
        "Types": Types,
        "new_env": new_env,
    }


def test_cell_can_be_run_again_with_its_class_defined_anew():
    names = cell_names()
    for factor in (1, 2, 1, 5):
        run_cell(CELL.format(factor=factor), names)
        assert names["rows"][-3:] == [(0, 10 * factor), (1, 10 * factor), (2, 10 * factor)]
    assert len(names["rows"]) == 30


def test_classes_of_earlier_runs_of_a_cell_are_given_free():
    names = cell_names()
    seen = []
    for _ in range(5):
        run_cell(CELL.format(factor=1), names)
        seen.append(weakref.ref(names["Count"]))
    for _ in range(10):
        gc.collect()
        if not any(reference() for reference in seen[:-1]):
            break
        time.sleep(0.05)
    assert [reference() for reference in seen[:-1]] == [None] * 4


def test_cell_runs_inside_a_running_event_loop_that_goes_on_afterwards():
    names = cell_names()
    ticks = []

    async def notebook():
        async def tick():
            while True:
                ticks.append(time.monotonic())
                await asyncio.sleep(0.001)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        run_cell(CELL.format(factor=3), names)  # as a kernel runs a cell: it blocks the loop
        client = new_env().from_sequence(1, 1000, rows_per_second=10_000).map(lambda n: n)
        running = client.get_execution_environment().execute_async()
        result = await asyncio.to_thread(running.result)  # while the loop goes on
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
        return result

    before_and_after = asyncio.run(notebook())
    assert names["rows"][-1] == (2, 30)
    assert before_and_after.metrics["Map.rows_in"] == 1000
    assert len(ticks) > 20


@pytest.fixture
def interrupt_seen():
    """An event that the main thread sets when it sees Ctrl-C."""
    seen = threading.Event()

    def see(number, frame):
        seen.set()
        signal.default_int_handler(number, frame)

    former = signal.signal(signal.SIGINT, see)
    yield seen
    signal.signal(signal.SIGINT, former)


def test_interrupted_cell_can_be_run_again_at_once(tmp_path, interrupt_seen):
    interrupt_at = [5, 15, 25]
    armed = False

    def interrupted(number):
        nonlocal armed
        if armed and interrupt_at and number >= interrupt_at[0]:
            armed = False
            del interrupt_at[0]
            signal.raise_signal(signal.SIGINT)
            # Or the job might come to its end first: after a pause the source sends all that is due at once.
            assert interrupt_seen.wait(30)
            interrupt_seen.clear()
        return number

    def program():
        env = checkpointed_env(tmp_path / "chk", interval="10 ms", resume=True)
        numbers = env.from_collection(range(60), rows_per_second=50)
        numbers.map(interrupted).sink_to(file_sink(tmp_path / "out"))
        return env

    for _ in range(3):
        armed = True
        with pytest.raises(KeyboardInterrupt):
            program().execute("cell")
    program().execute("cell")
    assert not interrupt_at
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(60))


def test_directory_is_free_as_soon_as_a_cancelled_job_has_ended(tmp_path):
    # A checkpoint that is being written when its job is cancelled must not keep the next one out.
    for _ in range(40):
        env = checkpointed_env(tmp_path / "chk", interval="10 ms", resume=True)
        env.from_sequence(0, 10**12, rows_per_second=1000).key_by(lambda n: n % 100).reduce(lambda a, b: a + b)
        client = env.execute_async("again")
        while client.metrics()["job.checkpoints_completed"] == 0:
            assert not client.status().is_terminal_state()
        client.cancel().result()
        assert client.status() == JobStatus.CANCELED


def test_state_of_a_class_that_is_defined_anew_is_restored_as_the_new_class(tmp_path):
    def run(resume):
        @dataclass
        class Point:
            x: int

        class Last(KeyedProcessFunction):
            def open(self, runtime_context):
                self.last = runtime_context.get_state(ValueStateDescriptor("last"))

            def process_element(self, value, ctx):
                before = self.last.value()
                self.last.update(Point(value))
                yield before is None, type(before) is Point

        register_class(Point)
        env = checkpointed_env(tmp_path / "chk", interval="10 ms", resume=resume)
        numbers = env.from_collection(range(500), rows_per_second=0 if resume else 500)
        numbers.key_by(lambda n: 0).process(Last()).sink_to(file_sink(tmp_path / "out"))
        return env.execute_async("points")

    client = run(resume=False)
    while client.metrics()["job.checkpoints_completed"] < 3:
        assert not client.status().is_terminal_state()
    client.cancel().result()
    run(resume=True).result()
    assert lines_of(tmp_path / "out") == ["(False, True)"] * 499 + ["(True, False)"]


def test_program_can_be_executed_twice_and_rows_shown_in_between():
    env = new_env()
    stream = env.from_collection([Row(n=1), Row(n=2)]).map(lambda row: row.n)
    assert stream.take(2) == [1, 2]
    assert collect(stream) == [1, 2]
    assert stream.take(1) == [1]


@pytest.mark.parametrize("jobs", [2, 5])
def test_jobs_at_once_keep_their_state_and_results_apart(jobs, tmp_path):
    clients = []
    for number in range(jobs):
        env = checkpointed_env(tmp_path / "chk", interval="10 ms")
        stream = env.from_collection(range(300), rows_per_second=3000).key_by(lambda n: n % 3)
        stream.reduce(lambda a, b: a + b).map(lambda n, number=number: (number, n)).sink_to(
            file_sink(tmp_path / f"out{number}")
        )
        clients.append(env.execute_async(f"job {number}"))
    assert len({client.get_job_id() for client in clients}) == jobs
    for number, client in enumerate(clients):
        assert client.result().metrics["job.checkpoints_completed"] > 1
        lines = lines_of(tmp_path / f"out{number}")
        assert len(lines) == 300
        assert {line.split(",")[0] for line in lines} == {f"({number}"}
