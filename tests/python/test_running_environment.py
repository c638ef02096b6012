"""A job runs while its environment is collected, its client dropped, or a function keeps the interpreter's lock."""

import ctypes
import gc
import threading
import time
import weakref

import pytest

from headrace import FailedPreconditionError, JobStatus, MapFunction
from python.streams import checkpointed_env, file_sink, lines_of, new_env

HOLD_SECONDS = 10


class Closing(MapFunction):
    """Says when it was closed."""

    closed = threading.Event()

    def map(self, value):
        return [value]

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def not_closed_yet():
    Closing.closed.clear()


def wait_for_rows(client, operator="Map"):
    deadline = time.monotonic() + 20
    while client.metrics().get(f"{operator}.rows_in", 0) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_job_goes_on_when_its_environment_and_streams_are_collected(tmp_path):
    def start():
        env = checkpointed_env(tmp_path / "chk", interval="10 ms")
        stream = env.from_collection(range(300), rows_per_second=2000).map(lambda n: n)
        stream.sink_to(file_sink(tmp_path / "out"))
        return env.execute_async("on its own"), weakref.ref(env), weakref.ref(stream)

    client, *dropped = start()
    wait_for_rows(client)
    gc.collect()
    assert [reference() for reference in dropped] == [None, None]
    assert client.result().metrics["Map.rows_in"] == 300
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(300))


def test_dropped_client_cancels_its_job_without_waiting_and_gives_all_free(tmp_path):
    def start():
        env = checkpointed_env(tmp_path / "chk", interval="10 ms")
        env.from_sequence(0, 10**12).map(Closing())
        return env.execute_async("dropped")

    client = start()
    wait_for_rows(client)
    started = time.monotonic()
    del client
    gc.collect()
    assert time.monotonic() - started < 0.5
    assert Closing.closed.wait(5)
    # Its directory can be used again.
    deadline = time.monotonic() + 5
    again = None
    while again is None:
        assert time.monotonic() < deadline
        try:
            again = start()
        except FailedPreconditionError:  # in use until the job has ended
            time.sleep(0.01)
    again.cancel().result()
    assert again.status() == JobStatus.CANCELED


def test_dropped_rows_of_a_running_job_cancel_it():
    rows = new_env().from_sequence(0, 10**12).map(Closing()).execute_and_collect()
    assert next(rows) == [0]
    del rows
    gc.collect()
    assert Closing.closed.wait(5)


def test_collections_in_another_thread_disturb_no_job():
    stop = threading.Event()
    collections = []

    def collect_all_the_time():
        while not stop.is_set():
            box = []
            box.append(box)
            collections.append(gc.collect(0))

    thread = threading.Thread(target=collect_all_the_time)
    thread.start()
    try:
        env = new_env(2)
        numbers = env.from_collection([[n] for n in range(5000)])
        totals = numbers.key_by(lambda item: item[0] % 7).reduce(lambda a, b: [*a, *b][-3:])
        got = list(totals.execute_and_collect())
    finally:
        stop.set()
        thread.join()
    assert len(got) == 5000
    assert sorted(item[-1] for item in got) == list(range(5000))
    assert len(collections) > 10


@pytest.mark.serial
def test_function_that_holds_the_lock_for_ten_seconds_stops_python_only(tmp_path):
    hold = ctypes.PyDLL(None).usleep  # a call that keeps the interpreter's lock

    def function(value):
        if value == 50:
            held.append(time.time())
            hold(HOLD_SECONDS * 1_000_000)
            held.append(time.time())
        return value

    held = []
    native = checkpointed_env(tmp_path / "native", interval="50 ms")
    native.from_sequence(0, 10**12, rows_per_second=100_000)._native("discard", "Discard", {})
    native_job = native.execute_async("native")
    env = checkpointed_env(tmp_path / "chk", interval="50 ms")
    env.get_checkpoint_config().set_checkpoint_timeout(1000)
    env.get_checkpoint_config().set_tolerable_checkpoint_failure_number(1000)
    env.from_collection(range(200), rows_per_second=1000).map(function).sink_to(file_sink(tmp_path / "out"))
    result = env.execute("holding")
    native_job.cancel().result()

    start, end = held[0] * 1000, held[1] * 1000
    assert end - start > HOLD_SECONDS * 1000 - 100
    # A job without Python goes on: rows, and a checkpoint every 50 ms.
    during = [c for c in native_job.checkpoints() if start < c["triggered_ms"] < end - 1000]
    assert len(during) > HOLD_SECONDS * 1000 / 50 / 4
    assert all(checkpoint["completed"] for checkpoint in during)
    # The job whose function it is gives each checkpoint up in time, and completes those before and after.
    given_up = [c for c in result.checkpoints if start < c["triggered_ms"] < end and not c["completed"]]
    assert len(given_up) >= HOLD_SECONDS / 2
    assert all(c["duration_ms"] < 2000 for c in given_up[:-1])
    assert any(c["completed"] for c in result.checkpoints if c["triggered_ms"] > end)
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(200))
