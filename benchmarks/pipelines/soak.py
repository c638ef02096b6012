"""An hour at 70 % of the speed that the job can reach, with a checkpoint a second: nothing may grow.

One source feeds native and Python-object running totals of 1 M keys (benchmarks/running_totals.py). Behind a
warm-up of six minutes resident memory, open descriptors, threads and the checkpoint directory are read
every five seconds; a straight line through each gives its growth over the rest of the hour.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pyarrow as pa
from measuring import Options, Report
from process_figures import folder_bytes, open_descriptors, resident_bytes, threads
from running_totals import LEAST_TOTAL, Totals, check_results, every_key_once, stamps

from headrace import Count, Sum

PACKAGES = ("pyarrow",)
KEYS = 1_000_000
LOAD = 0.7
SAMPLE_SECONDS = 5.0
GROWTH_MAX = {"resident memory": 0.02, "descriptors": 0.02, "threads": 0.02, "checkpoint directory": 0.1}
"""Allowed from the end of the warm-up to the end, as a part of what it was. The directory breathes: deltas
collect until a partition is written whole again."""


def start(folder: Path, rows: pa.Table, rows_per_second: float) -> Any:
    """Start the job with both kinds of state; 0 rows a second is as fast as it can."""
    env = jobs.environment(folder)
    keyed = env.from_arrow(rows, rows_per_second=rows_per_second).key_by("key")
    keyed.agg(total=Sum("value"), n=Count()).name("native totals")
    keyed.process(Totals()).name("Python totals")
    return env.execute_async("soak")


def rows_through(client: Any) -> int:
    """Return the rows that the slower of the two has taken."""
    metrics = client.metrics()
    return min(metrics.get(f"{kind} totals.rows_in", 0) for kind in ("native", "Python"))


def highest_speed(rows: pa.Table, keys: int, seconds: float) -> float:
    """Return rows a second without a limit, behind the first write of each key."""
    with jobs.checkpoint_folder("soak") as folder:
        client = start(folder, rows, 0)
        try:
            while rows_through(client) < 2 * keys:
                time.sleep(0.1)
            before, begin = rows_through(client), time.monotonic()
            time.sleep(seconds)
            return (rows_through(client) - before) / (time.monotonic() - begin)
        finally:
            client.cancel().result()


def measure(options: Options, report: Report) -> None:
    """Find the speed, then run at 70 % of it."""
    check_results(report)
    keys = options.size(KEYS, KEYS // 10)
    seconds = options.seconds(3600, 60)
    warm_up = seconds / 10
    chunk, first = jobs.uniform_chunk(1_000_000, keys), every_key_once(keys, LEAST_TOTAL)
    rate = LOAD * highest_speed(jobs.repeated(chunk, 1_000, first), keys, options.seconds(30, 5))
    rows = jobs.repeated(chunk, round(rate * seconds / len(chunk)) + 2, first)
    print(f"  {seconds:.0f} s at {rate:,.0f} rows a second", flush=True)
    stamps.clear()
    with jobs.checkpoint_folder("soak") as folder:
        client = start(folder, rows, rate)
        samples: list[tuple[float, ...]] = []
        begin = time.monotonic()
        try:
            while (now := time.monotonic() - begin) < seconds:
                time.sleep(options.seconds(SAMPLE_SECONDS, 0.5))
                # The times that Totals notes are this program's, not the engine's.
                stamps.clear()
                sample = (resident_bytes(), open_descriptors(), threads(), folder_bytes(folder))
                samples.append((now, *map(float, sample)))
            through, took = rows_through(client), time.monotonic() - begin
            taken = client.checkpoints()
        finally:
            client.cancel().result()
    table = np.array(samples)
    warm = table[table[:, 0] > warm_up]
    for column, (name, ceiling) in enumerate(GROWTH_MAX.items(), 1):
        slope, level = np.polyfit(warm[:, 0] - warm_up, warm[:, column], 1)
        report.ratio(
            f"{name}: growth / level behind the warm-up", [slope * (seconds - warm_up) / level], ceiling=ceiling
        )
        scale, unit = (2**20, "MiB") if level > 2**20 else (1, "")
        report.figure(name, list(warm[:, column] / scale), unit)
    report.ratio("rows taken / rows sent", [through / (rate * took)], floor=0.99)
    report.check("all checkpoints complete", all(entry["completed"] for entry in taken[:-1]))
    report.check("four in five of a checkpoint a second", len(taken) >= min(0.8 * seconds, 9_000))
    # A step while the machine was busy and a steady rise have the same straight line.
    tenths = [part[:, 1].mean() / 2**20 for part in np.array_split(warm, 10)]
    report.notes.append("resident memory by tenths: " + ", ".join(f"{level:.1f}" for level in tenths) + " MiB")
    report.notes.append(f"{seconds:.0f} s at {rate / 1e6:.2f} M rows/s, {len(taken)} checkpoints")
