"""The job of transfer_table: keyed state that is filled, then changed in rounds, with a checkpoint behind each.

What a round wrote is counted from the checkpoint directory, where all checkpoints are kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headrace import (
    Configuration,
    KeyedProcessFunction,
    SourceFunction,
    StreamExecutionEnvironment,
    Types,
    ValueStateDescriptor,
)

CHECKPOINT_WAIT_SECONDS = 120


class Counter(KeyedProcessFunction):
    """Counts the rows of each key in an int64."""

    def open(self, runtime_context: Any) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> None:
        self.count.update((self.count.value() or 0) + 1)


class Objects(KeyedProcessFunction):
    """Keeps a tuple of Python objects for each key."""

    def open(self, runtime_context: Any) -> None:
        self.kept = runtime_context.get_state(ValueStateDescriptor("kept"))

    def process_element(self, value: Any, ctx: Any) -> None:
        count, _ = self.kept.value() or (0, "")
        self.kept.update((count + 1, f"text of {value}"))


class Texts(KeyedProcessFunction):
    """Keeps a text of 1 KiB for each key."""

    def open(self, runtime_context: Any) -> None:
        self.text = runtime_context.get_state(ValueStateDescriptor("text", Types.STRING()))

    def process_element(self, value: Any, ctx: Any) -> None:
        order = f"order {value * 2654435761} of customer {value % 99_991}, {value % 7} pieces, "
        self.text.update((order * 24)[:1024])


@dataclass
class Round:
    """What one round of changes wrote: from the directory, and by the engine's own counters."""

    keys: int
    file_bytes: int = 0
    files: int = 0
    serialized_bytes: int = 0
    partitions: int = 0
    rows: int = 0
    milliseconds: int = 0


@dataclass
class RanRounds:
    """What a job of rounds left: of each round its counts and the number of the checkpoint behind it."""

    counted: list[Round]
    last_ids: list[int]
    result: Any
    registry: list[dict[str, Any]]


class RoundsOfRows:
    """What the source of one job needs; kept here because the function itself is copied."""

    def __init__(self, changes: list[np.ndarray]) -> None:
        self.changes = changes
        self.client: Any = None
        self.last_ids: list[int] = []


_jobs: list[RoundsOfRows] = []


class Rounds(SourceFunction):
    """The rows of all rounds, each sent when the checkpoint behind the one before is complete."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.running = True

    def run(self, ctx: Any) -> None:
        """Sends the rows."""
        job = _jobs[self.number]
        for keys in job.changes:
            for key in keys.tolist():
                ctx.collect(key)
            job.last_ids.append(self._checkpointed(job))

    def cancel(self) -> None:
        """Ends the wait."""
        self.running = False

    def _checkpointed(self, job: RoundsOfRows) -> int:
        """Wait until all rows are in a checkpoint; return its number.

        The first one triggered after now may come before the last rows have left the source's queue.
        """
        now_ms = time.time_ns() // 1_000_000
        deadline = time.monotonic() + CHECKPOINT_WAIT_SECONDS
        while self.running and time.monotonic() < deadline:
            if job.client is not None:
                done = [c for c in job.client.checkpoints() if c["completed"] and c["triggered_ms"] > now_ms]
                if len(done) > 1:
                    return done[1]["id"]
            time.sleep(0.005)
        raise RuntimeError("no checkpoint within two minutes")


def run_rounds(
    folder: Path, function: KeyedProcessFunction, changes: list[np.ndarray], options: dict[str, str]
) -> RanRounds:
    """Run the job to its end.

    Where checkpoints are incremental, a round is what all checkpoints since the one before wrote; else what its last one did.
    """
    settings = {
        "execution.checkpointing.dir": str(folder),
        "execution.checkpointing.interval": "200 ms",
        "execution.checkpointing.num-retained": "100000",
        **options,
    }
    rounds = RoundsOfRows(changes)
    client = _start(rounds, function, settings)
    rounds.client = client
    result = client.result()
    incremental = settings.get("execution.checkpointing.incremental", "true") == "true"
    counted = _counted(folder, rounds, result.checkpoints, incremental)
    return RanRounds(counted, rounds.last_ids, result, client.state_registry())


def no_rows(function: KeyedProcessFunction, settings: dict[str, str]) -> None:
    """Run the same job without a row and without checkpoints of its own."""
    _start(RoundsOfRows([]), function, settings).result()


def _start(rounds: RoundsOfRows, function: KeyedProcessFunction, settings: dict[str, str]) -> Any:
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    env.set_parallelism(1)
    _jobs.append(rounds)
    source = env.add_source(Rounds(len(_jobs) - 1), "keys", Types.LONG()).uid("keys")
    source.key_by(lambda key: key, Types.LONG()).process(function).uid("state")
    return env.execute_async("rounds")


def _counted(folder: Path, rounds: RoundsOfRows, checkpoints: list[dict[str, Any]], incremental: bool) -> list[Round]:
    files: dict[int, list[int]] = {}
    for path in folder.rglob("*"):
        parts = path.name.split(".")[0].split("-")
        if parts[0] in ("chk", "data") and path.is_file():
            files.setdefault(int(parts[1] if parts[0] == "chk" else parts[2]), []).append(path.stat().st_size)
    counted = []
    first = 0
    for keys, last in zip(rounds.changes, rounds.last_ids, strict=True):
        entry = Round(len(keys))
        for checkpoint in checkpoints:
            # One that wrote no row stands for the time that passed, not for a change.
            of_round = first < checkpoint["id"] <= last if incremental else checkpoint["id"] == last
            if of_round and checkpoint["rows_written"] > 0:
                entry.file_bytes += sum(files[checkpoint["id"]])
                entry.files += len(files[checkpoint["id"]])
                entry.serialized_bytes += checkpoint["raw_bytes"]
                entry.partitions += checkpoint["partitions_written"]
                entry.rows += checkpoint["rows_written"]
                entry.milliseconds += checkpoint["duration_ms"]
        first = last
        counted.append(entry)
    return counted
