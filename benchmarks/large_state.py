"""The job of large_state_gap and large_state_overhead: 8 Mi keys with 128 bytes of running aggregates each.

That is 1 GiB by the engine's own count, the `state_bytes` of its checkpoints (what the rows of state take when they are
encoded, without compression), and nothing of it is Python's: `agg` over typed rows. In memory it is about 1.5 GiB, in an
open checkpoint up to as much again. The memory backend and RocksDB have a budget that holds it; of RocksDB's the row
cache has a half.

First every key is written once, in random order, so that neighbours among the keys are none in memory. Then chunks of
rows go through the job again and again, as fast as it takes them. A run is watched from outside, once all keys are there
and, with checkpoints, one that has them all is complete; then it is cancelled. What the last checkpoint holds must be
what NumPy makes of the rows that the source had read at its barrier.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jobs
import numpy as np
import pyarrow as pa

import headrace
from headrace import Avg, Configuration, Count, Max, Min, StreamExecutionEnvironment, Sum

GIB = 2**30
KEYS = 2**23
CHUNK_ROWS = 2**20
BACKENDS = {"hashmap": "memory", "rocksdb": "RocksDB"}
BUDGET = "12 gb"
"""A limit, not what is used. Of it RocksDB's own memory may be a third and a sixth stays free for page copies."""
SECOND_NS = 1_000_000_000
GIVE_UP_SECONDS = 600
CHUNKS_READ = 20_000
"""More than any run comes to."""
_numbers = itertools.count(1)


class Rows:
    """The input: every key once, then some chunks of keys again and again."""

    def __init__(self, keys: int, chunks: list[np.ndarray]) -> None:
        self.keys = keys
        place = np.arange(CHUNK_ROWS, dtype=np.int64)
        self._columns = {"value": place % 1999 - 999, "price": place % 977}
        self.first = np.random.default_rng(5).permutation(keys).astype(np.int64)
        self.chunks = chunks
        self._first_parts = [self.first[at : at + CHUNK_ROWS] for at in range(0, keys, CHUNK_ROWS)]

    def table(self) -> pa.Table:
        """Return the rows; the chunks are there once, however often they come."""
        first = [self._batch(part) for part in self._first_parts]
        return pa.Table.from_batches(
            first + [self._batch(chunk) for chunk in self.chunks] * (CHUNKS_READ // len(self.chunks))
        )

    def totals(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the count and the sum of `value` of each key after the first `rows`, all keys being among them."""
        count, total = np.zeros(self.keys, dtype=np.int64), np.zeros(self.keys, dtype=np.int64)
        full, rest = divmod(rows - self.keys, CHUNK_ROWS * len(self.chunks))
        parts = [(part, 1) for part in self._first_parts] + [(chunk, full) for chunk in self.chunks]
        for chunk in self.chunks[: -(-rest // CHUNK_ROWS)]:
            parts.append((chunk[:rest], 1))
            rest -= CHUNK_ROWS
        for keys, times in parts:
            # Sums of a chunk are small enough to be exact in a float64.
            sums = np.bincount(keys, self._columns["value"][: len(keys)], minlength=self.keys)
            count += times * np.bincount(keys, minlength=self.keys)
            total += times * sums.astype(np.int64)
        return count, total

    def _batch(self, keys: np.ndarray) -> pa.RecordBatch:
        return pa.record_batch({"key": keys} | {name: each[: len(keys)] for name, each in self._columns.items()})


class Watch:
    """What was seen of one run.

    Attributes:
        outputs: Times in ns at which more rows had come out.
        asked: Times in ns at which this process asked.
        barriers: Times in ns of checkpoints; imagined ones, one a second, without them.
        checkpoints: What the job says of those that it triggered meanwhile and that are complete.
        seconds: How long it was watched.
        rows: What came out in that time.
    """

    def __init__(self, outputs: list[int], asked: list[int], barriers: list[int]) -> None:
        self.outputs = np.array(outputs, dtype=np.int64)
        self.asked = np.array(asked, dtype=np.int64)
        self.barriers = barriers
        self.checkpoints: list[dict[str, Any]] = []
        self.seconds = (asked[-1] - asked[0]) / SECOND_NS
        self.rows = 0

    def rows_a_second(self) -> float:
        """Return the throughput."""
        return self.rows / self.seconds

    def blind_ms(self) -> float:
        """Return the longest time between two askings."""
        return float(np.max(np.diff(self.asked))) / 1e6


def run(
    backend: str, rows: Rows, watched: dict[str, float], folder_name: str, with_checkpoints: bool
) -> tuple[Watch, dict[str, bool]]:
    """Run the job once and watch it.

    Args:
        backend: Its `state.backend.type`.
        rows: What it reads.
        watched: `seconds` to watch, `barriers` to see at least, seconds of a `pause` between askings.
        folder_name: Where checkpoints and RocksDB's files go, below the scratch directory.
        with_checkpoints: One a second, or none.

    Returns:
        What was seen, and what was checked by name, nothing without checkpoints.
    """
    # Of its own: RocksDB of a job that was cancelled while it wrote may still be there.
    name = f"{folder_name}-{next(_numbers)}"
    with _environment(backend, name, with_checkpoints) as (env, folder):
        _record(env, rows.table())
        client = env.execute_async(folder_name)
        try:
            _wait_for_all_keys(client, rows.keys, with_checkpoints)
            seen = _watch(client, watched, with_checkpoints)
        finally:
            client.cancel().result()
        return seen, _checked(folder, rows, BACKENDS[backend]) if with_checkpoints else {}


@contextmanager
def _environment(backend: str, name: str, with_checkpoints: bool) -> Iterator[tuple[StreamExecutionEnvironment, Path]]:
    with jobs.checkpoint_folder(name) as folder:
        settings = {"state.backend.type": backend, "state.memory-budget": BUDGET}
        settings["state.backend.rocksdb.localdir"] = str(folder)
        if with_checkpoints:
            settings["execution.checkpointing.dir"] = str(folder)
            settings["execution.checkpointing.interval"] = "1 s"
        env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
        env.set_parallelism(1)
        yield env, folder


def _record(env: StreamExecutionEnvironment, rows: pa.Table) -> None:
    keyed = env.from_arrow(rows).name("rows").uid("rows").key_by("key")
    keyed.agg(
        n=Count(),
        total=Sum("value"),
        low=Min("value"),
        high=Max("value"),
        mean=Avg("value"),
        cost=Sum("price"),
        cheapest=Min("price"),
        dearest=Max("price"),
    ).name("totals").uid("totals")


def _wait_for_all_keys(client: Any, keys: int, with_checkpoints: bool) -> None:
    """Wait until all are there and checkpoints have taken what memory they need."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    filled_ms = 0
    while True:
        time.sleep(0.1)
        if client.status().is_terminal_state() or time.monotonic() > give_up:
            client.cancel().result()
            raise RuntimeError("the job ended or hung before all keys were in a checkpoint")
        if not filled_ms and client.metrics().get("totals.rows_out", 0) >= keys:
            filled_ms = time.time_ns() // 1_000_000
        if filled_ms and (not with_checkpoints or any(one["triggered_ms"] > filled_ms for one in _complete(client))):
            break
    time.sleep(1)


def _complete(client: Any) -> list[dict[str, Any]]:
    return [checkpoint for checkpoint in client.checkpoints() if checkpoint["completed"]]


def _watch(client: Any, watched: dict[str, float], with_checkpoints: bool) -> Watch:
    before = first = client.metrics()["totals.rows_out"]
    start = time.time_ns()
    outputs, asked, barriers = [], [start], []
    checkpoints: list[dict[str, Any]] = []
    next_look = start
    while True:
        time.sleep(watched["pause"])
        rows = client.metrics()["totals.rows_out"]
        now = time.time_ns()
        asked.append(now)
        if rows != before:
            outputs.append(now)
            before = rows
        if now < next_look:
            continue
        next_look = now + SECOND_NS // 2
        if now > start + GIVE_UP_SECONDS * SECOND_NS or client.status().is_terminal_state():
            raise RuntimeError("the job ended or hung")
        if with_checkpoints:
            checkpoints = [one for one in _complete(client) if one["triggered_ms"] * 1_000_000 >= start]
            barriers = [one["triggered_ms"] * 1_000_000 for one in checkpoints]
        else:
            barriers = list(range(start + SECOND_NS, now, SECOND_NS))
        # A second after the last one must have been seen too.
        barriers = [barrier for barrier in barriers if barrier + 1.2 * SECOND_NS < now]
        if now > start + watched["seconds"] * SECOND_NS and len(barriers) >= watched["barriers"]:
            break
    seen = Watch(outputs, asked, barriers)
    seen.rows = before - first
    seen.checkpoints = checkpoints
    return seen


def _checked(folder: Path, rows: Rows, backend: str) -> dict[str, bool]:
    (job,) = {path.parent for path in folder.rglob("*.manifest")}
    checkpoint = headrace.read_checkpoint(str(job))
    (split,) = checkpoint["rows"].source_offsets()
    (state,) = checkpoint["totals"].states().values()
    count, total = rows.totals(split["rows_read"])
    right, found = True, 0
    for batch in state.to_batches():
        keys = batch["key"].to_numpy()
        found += len(keys)
        right = right and np.array_equal(batch["count"].to_numpy(), count[keys])
        right = right and np.array_equal(batch["sum"].to_numpy(), total[keys])
    return {
        f"{backend}: count and sum of every key in the last checkpoint": right and found == rows.keys,
        f"{backend}: 128 bytes of state a key or more": checkpoint.state_bytes >= 128 * rows.keys,
    }
