"""Small helpers shared by the tests of the Python API."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from headrace import (
    AggregateFunction,
    Configuration,
    DiskStateBackend,
    EmbeddedRocksDBStateBackend,
    FileSink,
    HashMapStateBackend,
    SourceFunction,
    StreamExecutionEnvironment,
)

# Each kind of backend, made for a directory of its own.
BACKENDS = {
    "memory": lambda path: HashMapStateBackend(),
    "disk": lambda path: DiskStateBackend(path / "rows", "16 mb"),
    "rocksdb": lambda path: EmbeddedRocksDBStateBackend(memory_budget="16 mb"),
}


def new_env(parallelism: int = 1, **options: Any) -> StreamExecutionEnvironment:
    """An environment; option names use `__` for `.` and `_` for `-`."""
    configuration = Configuration.from_dict({k.replace("__", ".").replace("_", "-"): v for k, v in options.items()})
    env = StreamExecutionEnvironment.get_execution_environment(configuration)
    env.set_parallelism(parallelism)
    return env


def checkpointed_env(
    directory: Path, parallelism: int = 1, interval: str = "50 ms", resume: bool = False, backend: str = "hashmap"
) -> StreamExecutionEnvironment:
    """An environment with checkpoints in `directory`, resuming from the newest one if asked."""
    options = {"state.backend.type": backend}
    options |= {"execution.checkpointing.interval": interval, "execution.checkpointing.dir": str(directory)}
    if resume:
        options["execution.state-recovery.path"] = "latest"
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(options))
    env.set_parallelism(parallelism)
    return env


def collect(stream: Any) -> list[Any]:
    """All records of a bounded stream."""
    with stream.execute_and_collect() as records:
        return list(records)


def lines_of(directory: Path) -> list[str]:
    """All committed lines of a file sink, sorted."""
    parts = [p for p in Path(directory).rglob("*") if p.is_file() and not p.name.startswith(".")]
    return sorted(line for part in parts for line in part.read_text().splitlines())


def file_sink(directory: Path) -> FileSink:
    """A row-format sink of str() lines."""
    return FileSink.for_row_format(directory).build()


class NumbersUntilStopped(SourceFunction):
    """0, 1, … up to `stop`; then it waits to be stopped, unless these are all `count`."""

    def __init__(self, count: int, stop: int) -> None:
        self.count = count
        self.stop = stop
        self.position = 0
        self.running = True

    def run(self, ctx: Any) -> None:
        while self.running and self.position < self.count:
            if self.position == self.stop:
                time.sleep(0.001)
                continue
            self.position += 1  # first: the position is taken with the record
            ctx.collect(self.position - 1)

    def cancel(self) -> None:
        self.running = False

    def snapshot_state(self) -> int:
        return self.position

    def restore_state(self, state: int) -> None:
        self.position = state


class CountRows(AggregateFunction):
    """How many rows a window holds."""

    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + 1

    def get_result(self, accumulator: int) -> int:
        return accumulator


class TotalsOfPairs(AggregateFunction):
    """(sum of the second fields, rows), in an accumulator that is changed in place."""

    def create_accumulator(self) -> list[int]:
        return [0, 0]

    def add(self, value: Any, accumulator: list[int]) -> list[int]:
        accumulator[0] += value[1]
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator: list[int]) -> Any:
        return tuple(accumulator)
