"""A sink that becomes 100 times slower for three minutes, behind Python-object state of 1 M keys.

What must hold: resident memory stays within 5 % of its budget, which is what it was at full speed and what may
wait in the queue before the slow step; checkpoints go on and none fails; and when the sink is fast again the
job is as fast as before. The sink sleeps at every 256th record, as many times the time of those records as it
is to be slow.
"""

from __future__ import annotations

import time
from array import array
from typing import Any

import jobs
import numpy as np
from measuring import Options, Report
from process_figures import resident_bytes
from running_totals import LEAST_TOTAL, RECORDS_PER_STAMP, EmittedTotals, check_results, every_key_once, stamps

PACKAGES = ("pyarrow",)
KEYS = 1_000_000
SLOWNESS = 100
QUEUE_BYTES = 8 << 20
"""What may wait for one consumer (channel_bytes in cpp/headrace/runtime/job.h); at full speed little of it does."""


class Sink:
    """Counts records, notes the time at every 256th, and sleeps there when it is to be slow."""

    def __init__(self) -> None:
        self.records = 0
        self.pause_seconds = 0.0
        self.stamps = array("d")

    def take(self, _: Any) -> None:
        """Receive a record."""
        self.records += 1
        if not self.records % RECORDS_PER_STAMP:
            self.stamps.append(time.time())
            if self.pause_seconds:
                time.sleep(self.pause_seconds)

    def speed_between(self, start: float, end: float) -> float:
        """Return the records a second that one whole second in ten exceeds: other processes disturb some seconds."""
        # A copy, as the array cannot grow while NumPy reads it.
        per_second, _ = np.histogram(list(self.stamps), bins=np.arange(start, end, 1.0))
        return float(np.quantile(per_second, 0.9)) * RECORDS_PER_STAMP


sink = Sink()
"""In the module: what a job is given is copied, a module is not."""


def take(record: Any) -> None:
    """Receive a record for the sink of the module."""
    sink.take(record)


def watch_memory(seconds: float) -> list[int]:
    """Wait that long and return resident memory twice a second."""
    levels = []
    end = time.time() + seconds
    while time.time() < end:
        time.sleep(0.5)
        # The times that Totals notes are this program's memory, not the engine's.
        stamps.clear()
        levels.append(resident_bytes())
    return levels


def measure(options: Options, report: Report) -> None:
    """Run one job through three phases: fast, slow, fast again."""
    check_results(report)
    keys = options.size(KEYS, KEYS // 10)
    fast_seconds = options.seconds(30, 6)
    slow_seconds = options.seconds(180, 20)
    rows = jobs.repeated(jobs.uniform_chunk(1_000_000, keys), 2_000, every_key_once(keys, LEAST_TOTAL))
    with jobs.checkpoint_folder("backpressure") as folder:
        env = jobs.environment(folder)
        env.from_arrow(rows).key_by("key").process(EmittedTotals()).name("totals").add_sink(take)
        client = env.execute_async("backpressure")
        try:
            while sink.records < 2 * keys:
                time.sleep(0.1)
            print("  at full speed", flush=True)
            start = time.time()
            fast_levels = watch_memory(fast_seconds)
            slow_start = time.time()
            speed = sink.speed_between(start, slow_start)
            sink.pause_seconds = SLOWNESS * RECORDS_PER_STAMP / speed
            print("  slow", flush=True)
            slow_levels = watch_memory(slow_seconds)
            slow_end = time.time()
            sink.pause_seconds = 0.0
            print("  at full speed again", flush=True)
            watch_memory(fast_seconds)
            end = time.time()
            taken = client.checkpoints()
        finally:
            client.cancel().result()
    slow_speed = RECORDS_PER_STAMP * sum(slow_start < at < slow_end for at in sink.stamps) / (slow_end - slow_start)
    again = sink.speed_between(slow_end + 1, end)
    budget = max(fast_levels) + QUEUE_BYTES
    report.ratio("resident memory, most while slow / budget", [max(slow_levels) / budget], ceiling=1.05)
    report.ratio("speed afterwards / before", [again / speed], floor=0.9)
    report.ratio("speed before / while slow", [speed / slow_speed], floor=0.8 * SLOWNESS)
    while_slow = [entry for entry in taken if slow_start < entry["triggered_ms"] / 1000 < slow_end]
    report.check("all checkpoints complete", all(entry["completed"] for entry in taken[:-1]))
    report.check("while slow, one in five seconds or more", len(while_slow) >= slow_seconds / 5)
    report.figure("checkpoints while slow", [len(while_slow) / slow_seconds], "a second")
    report.figure("speed before", [speed / 1e6], "M rows/s")
    report.figure("resident before", [level / 2**20 for level in fast_levels], "MiB")
    report.figure("resident while slow", [level / 2**20 for level in slow_levels], "MiB")
