"""The same jobs with parallelism 1 and 2, in turns: nothing may be slower with two workers than with one.

Two workers halve the work of typed jobs, but rows are dealt out to them by key. Python functions run one at a
time whatever the parallelism, as they share the interpreter: there the second worker can at best cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jobs
import workloads
from measuring import Options, Report, in_turns, speed_ratios
from pipelines import windows_vs_duckdb as windows_job
from pipelines.keyed_python_vs_bare_loop import ReturningCounter
from pipelines.wordcount_peers import with_sum

from headrace.datastream import DataStream, StreamExecutionEnvironment

PACKAGES = ("pyarrow",)
NOISE = 0.97
"""Two runs of one job differ by this much."""


def seconds_of(
    record_job: Callable[[StreamExecutionEnvironment], DataStream], parallelism: int, rows_out: int
) -> float:
    """Return the seconds of a job, which must give that many rows."""
    env = jobs.environment()
    env.set_parallelism(parallelism)
    record_job(env).name("step")
    seconds, result = jobs.timed(env, "two workers")
    if result.metrics["step.rows_out"] != rows_out:
        raise RuntimeError(f"{result.metrics['step.rows_out']} results, not {rows_out}")
    return seconds


def measure(options: Options, report: Report) -> None:
    """Compare each job with itself."""
    events = windows_job.make_events(options.size(10_000_000, 2_000_000))
    records = workloads.records(options.size(2_000_000, 400_000))
    words = options.size(2_000_000, 500_000)
    words -= words % workloads.WORDS_PER_LINE
    lines = workloads.lines(words)

    def counter(env: StreamExecutionEnvironment) -> DataStream:
        return env.from_collection(records).key_by(lambda record: record[1]).process(ReturningCounter())

    recorded: dict[str, tuple[Any, int]] = {
        "typed windows": (lambda env: windows_job.windows(env, events), windows_job.distinct_windows(events)),
        "keyed Python function": (counter, len(records)),
        "word count": (lambda env: with_sum(env, lines), words),
    }
    contenders = {
        f"{name}, {workers}": lambda job=job, workers=workers, rows=rows: seconds_of(job, workers, rows)
        for name, (job, rows) in recorded.items()
        for workers in (1, 2)
    }
    times = in_turns(contenders, options.rounds)
    for name in recorded:
        report.ratio(f"{name}: 2 workers / 1", speed_ratios(times[f"{name}, 1"], times[f"{name}, 2"]), floor=NOISE)
    for name, seconds in times.items():
        report.figure(name, seconds, "s")
