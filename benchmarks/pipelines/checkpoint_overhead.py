"""What a checkpoint every second costs in throughput: the same rows with and without, in turns.

At least 30 s a run, 1 M keys touched uniformly, native and Python-object state (benchmarks/running_totals.py).
"""

from __future__ import annotations

import jobs
from measuring import Options, Report, in_turns, speed_ratios
from running_totals import KINDS, check_results, every_key_once, stamps

PACKAGES = ("pyarrow",)


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


def measure(options: Options, report: Report) -> None:
    """Check results, then measure throughput with both kinds of state."""
    check_results(report)
    for kind in KINDS:
        measure_throughput(options, report, kind)
