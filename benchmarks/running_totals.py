"""The jobs of checkpoint_overhead, barrier_gap, backpressure and soak: running totals, native and of Python objects.

Keys are touched uniformly, by typed rows from memory, with parallelism 1. Native state is the running sum and
count of `agg`; Python-object state is a tuple in a ValueState without a declared type, which is encoded.
"""

from __future__ import annotations

import time
from typing import Any

import jobs
import numpy as np
import pyarrow as pa
from measuring import Report

from headrace import Count, KeyedProcessFunction, Sum, ValueStateDescriptor
from headrace.datastream import DataStream, StreamExecutionEnvironment

RECORDS_PER_STAMP = 256
LEAST_TOTAL = 2**40
"""Where totals begin when memory is measured, so that none takes more bytes when a job has run for a while."""

stamps: list[int] = []
"""Wall clock in ns at every 256th record. In the module: the function itself is copied for each run."""


class Totals(KeyedProcessFunction):
    """Keeps (count, total) of each key as a Python tuple."""

    def open(self, runtime_context: Any) -> None:
        self.totals = runtime_context.get_state(ValueStateDescriptor("totals"))
        self.records = 0

    def process_element(self, value: Any, ctx: Any) -> Any:
        count, total = self.totals.value() or (0, 0)
        self.totals.update((count + 1, total + value[1]))
        self.records += 1
        if not self.records % RECORDS_PER_STAMP:
            stamps.append(time.time_ns())


class EmittedTotals(Totals):
    """The same, for the check of results: yields (key, count, total)."""

    def process_element(self, value: Any, ctx: Any) -> Any:
        super().process_element(value, ctx)
        yield (value[0], *self.totals.value())


def native_totals(env: StreamExecutionEnvironment, rows: pa.Table) -> DataStream:
    """Record the job with native state."""
    return env.from_arrow(rows).key_by("key").agg(total=Sum("value"), n=Count()).name("totals")


def python_totals(env: StreamExecutionEnvironment, rows: pa.Table) -> DataStream:
    """Record the job with Python-object state."""
    return env.from_arrow(rows).key_by("key").process(Totals()).name("totals")


KINDS = {"native": native_totals, "Python": python_totals}


def every_key_once(keys: int, least: int = 0) -> pa.RecordBatch:
    """Return one row for each key, in random order, with values from `least` up."""
    order = np.random.default_rng(5).permutation(keys).astype(np.int64)
    return pa.record_batch({"key": order, "value": least + order % 1000})


def check_results(report: Report) -> None:
    """Compare both kinds with NumPy on a small run."""
    chunk = jobs.uniform_chunk(100_000, 1000)
    keys, values = chunk["key"].to_numpy(), chunk["value"].to_numpy()
    counts = np.bincount(keys, minlength=1000)
    totals = np.zeros(1000, dtype=np.int64)
    np.add.at(totals, keys, values)
    expected = {key: (int(counts[key]), int(totals[key])) for key in range(1000)}
    rows = pa.Table.from_batches([chunk])

    table = native_totals(jobs.environment(), rows).to_arrow()
    columns = [table.column(name).to_pylist() for name in ("key", "n", "total")]
    report.check("native totals", last_of_each_key(zip(*columns, strict=True)) == expected)

    kept: list = []
    env = jobs.environment()
    env.from_arrow(rows).key_by("key").process(EmittedTotals()).add_sink(kept.append)
    env.execute("totals")
    report.check("Python totals", last_of_each_key(kept) == expected)


def last_of_each_key(results: Any) -> dict[int, tuple[int, int]]:
    """Return (count, total) of the last of (key, count, total) of each key."""
    return {key: (count, total) for key, count, total in results}
