"""Latency at 10,000 records a second through a keyed Python function, buffer timeout 1 ms.

Open loop: record i is due at start + i / 10,000 s whatever happened to the ones before, and carries that time.
A source that falls behind sends at once what is overdue, so a stall counts for every record that it delayed (no
coordinated omission). The sink takes the time when the record reaches it. The source sleeps in Python in
its own thread; how late it sends is part of the latency, and is measured beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jobs
import numpy as np
from measuring import Options, Report

from headrace import KeyedProcessFunction, SourceFunction, Types, ValueStateDescriptor

RATE = 10_000
KEYS = 1000
WARM_UP_SECONDS = 1

arrivals: list[tuple[int, int, int]] = []
"""(key, count, ns from due to sink) of every record. In the module: the functions are copied for each run."""
sent_late_ns: list[int] = []


class OpenLoop(SourceFunction):
    """Sends (key, due time in ns) at the due time."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.cancelled = False

    def run(self, ctx: Any) -> None:
        interval_ns = 1_000_000_000 // RATE
        start = time.perf_counter_ns() + 20_000_000
        for number in range(self.records):
            due = start + number * interval_ns
            while (left := due - time.perf_counter_ns()) > 0:
                time.sleep(left / 1e9)
            if self.cancelled:
                return
            sent_late_ns.append(-left)
            ctx.collect((number % KEYS, due))

    def cancel(self) -> None:
        self.cancelled = True


class Count(KeyedProcessFunction):
    """Yields (key, running count, due time)."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[tuple[int, int, int]]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield (value[0], count, value[1])


def arrive(record: tuple[int, int, int]) -> None:
    """Take the time of a record's arrival."""
    now = time.perf_counter_ns()
    arrivals.append((record[0], record[1], now - record[2]))


def run(records: int) -> np.ndarray:
    """Run the job once; return the latencies in ms behind the warm-up."""
    arrivals.clear()
    sent_late_ns.clear()
    env = jobs.environment()
    env.set_buffer_timeout(1)
    keyed = env.add_source(OpenLoop(records)).key_by(lambda record: record[0])
    keyed.process(Count()).add_sink(arrive)
    env.execute("latency")
    return np.array([latency for _, _, latency in arrivals[WARM_UP_SECONDS * RATE :]]) / 1e6


def counts_are_right(records: int) -> bool:
    """Tell whether every key counted from 1 to what it must be, in order."""
    counts: dict[int, int] = {}
    for key, count, _ in arrivals:
        if count != counts.get(key, 0) + 1:
            return False
        counts[key] = count
    return len(arrivals) == records


def measure(options: Options, report: Report) -> None:
    """Measure rounds of 10 s."""
    records = round((options.seconds(10, 3) + WARM_UP_SECONDS) * RATE)
    quantiles: dict[str, list[float]] = {"p50": [], "p99": [], "p99.9": [], "largest": []}
    source_p99: list[float] = []
    right = []
    for _ in range(options.rounds):
        latencies = run(records)
        right.append(counts_are_right(records))
        for name, percent in [("p50", 50), ("p99", 99), ("p99.9", 99.9), ("largest", 100)]:
            quantiles[name].append(float(np.percentile(latencies, percent)))
        late = np.array(sent_late_ns[WARM_UP_SECONDS * RATE :]) / 1e6
        source_p99.append(float(np.percentile(late, 99)))
    report.check("every record arrived, every count right", all(right))
    report.ratio(f"p99 at {RATE:,} records/s", quantiles.pop("p99"), ceiling=5, unit="ms")
    for name, values in quantiles.items():
        report.figure(name, values, "ms")
    report.figure("of it the source's own lateness, p99", source_p99, "ms")
