"""`python -m headrace.examples.flights`: the job with a progress bar, its results, then recovery from kill -9."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace.common import JobClient, JobExecutionResult
from headrace.examples.flights import oracle, recovery
from headrace.examples.flights.data import ROWS, load_airlines, load_flights
from headrace.examples.flights.job import JOB_NAME, Directories, build, configuration, read_output

SLOWED_SECONDS = 22


def run(directories: Directories, rows_per_second: float, resume: bool, interval: str) -> None:
    """One run for `recovery`: prints its result as a line of JSON."""
    env = build(
        load_flights(), load_airlines(), directories, configuration(directories, resume, interval), rows_per_second
    )
    result = env.execute(JOB_NAME)
    resumed = [m.group(1) for text in result.messages if (m := re.search(r"resumed from checkpoint (\d+)", text))]
    report = {"metrics": result.metrics, "messages": result.messages, "checkpoint": resumed[0] if resumed else 0}
    print(recovery.RESULT_MARK + json.dumps(report))


def main() -> int:
    """The whole demonstration; 0 when every comparison held."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="headrace-flights-") as scratch:
        flights, airlines = load_flights(), load_airlines()
        plain = Directories(Path(scratch, "plain"), Path(scratch, "plain-checkpoints"))
        env = build(flights, airlines, plain, configuration(plain))
        result = _with_progress(env.execute_async(JOB_NAME), console)
        outputs = read_output(plain.output)
        _show_results(console, outputs, result)
        same_as_duckdb = _compare(console, "DuckDB over the same rows", outputs, oracle.all_outputs(flights, airlines))

        console.rule("Recovery: the same job slowed down, killed with SIGKILL, resumed")
        killed = Directories(Path(scratch, "killed"), Path(scratch, "killed-checkpoints"))
        resumed = recovery.kill_and_resume(killed, SLOWED_SECONDS / 2, ROWS / SLOWED_SECONDS)
        console.print(
            f"killed after {resumed.killed_after_seconds:.1f} s and {resumed.checkpoints_before_kill} checkpoints; "
            f"resumed from checkpoint {resumed.checkpoint_id} at source offset {resumed.source_offset:,}; "
            f"{resumed.rows_read_again:,} of {ROWS:,} rows read ({resumed.rows_read_again / ROWS:.0%}); "
            f"{resumed.parts_before_kill} files committed before the kill are untouched"
        )
        read_less = resumed.rows_read_again < 0.8 * ROWS
        if not read_less:
            console.print("[red]the resumed run read 80 % of the rows or more[/red]")
        same_as_plain = _compare(console, "the uninterrupted run", read_output(killed.output), outputs)
    return 0 if same_as_duckdb and same_as_plain and read_less else 1


def _with_progress(client: JobClient, console: Console) -> JobExecutionResult:
    columns = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("flights", total=ROWS)
        while not client.status().is_terminal_state():
            progress.update(bar, completed=client.metrics().get("flights.rows_read", 0))
            time.sleep(0.05)
        progress.update(bar, completed=client.metrics().get("flights.rows_read", ROWS))
    return client.result()


def _show_results(console: Console, outputs: dict[str, list[str]], result: JobExecutionResult) -> None:
    table = Table(title="Busiest days: carrier and origin")
    for column in ["day (start, ms)", "airline", "origin", "flights", "mean delay, min", "longest, min"]:
        table.add_column(column, justify="left" if column in ("airline", "origin") else "right")
    rows = [line.split(",") for line in outputs["daily"]]
    for start, _, airline, origin, count, mean, longest in sorted(rows, key=lambda row: -int(row[4]))[:8]:
        table.add_row(start, airline, origin, count, f"{float(mean):.1f}" if mean else "", longest)
    console.print(table)
    seconds = result.get_net_runtime() / 1000
    console.print(
        f"{len(outputs['hourly']):,} hourly and {len(outputs['daily']):,} daily windows; {len(outputs['alerts']):,} delay alerts; "
        f"late flights: {len(outputs['hourly-late']):,} for their hour, {len(outputs['daily-late']):,} for their day"
    )
    completed = sum(1 for checkpoint in result.checkpoints if checkpoint["completed"])
    console.print(
        f"{completed} checkpoints; {ROWS:,} flights in {seconds:.2f} s: {ROWS / max(seconds, 1e-9):,.0f} rows/s"
    )


def _compare(console: Console, what: str, outputs: dict[str, list[str]], expected: dict[str, list[str]]) -> bool:
    wrong = [name for name in expected if outputs.get(name) != expected[name]]
    if wrong:
        console.print(f"[red]differs from {what}: {', '.join(wrong)}[/red]")
        for name in wrong:
            got, want = outputs.get(name, []), expected[name]
            console.print(f"  {name}: {len(got)} lines, expected {len(want)}; first differences: "
                          f"{sorted(set(got) - set(want))[:2]} / {sorted(set(want) - set(got))[:2]}")  # fmt: skip
        return False
    console.print(f"[green]equals {what}[/green]: {sum(map(len, outputs.values())):,} lines")
    return True


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "run":
        output, checkpoints, rate, mode, every = sys.argv[2:7]
        run(Directories(Path(output), Path(checkpoints)), float(rate), mode == "resume", every)
        sys.exit(0)
    sys.exit(main())
