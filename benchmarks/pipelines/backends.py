"""The backends under one keyed counter: 1 M keys drawn uniformly, a cache that holds them all.

On the clock is the whole job: typed rows in memory, `key_by`, a running count. The memory, disk and RocksDB backends
take turns, first without checkpoints, then with one a second; the ratio is to memory in the same round. With checkpoints
the counts in the last one, which the job leaves at its end, are compared with NumPy's. Not fair would be a budget that
makes rows leave memory: `benchmarks/micro/state/row_cache_bench.cc` measures that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pyarrow as pa
from measuring import Options, Report, in_turns, speed_ratios
from running_totals import every_key_once

import headrace
from headrace import Configuration, Count, JobExecutionResult, StreamExecutionEnvironment

PACKAGES = ("pyarrow", "numpy")
BACKENDS = ("hashmap", "disk", "rocksdb")
JAVA_FLINK_ROCKSDB = 0.16
"""M records a second of the same job in Java Flink with its RocksDB backend and a checkpoint a second."""


def run(backend: str, rows: pa.Table, folder: Path | None) -> tuple[float, JobExecutionResult]:
    """Count the rows of each key; return the seconds that took."""
    settings = {"state.backend.type": backend}
    if folder is not None:
        settings |= {"execution.checkpointing.dir": str(folder), "execution.checkpointing.interval": "1 s"}
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.set_parallelism(1)
    env.from_arrow(rows).key_by("key").agg(n=Count()).name("totals").uid("totals")
    return jobs.timed(env, "backends")


def stored_counts(folder: Path, keys: int) -> np.ndarray:
    """Return the count of each key in the newest checkpoint."""
    (job,) = (path for path in folder.iterdir() if path.is_dir())
    states: Any = headrace.read_checkpoint(str(job))["totals"]
    (name,) = states.keys()
    table = pa.table(states[name].to_arrow())
    counts = np.zeros(keys, dtype=np.int64)
    counts[table["key"].to_numpy()] = table["count"].to_numpy()
    return counts


def measure_speed(options: Options, report: Report, *, with_checkpoints: bool) -> None:
    """Let the backends take turns."""
    keys = options.size(1_000_000, 50_000)
    chunk = jobs.uniform_chunk(1_000_000, keys)
    rows = jobs.repeated(chunk, options.size(30, 3), every_key_once(keys))
    expected = 1 + np.bincount(chunk["key"].to_numpy(), minlength=keys) * options.size(30, 3)
    suffix = ", 1 s checkpoints" if with_checkpoints else ""
    right: list[bool] = []
    complete: list[bool] = []

    def turn(backend: str) -> float:
        with jobs.checkpoint_folder("backends") as folder:
            seconds, result = run(backend, rows, folder if with_checkpoints else None)
            right.append(result.metrics["totals.rows_in"] == len(rows))
            if with_checkpoints:
                complete.append(jobs.all_completed(result.checkpoints, at_least=int(0.5 * seconds)))
                right.append(np.array_equal(stored_counts(folder, keys), expected))
        return seconds

    seconds = in_turns({backend: lambda b=backend: turn(b) for backend in BACKENDS}, options.rounds)
    report.check(f"all rows in and counted right{suffix}", all(right))
    if with_checkpoints:
        report.check("all checkpoints complete, one in two seconds or more", all(complete))
    for backend in BACKENDS:
        speeds = [len(rows) / taken / 1e6 for taken in seconds[backend]]
        report.figure(f"{backend}{suffix}", speeds, "M records/s")
        if backend == "hashmap":
            continue
        ratios = speed_ratios(seconds["hashmap"], seconds[backend])
        report.ratio(f"{backend} / memory{suffix}", ratios, floor=None if with_checkpoints else 0.5)
        if with_checkpoints:
            report.ratio(f"{backend}{suffix}", speeds, floor=10 * JAVA_FLINK_ROCKSDB, unit="M records/s")


def measure(options: Options, report: Report) -> None:
    """Measure without and with checkpoints."""
    for with_checkpoints in (False, True):
        measure_speed(options, report, with_checkpoints=with_checkpoints)
