"""A job that says "ready" when it has come to a phase and stays there: `interrupted.py <phase> <folder> [exits]`.

With "exits" SIGTERM raises SystemExit, as many services have it. With the phase "none" it runs to its end; with
"killed" it kills itself halfway.
"""

import os
import queue
import signal
import sys
import time
from pathlib import Path

from headrace import JobStatus, KeyedProcessFunction, RestartStrategies, SourceFunction
from python.streams import checkpointed_env, file_sink, new_env

phase, folder = sys.argv[1], Path(sys.argv[2])
RECORDS = 300
HALF = RECORDS // 2
COLLECTED = ("between collected rows", "waiting for a collected row")  # these have no files to compare

if "exits" in sys.argv[3:]:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))


def ready():
    print("ready", flush=True)


def stay():
    ready()
    while True:
        time.sleep(0.001)


class Numbers(SourceFunction):
    next_number = 0
    cancelled = False

    def run(self, ctx):
        while self.next_number < RECORDS and not self.cancelled:
            number = self.next_number
            self.next_number += 1
            if number == HALF and phase in ("in a blocking source", "waiting for a collected row"):
                ready()
                queue.Queue().get()
            ctx.collect(number)
            time.sleep(0.0005)

    def cancel(self):
        self.cancelled = True

    def snapshot_state(self):
        return self.next_number

    def restore_state(self, value):
        if phase == "during restore":
            stay()
        self.next_number = value


class Steps(KeyedProcessFunction):
    def open(self, runtime_context):
        if phase == "opening":
            stay()

    def process_element(self, value, ctx):
        if value == 0 and phase == "at the first record":
            stay()
        if value == HALF:
            match phase:
                case "mid-stream in Python code":
                    ready()
                    while True:
                        pass
                case "in a sleeping function":
                    ready()
                    time.sleep(1000)
                case "during a checkpoint":
                    time.sleep(0.05)  # five intervals: the next barrier waits behind this record
                    stay()
                case "waiting to restart":
                    raise ValueError("planned")
                case "killed":
                    os.kill(os.getpid(), signal.SIGKILL)
        ctx.timer_service().register_event_time_timer(10**9)
        yield value

    def on_timer(self, timestamp, ctx):
        if phase == "at the end of input":
            stay()

    def close(self):
        if phase == "closing":
            stay()


def native():
    env = new_env()
    env.from_sequence(0, 10**12)._native("discard", "Discard", {})
    client = env.execute_async()
    while client.metrics().get("Discard.rows_in", 0) == 0:
        time.sleep(0.001)
    ready()
    client.result()


def program():
    env = checkpointed_env(folder / "chk", interval="10 ms", resume=True)
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(1, "1000 s"))
    stream = env.add_source(Numbers(), "numbers").key_by(lambda n: n % 3).process(Steps())
    if phase not in COLLECTED:
        stream.sink_to(file_sink(folder / "out"))
    return env, stream


def collect(stream):
    for number in stream.execute_and_collect("collected"):
        if number == HALF - 10 and phase == "between collected rows":
            stay()


def main():
    if phase == "mid-stream in native code":
        return native()
    env, stream = program()
    if phase == "before the start":
        stay()
    if phase in COLLECTED:
        return collect(stream)
    client = env.execute_async("phases")
    if phase == "waiting to restart":
        while client.status() != JobStatus.RESTARTING:
            time.sleep(0.001)
        ready()
    client.result()
    if phase == "after the end":
        stay()
    return None


main()
