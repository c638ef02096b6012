"""Keyed tumbling windows over typed rows against DuckDB's GROUP BY with one thread.

headrace runs the job as any other: source, watermarks, key_by, window operator, state tables, and rows out
as Arrow. DuckDB groups the same rows by (key, ts // 10,000) twice: from a table of its own, made before the
clock starts, and from the Arrow table that headrace reads; the faster of the two counts in each round. Both
engines give Arrow tables.
"""

from __future__ import annotations

import time

import duckdb
import jobs
import numpy as np
import pyarrow as pa
from measuring import Options, Report, in_turns, speed_ratios

from headrace import Count, Duration, Sum, Time, TumblingEventTimeWindows, WatermarkStrategy
from headrace.datastream import DataStream, StreamExecutionEnvironment

PACKAGES = ("duckdb", "pyarrow")
KEYS = 10_000
WINDOW_MS = 10_000
DISORDER_MS = 2_000
ROWS_PER_SECOND = 100_000
"""Event-time density: a window holds 1 M rows, as in Nexmark's second edition."""
FIRST_WINDOW_MS = jobs.BASE_MS // WINDOW_MS * WINDOW_MS - WINDOW_MS
"""Start of the first window that can hold a row."""
QUERY = """
    SELECT key, ts // {size} * {size} AS window_start, sum(value)::BIGINT AS total, count(*) AS n
    FROM {table} GROUP BY key, ts // {size}
"""


def make_events(rows: int, chunks: int = 1) -> pa.Table:
    """Return `chunks` times `rows` events; the chunks share keys and values, and time runs on."""
    chunk = jobs.uniform_chunk(rows, KEYS)
    times = jobs.disordered_times(rows * chunks, ROWS_PER_SECOND, DISORDER_MS)
    return pa.Table.from_batches(
        pa.record_batch(
            {
                "key": chunk["key"],
                "value": chunk["value"],
                "ts": times[number * rows : (number + 1) * rows],
            }
        )
        for number in range(chunks)
    )


def windows(env: StreamExecutionEnvironment, events: pa.Table) -> DataStream:
    """Record the job."""
    disorder = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(DISORDER_MS))
    return (
        env.from_arrow(events, timestamp="ts", watermark_strategy=disorder)
        .key_by("key")
        .window(TumblingEventTimeWindows.of(Time.milliseconds(WINDOW_MS)))
        .agg(total=Sum("value"), n=Count())
        .name("windows")
    )


def in_order(table: pa.Table) -> pa.Table:
    """Return the four result columns sorted by window and key."""
    columns = ["key", "window_start", "total", "n"]
    return table.select(columns).sort_by([("window_start", "ascending"), ("key", "ascending")])


def same_rows(left: pa.Table, right: pa.Table) -> bool:
    """Compare two results as multisets of rows, whatever width their integers have."""
    return in_order(left).to_pydict() == in_order(right).to_pydict()


def distinct_windows(events: pa.Table) -> int:
    """Return how many (window, key) have a row; a chunk at a time, so that it fits for any size."""
    seen = np.zeros(0, dtype=bool)
    for chunk in events.to_batches():
        windows_passed = (chunk["ts"].to_numpy() - FIRST_WINDOW_MS) // WINDOW_MS
        slots = windows_passed * KEYS + chunk["key"].to_numpy()
        if slots.max() >= len(seen):
            seen = np.append(seen, np.zeros(slots.max() + 1 - len(seen), dtype=bool))
        seen[slots] = True
    return int(seen.sum())


def measure(options: Options, report: Report) -> None:
    """Compare with DuckDB, then the same job with and without checkpoints."""
    rows = options.size(10_000_000, 2_000_000)
    rows_per_second = measure_against_duckdb(options, report, rows)
    measure_checkpoints(options, report, rows, rows_per_second)


def measure_against_duckdb(options: Options, report: Report, rows: int) -> float:
    """Compare with DuckDB; return the most rows a second that headrace reached."""
    events = make_events(rows)
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("CREATE TABLE own_events AS SELECT * FROM events")
    results: dict[str, pa.Table] = {}

    def run_headrace() -> float:
        start = time.perf_counter()
        results["headrace"] = windows(jobs.environment(), events).to_arrow()
        return time.perf_counter() - start

    def run_duckdb(table: str) -> float:
        start = time.perf_counter()
        results[table] = connection.sql(QUERY.format(table=table, size=WINDOW_MS)).to_arrow_table()
        return time.perf_counter() - start

    connection.register("arrow_events", events)
    contenders = {
        "DuckDB, own table": lambda: run_duckdb("own_events"),
        "headrace": run_headrace,
        "DuckDB, Arrow table": lambda: run_duckdb("arrow_events"),
    }
    times = in_turns(contenders, options.rounds)
    for table in ("own_events", "arrow_events"):
        report.check(f"windows equal DuckDB's from {table}", same_rows(results["headrace"], results[table]))
    duckdb_best = list(map(min, times["DuckDB, own table"], times["DuckDB, Arrow table"]))
    report.ratio("headrace / DuckDB, 1 thread", speed_ratios(duckdb_best, times["headrace"]), floor=1.0)
    for name, seconds in times.items():
        report.figure(name, [rows / second / 1e6 for second in seconds], "M rows/s")
    report.notes.append(f"{rows:,} rows, {KEYS:,} keys, {ROWS_PER_SECOND:,} rows a second of event time")
    connection.close()
    return rows / min(times["headrace"])


def measure_checkpoints(options: Options, report: Report, rows: int, rows_per_second: float) -> None:
    """Measure a run of at least three seconds with a checkpoint every second against one without."""
    seconds_min = 4.0
    chunks = max(1, round(seconds_min * rows_per_second / rows + 0.5))
    events = make_events(rows, chunks)
    windows_expected = distinct_windows(events)
    counted: list[bool] = []

    def run(with_checkpoints: bool) -> float:
        with jobs.checkpoint_folder("windows") as folder:
            env = jobs.environment(folder if with_checkpoints else None)
            windows(env, events)
            seconds, result = jobs.timed(env, "windows")
        counted.append(result.metrics["windows.rows_out"] == windows_expected)
        if with_checkpoints:
            counted.append(jobs.all_completed(result.checkpoints, at_least=int(seconds)))
        return seconds

    contenders = {"with": lambda: run(True), "without": lambda: run(False)}
    times = in_turns(contenders, options.rounds)
    report.check("all checkpoints complete, as many windows", all(counted))
    # The rate was that of the fastest round, so a run is never shorter than meant by more than noise.
    report.check("runs of 3 s or more", min(times["without"]) >= 3.0 or options.scale < 1)
    report.ratio(
        "with 1 s checkpoints / without",
        speed_ratios(times["without"], times["with"]),
        floor=0.9,
    )
    report.figure("run without checkpoints", times["without"], "s")
