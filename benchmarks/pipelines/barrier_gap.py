"""The longest gap between two processed batches near a barrier: it must not grow with the number of keys.

Every key is written once and a first checkpoint taken; then come 20 more, and as long a run without any,
which shows what the machine does by itself. Where the times come from:
- native: this process asks for the operator's `rows_in` every half millisecond, with the GIL to itself, and
  notes when it has grown. The longest time between two askings is reported: on a busy machine it is this
  process that stood still, and a gap no longer than that says nothing.
- Python: the function notes the time at every 256th record, since asking from outside would take the GIL
  from it: this process looks only every two seconds. That costs the same with and without checkpoints.
  From 16 of these times to the next 16 it is a batch, as in the native job; the longest time between two
  neighbours, the pause proper, is reported beside it.
For each checkpoint the longest gap that touches the second before or after its barrier counts, and of 20
checkpoints the worst. The growth is taken in each of three rounds, then the median.
"""

from __future__ import annotations

import time
from typing import Any

import jobs
import numpy as np
from measuring import Options, Report
from running_totals import KINDS, RECORDS_PER_STAMP, check_results, every_key_once, stamps

PACKAGES = ("pyarrow",)
SECOND_NS = 1_000_000_000
BATCH_RECORDS = 4096
ROUNDS = 3
GIVE_UP_SECONDS = 600

blind_ms: list[float] = []
"""Longest time between two askings of each native run."""


def longest_gap_near(times: np.ndarray, barrier_ns: int) -> float:
    """Return the longest time in ms between neighbours that touches the second before or after."""
    first = max(0, int(np.searchsorted(times, barrier_ns - SECOND_NS)) - 1)
    last = int(np.searchsorted(times, barrier_ns + SECOND_NS)) + 1
    return float(np.max(np.diff(times[first:last]))) / 1e6


def watch(kind: str, client: Any, keys: int, checkpoints: int) -> tuple[np.ndarray, list[int]]:
    """Follow a running job until it passed enough barriers after every key was written once.

    Returns:
        The times in ns at which progress was seen from then on, and the barriers'. Without checkpoints
        (0 of them in the job) barriers are imagined, one a second.
    """
    times: list[int] = []
    asked = [time.time_ns()]
    filled_ns = 0
    wanted = abs(checkpoints)
    rows_before = 0
    give_up = time.monotonic() + GIVE_UP_SECONDS
    next_look = 0.0
    while True:
        if time.monotonic() > give_up or client.status().is_terminal_state():
            raise RuntimeError(f"the {kind} job ended or hung before {wanted} checkpoints")
        if kind == "native":
            time.sleep(0.0005)
            rows = client.metrics().get("totals.rows_in", 0)
            asked.append(time.time_ns())
            if rows != rows_before:
                times.append(asked[-1])
                rows_before = rows
        else:
            time.sleep(0.2 if not filled_ns else 2.0)
            rows = len(stamps) * RECORDS_PER_STAMP
        if not filled_ns and rows >= keys:
            filled_ns = time.time_ns()
        if not filled_ns or time.monotonic() < next_look:
            continue
        next_look = time.monotonic() + 0.2
        barriers = barriers_since(client, filled_ns, checkpoints)
        # A second after the last one must have been seen too.
        if len(barriers) >= wanted and time.time_ns() > barriers[wanted - 1] + 1.2 * SECOND_NS:
            seen = np.array(times if kind == "native" else stamps, dtype=np.int64)
            blind_ms.append(float(np.max(np.diff(asked), initial=0)) / 1e6)
            return seen[seen >= filled_ns], barriers[:wanted]


def barriers_since(client: Any, filled_ns: int, checkpoints: int) -> list[int]:
    """Return the times of complete checkpoints from two seconds after the fill on, or imagined ones.

    The first checkpoint takes memory from the system; the second before any that counts must be behind it.
    """
    start = filled_ns + 2 * SECOND_NS
    if checkpoints < 0:
        return [start + number * SECOND_NS for number in range(-checkpoints)]
    done = [entry for entry in client.checkpoints() if entry["completed"]]
    times = [entry["triggered_ms"] * 1_000_000 for entry in done]
    return [instant for instant in times if instant >= start]


def worst_gaps(kind: str, keys: int, checkpoints: int, with_checkpoints: bool) -> tuple[float, float]:
    """Return the worst gap in ms near any of the barriers: between batches, and between times noted."""
    stamps.clear()
    rows = jobs.repeated(jobs.uniform_chunk(1_000_000, keys), 20_000, every_key_once(keys))
    with jobs.checkpoint_folder("gaps") as folder:
        env = jobs.environment(folder if with_checkpoints else None)
        KINDS[kind](env, rows)
        client = env.execute_async(f"gaps {kind}")
        try:
            seen, barriers = watch(kind, client, keys, checkpoints if with_checkpoints else -checkpoints)
        finally:
            client.cancel().result()
    batches = seen if kind == "native" else seen[:: BATCH_RECORDS // RECORDS_PER_STAMP]
    return worst(batches, barriers), worst(seen, barriers)


def worst(times: np.ndarray, barriers: list[int]) -> float:
    """Return the worst gap in ms near any of the barriers."""
    return max(longest_gap_near(times, barrier) for barrier in barriers)


def measure_gaps(options: Options, report: Report, kind: str) -> None:
    """Measure the worst gap at three numbers of keys; it must not grow with them.

    The bound is on the growth against the smallest number of keys, or against what the same job shows
    without checkpoints where that is more: a table that no longer fits the caches is slower at all times.
    """
    sizes = [10_000, 100_000, 1_000_000] if options.quick else [10_000, 1_000_000, 10_000_000]
    checkpoints = options.size(20, 5)
    gaps: dict[str, list[float]] = {}
    growth: dict[int, list[float]] = {keys: [] for keys in sizes[1:]}
    blind_ms.clear()
    for number in range(min(options.rounds, ROUNDS)):
        for keys in sizes:
            print(f"  gaps, {kind} state, {keys:,} keys, round {number + 1}", flush=True)
            found = {taken: worst_gaps(kind, keys, checkpoints, taken == "with") for taken in ("with", "without")}
            for taken, (gap, pause) in found.items():
                name = f"{kind} state, {keys:,} keys, {taken} checkpoints: worst"
                gaps.setdefault(f"{name} gap", []).append(gap)
                if kind != "native":
                    gaps.setdefault(f"{name} within {RECORDS_PER_STAMP} records", []).append(pause)
            if keys == sizes[0]:
                smallest = found["with"][0]
            else:
                growth[keys].append(found["with"][0] / max(smallest, found["without"][0]))
    for keys, ratios in growth.items():
        report.ratio(f"{kind} state: worst gap, {keys:,} / {sizes[0]:,} keys", ratios, ceiling=1.5)
    for name, values in gaps.items():
        report.figure(name, values, "ms")
    if kind == "native":
        report.figure("longest time between two askings", blind_ms, "ms")


def measure(options: Options, report: Report) -> None:
    """Check results, then measure gaps with both kinds of state."""
    check_results(report)
    for kind in KINDS:
        measure_gaps(options, report, kind)
