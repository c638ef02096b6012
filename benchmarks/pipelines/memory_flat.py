"""Resident memory over 100 M records: typed windows, and an opaque keyed Python function.

The rows of the typed job lie in memory before it starts (keys and values shared by all chunks, times their
own) and stay there, so that what grows is the engine's. Memory is read from /proc/self/statm while the job
runs; the first fifth is warm-up (pools fill up), a straight line through the rest gives bytes a record.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import jobs
import numpy as np
from measuring import Options, Report
from pipelines import windows_vs_duckdb as windows_job
from pipelines.keyed_python_vs_bare_loop import YieldingCounter
from process_figures import resident_bytes

from headrace import NumberSequenceSource
from headrace.datastream import DataStream, StreamExecutionEnvironment

PACKAGES = ("pyarrow",)
WARM_UP = 0.2
KEYS = 1000
GROWTH_MAX_MIB = 16
"""Allowed over the whole run behind the warm-up: an eighth of a byte a record in 100 M."""


def watch(env: StreamExecutionEnvironment, name: str) -> tuple[np.ndarray, np.ndarray, Any]:
    """Run the job; return rows read, resident bytes at that moment, and the result."""
    rows, resident = [], []
    client = env.execute_async(name)
    while not client.status().is_terminal_state():
        rows.append(client.metrics().get(f"{name}.rows_in", 0))
        resident.append(resident_bytes())
        time.sleep(0.02)
    return np.array(rows), np.array(resident), client.result()


def measure_growth(
    options: Options,
    report: Report,
    name: str,
    records: int,
    record_job: Callable[[StreamExecutionEnvironment], DataStream],
    rows_out: int,
) -> None:
    """Measure one job that reads `records` and must give `rows_out`."""
    gc.collect()
    env = jobs.environment()
    record_job(env).name(name)
    rows, resident, result = watch(env, name)
    metrics = result.metrics
    complete = metrics[f"{name}.rows_in"] == records and metrics[f"{name}.rows_out"] == rows_out
    report.check(f"{name}: all records in, all results out", complete)
    warm = rows >= WARM_UP * records
    report.check(f"{name}: 20 samples or more", int(warm.sum()) >= 20 or options.quick)
    slope = float(np.polyfit(rows[warm], resident[warm], 1)[0]) if warm.sum() > 1 else float("nan")
    growth_mib = slope * records * (1 - WARM_UP) / 2**20
    report.ratio(
        f"{name}: growth over {records * (1 - WARM_UP) / 1e6:g} M records",
        [growth_mib],
        ceiling=GROWTH_MAX_MIB,
        unit="MiB",
    )
    levels = resident[warm] / 2**20
    report.figure(f"{name}: resident behind the warm-up", list(levels) or [float("nan")], "MiB")


def measure(options: Options, report: Report) -> None:
    """Measure both jobs."""
    records = options.size(100_000_000, 10_000_000)
    measure_windows(options, report, records)
    gc.collect()

    def python_job(env: StreamExecutionEnvironment) -> DataStream:
        numbers = env.from_source(NumberSequenceSource(1, records))
        pairs = numbers.map(lambda number: (number, number % KEYS))
        return pairs.key_by(lambda pair: pair[1]).process(YieldingCounter())

    measure_growth(options, report, "counter", records, python_job, records)


def measure_windows(options: Options, report: Report, records: int) -> None:
    """Measure the typed job."""
    chunks = 20
    events = windows_job.make_events(max(1, records // chunks), chunks)
    rows_out = windows_job.distinct_windows(events)

    def typed_job(env: StreamExecutionEnvironment) -> DataStream:
        return windows_job.windows(env, events)

    measure_growth(options, report, "windows", len(events), typed_job, rows_out)
