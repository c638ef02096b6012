"""Small helpers shared by the tests of the Python API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headrace import AggregateFunction, Configuration, FileSink, StreamExecutionEnvironment


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
