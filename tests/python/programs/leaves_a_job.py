"""Starts a job and leaves while it runs: `leaves_a_job.py <job> <way> <milliseconds> <folder>`."""

import queue
import sys
import threading
import time
from pathlib import Path

from headrace import KeyedProcessFunction, SourceFunction
from python.callbacks import windowed
from python.streams import CountRows, checkpointed_env, file_sink, new_env

job, way, milliseconds, folder = sys.argv[1:]
ENDLESS = 10**12


class Endless(SourceFunction):
    def run(self, ctx):
        number = 0
        while True:
            ctx.collect(number)
            number += 1


class Blocked(SourceFunction):
    def run(self, ctx):
        ctx.collect(1)
        queue.Queue().get()


class Timers(KeyedProcessFunction):
    def process_element(self, value, ctx):
        now = ctx.timer_service().current_processing_time()
        ctx.timer_service().register_processing_time_timer(now + 1)
        yield value

    def on_timer(self, timestamp, ctx):
        yield timestamp


def generator(value):
    while True:
        yield value


def start():
    """Starts the job; what it returns lives as long as the program's variables."""
    env = new_env()
    numbers = env.from_sequence(0, ENDLESS)
    match job:
        case "python functions":
            numbers.map(lambda n: (n % 7, n)).filter(lambda pair: pair[1] >= 0).key_by(lambda pair: pair[0]).map(str)
        case "native steps":
            numbers._native("discard", "Discard", {})
        case "sleeping function":
            numbers.map(lambda n: time.sleep(30))
        case "endless generator":
            numbers.flat_map(generator).map(lambda n: n)
        case "source function":
            env = new_env()
            env.add_source(Endless()).map(lambda n: n)
        case "blocked source":
            env = new_env()
            env.add_source(Blocked()).map(lambda n: n)
        case "timers":
            env = new_env()
            env.from_sequence(0, ENDLESS, rows_per_second=2000).key_by(lambda n: n % 5).process(Timers())
        case "checkpointed windows":
            env = checkpointed_env(Path(folder) / "chk", interval="10 ms")
            stream = windowed(env.from_sequence(0, ENDLESS, rows_per_second=50_000))
            stream.aggregate(CountRows()).sink_to(file_sink(Path(folder) / "out"))
        case "collected rows":
            rows = numbers.map(lambda n: n).execute_and_collect()
            return next(rows), rows
        case "execute in a thread":
            numbers.map(lambda n: n)
            thread = threading.Thread(target=env.execute, daemon=True)
            thread.start()
            return thread
    return env.execute_async("left")


left = start()
time.sleep(int(milliseconds) / 1000)
print("leaving", flush=True)
match way:
    case "sys.exit":
        sys.exit(3)
    case "uncaught error":
        raise ValueError("planned")
    case "cycle":
        left = [left]
        left.append(left)
