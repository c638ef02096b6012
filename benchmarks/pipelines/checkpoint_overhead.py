"""What a checkpoint every second costs: throughput, and the longest gap between two processed batches.

Keys are touched uniformly, by typed rows from memory, with parallelism 1. Native state is the running sum and
count of `agg`; Python-object state is a tuple in a ValueState without a declared type, which is encoded.

Throughput: the same rows with and without checkpoints, in turns, at least 30 s a run, 1 M keys.

Gaps: every key is written once and a first checkpoint taken; then come 20 more, and as long a run without any,
which shows what the machine does by itself. Where the times come from:
- native: this process asks for the operator's `rows_in` every half millisecond, with the GIL to itself, and
  notes when it has grown. The longest time between two askings is reported: on a busy machine it is this
  process that stood still, and a gap no longer than that says nothing.
- Python: the function notes the time at every 256th record, since asking from outside would take the GIL
  from it. That costs the same with and without checkpoints.
For each checkpoint the longest gap that touches the second before or after its barrier counts, and of 20
checkpoints the worst.
"""

from __future__ import annotations

import time
from typing import Any

import jobs
import numpy as np
import pyarrow as pa
from measuring import Options, Report, Spread, in_turns, speed_ratios

from headrace import Count, KeyedProcessFunction, Sum, ValueStateDescriptor
from headrace.datastream import DataStream, StreamExecutionEnvironment

PACKAGES = ("pyarrow",)
SECOND_NS = 1_000_000_000
RECORDS_PER_STAMP = 256
GIVE_UP_SECONDS = 600

stamps: list[int] = []
"""Wall clock in ns at every 256th record. In the module: the function itself is copied for each run."""


blind_ms: list[float] = []
"""Longest time between two askings of each native run."""


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


def every_key_once(keys: int) -> pa.RecordBatch:
    """Return one row for each key, in random order."""
    order = np.random.default_rng(5).permutation(keys).astype(np.int64)
    return pa.record_batch({"key": order, "value": order % 1000})


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


# ---- throughput --------------------------------------------------------------------------------------------


def measure_throughput(options: Options, report: Report, kind: str) -> None:
    """Measure the same rows with and without checkpoints."""
    keys = options.size(1_000_000, 100_000)
    seconds_wanted = options.seconds(40, 5)
    first, chunk = every_key_once(keys), jobs.uniform_chunk(1_000_000, keys)
    verdicts: list[bool] = []

    def run(times: int, with_checkpoints: bool) -> float:
        stamps.clear()
        rows = jobs.repeated(chunk, times, first)
        with jobs.checkpoint_folder("overhead") as folder:
            env = jobs.environment(folder if with_checkpoints else None)
            KINDS[kind](env, rows)
            seconds, result = jobs.timed(env, f"overhead {kind}")
        verdicts.append(result.metrics["totals.rows_in"] == len(rows))
        if with_checkpoints:
            # One a second; the last of a bounded job comes at its end.
            enough = int(0.8 * seconds)
            verdicts.append(jobs.all_completed(result.checkpoints, at_least=enough))
            taken.append(len(result.checkpoints) / seconds)
        return seconds

    print(f"  throughput, {kind} state", flush=True)
    taken: list[float] = []
    few, more = run(1, False), run(4, False)
    chunk_seconds = max(1e-4, (more - few) / 3)
    times = max(1, round(seconds_wanted / chunk_seconds))
    contenders = {"with": lambda: run(times, True), "without": lambda: run(times, False)}
    # The two runs that found the speed have warmed what is warm after a second.
    seconds = in_turns(contenders, options.rounds, warm_up=False)
    report.check(f"{kind}: all rows in, all checkpoints complete", all(verdicts))
    if not options.quick:
        long_enough = min(seconds["without"]) >= 30 * options.scale
        report.check(f"{kind}: runs of 30 s or more", long_enough)
    report.ratio(
        f"{kind} state: with 1 s checkpoints / without",
        speed_ratios(seconds["without"], seconds["with"]),
        floor=0.9,
    )
    rows = keys + times * len(chunk)
    report.figure(f"{kind}, without", [rows / s / 1e6 for s in seconds["without"]], "M rows/s")
    report.figure(f"{kind}, checkpoints", taken, "a second")


# ---- gaps --------------------------------------------------------------------------------------------------


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
            time.sleep(0.2)
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


def worst_gap(kind: str, keys: int, checkpoints: int, with_checkpoints: bool) -> float:
    """Return the worst gap in ms near any of the barriers."""
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
    return max(longest_gap_near(seen, barrier) for barrier in barriers)


def measure_gaps(options: Options, report: Report, kind: str) -> None:
    """Measure the worst gap at three numbers of keys; it must not grow with them.

    The bound is on the growth against the smallest number of keys, or against what the same job shows
    without checkpoints where that is more: a table that no longer fits the caches is slower at all times.
    """
    sizes = [10_000, 100_000, 1_000_000] if options.quick else [10_000, 1_000_000, 10_000_000]
    checkpoints = options.size(20, 5)
    smallest = 0.0
    blind_ms.clear()
    for keys in sizes:
        print(f"  gaps, {kind} state, {keys:,} keys", flush=True)
        gap = worst_gap(kind, keys, checkpoints, True)
        quiet = worst_gap(kind, keys, checkpoints, False)
        name = f"{kind} state, {keys:,} keys: worst gap of {checkpoints}"
        report.figures[name] = f"{Spread.of([gap])} ms; without checkpoints {Spread.of([quiet])} ms"
        if smallest:
            growth = gap / max(smallest, quiet)
            report.ratio(f"{kind} state: worst gap, {keys:,} / {sizes[0]:,} keys", [growth], ceiling=1.5)
        else:
            smallest = gap
    if kind == "native":
        report.figure("longest time between two askings", blind_ms, "ms")


def measure(options: Options, report: Report) -> None:
    """Check results, then measure throughput and gaps with both kinds of state."""
    check_results(report)
    for kind in KINDS:
        measure_throughput(options, report, kind)
    for kind in KINDS:
        measure_gaps(options, report, kind)
