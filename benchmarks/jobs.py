"""What the pipelines' headrace jobs have in common: environments, checkpoints, generated columns."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from measuring import SCRATCH

from headrace import Configuration, JobExecutionResult, StreamExecutionEnvironment

BASE_MS = 1_700_000_000_000


def environment(checkpoints: Path | None = None, interval_ms: int = 1000) -> StreamExecutionEnvironment:
    """Return an environment of parallelism 1, with a checkpoint every `interval_ms` if a folder is given."""
    configuration = Configuration()
    if checkpoints is not None:
        configuration.set_string("execution.checkpointing.dir", str(checkpoints))
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(1)
    if checkpoints is not None:
        env.enable_checkpointing(interval_ms)
    return env


@contextmanager
def checkpoint_folder(name: str) -> Iterator[Path]:
    """Give an empty folder on the disk that holds the project, and remove it afterwards."""
    folder = SCRATCH / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def timed(env: StreamExecutionEnvironment, name: str) -> tuple[float, JobExecutionResult]:
    """Run what was recorded and return the seconds it took, and its result."""
    start = time.perf_counter()
    result = env.execute(name)
    return time.perf_counter() - start, result


def all_completed(checkpoints: list[dict[str, Any]], at_least: int) -> bool:
    """Tell whether there were enough checkpoints and none failed."""
    return len(checkpoints) >= at_least and all(entry["completed"] for entry in checkpoints)


def uniform_chunk(rows: int, keys: int, seed: int = 3) -> pa.RecordBatch:
    """Return columns `key` and `value`, int64, with uniform keys 0 … keys - 1."""
    random = np.random.default_rng(seed)
    return pa.record_batch(
        {
            "key": random.integers(0, keys, rows, dtype=np.int64),
            "value": random.integers(-1000, 1000, rows, dtype=np.int64),
        }
    )


def repeated(chunk: pa.RecordBatch, times: int, first: pa.RecordBatch | None = None) -> pa.Table:
    """Return a table that holds the chunk many times over, without a copy, behind `first`."""
    return pa.Table.from_batches(([first] if first is not None else []) + [chunk] * times)


def disordered_times(rows: int, rows_per_second: int, disorder_ms: int, seed: int = 4) -> np.ndarray:
    """Return int64 event times in ms: rising at `rows_per_second`, each up to `disorder_ms` early."""
    random = np.random.default_rng(seed)
    times = np.arange(rows, dtype=np.int64) * 1000 // rows_per_second
    times += BASE_MS
    times -= random.integers(0, disorder_ms + 1, rows, dtype=np.int64)
    return times
