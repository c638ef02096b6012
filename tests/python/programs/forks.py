"""Forks in a phase of a job, and checks both sides: `forks.py <phase> <folder>`."""

import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path

from headrace import FailedPreconditionError, MapFunction
from python.streams import checkpointed_env, file_sink, lines_of, new_env

phase, folder = sys.argv[1], Path(sys.argv[2])
RECORDS = 200
CHILD_SECONDS = 10


def refused(name, call):
    try:
        call()
    except FailedPreconditionError as error:
        print(f"refused {name}: {error}", flush=True)
    else:
        print(f"not refused: {name}", flush=True)


def one_element():
    env = new_env()
    env.from_elements(1).print()
    return env


def in_the_child(client, rows):
    """Uses what came along, drops it, and leaves as any Python program does."""
    signal.alarm(CHILD_SECONDS)
    refused("execute", one_element().execute)
    if client is not None:
        for name in ("status", "metrics", "checkpoints", "result", "cancel", "state_registry"):
            refused(name, getattr(client, name))
    if rows is not None:
        refused("next row", lambda: list(rows))
    gc.collect()


def fork(client=None, rows=None):
    """Forks; in the parent the child's end is printed, in the child the answer is True."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        in_the_child(client, rows)
        return True
    _, status = os.waitpid(pid, 0)
    print(f"child left with {os.waitstatus_to_exitcode(status)}", flush=True)
    return False


class Forking(MapFunction):
    """Forks inside the task's own thread, where the child cannot return into the engine."""

    def open(self, runtime_context):
        if phase == "in open":
            self.fork()

    def map(self, value):
        if phase == "in a function" and value == RECORDS // 2:
            self.fork()
        if phase == "during a checkpoint" and value >= RECORDS // 2:
            time.sleep(0.002)  # the barrier behind this record waits in its channel meanwhile
        return value

    def fork(self):
        if fork():
            sys.stdout.flush()
            os._exit(0)


def program():
    if phase == "in native steps":
        env = new_env()
        env.from_sequence(0, 50_000_000)._native("discard", "Discard", {})
        return env
    env = checkpointed_env(folder / "chk", interval="10 ms")
    env.from_collection(range(RECORDS), rows_per_second=2000).map(Forking()).sink_to(file_sink(folder / "out"))
    return env


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def main():
    """True in the child."""
    if phase == "while rows are collected":
        rows = new_env().from_collection(range(RECORDS), rows_per_second=2000).map(lambda n: n).execute_and_collect()
        first = [next(rows) for _ in range(10)]
        if fork(rows=rows):
            return True
        print("results are complete" if first + list(rows) == list(range(RECORDS)) else "results are wrong")
        return False
    env = program()
    if phase == "before the start" and fork():
        return True
    client = env.execute_async("forks")
    if phase == "in native steps":
        wait_until(lambda: client.metrics().get("Discard.rows_in", 0) > 0)
    elif phase == "during a checkpoint":
        wait_until(lambda: client.metrics().get("Map.rows_in", 0) > RECORDS // 2)
    elif phase == "after the end":
        client.result()
    else:
        wait_until(lambda: client.metrics()["job.checkpoints_completed"] > 0)
    if phase == "with a waiting thread":
        threading.Thread(target=client.result).start()
    if phase not in ("before the start", "in open", "in a function") and fork(client=client):
        return True
    client.result()
    complete = phase == "in native steps" or sorted(map(int, lines_of(folder / "out"))) == list(range(RECORDS))
    print("results are complete" if complete else "results are wrong")
    return False


main()
