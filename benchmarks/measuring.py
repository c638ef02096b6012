"""How every pipeline is measured: in turns, several rounds, medians, a ratio and its spread, a result file."""

from __future__ import annotations

import gc
import json
import mmap
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
RECORDED = ROOT / "benchmarks/recorded"
"""Committed results: what tests/ledger.toml counts as shown."""
SCRATCH = ROOT / "build/bench"


@dataclass(frozen=True)
class Options:
    """What the command line chose. `scale` multiplies sizes and durations."""

    rounds: int
    quick: bool
    scale: float

    def size(self, full: int, quick: int) -> int:
        """Return a number of rows, keys or words."""
        return max(1, round((quick if self.quick else full) * self.scale))

    def seconds(self, full: float, quick: float) -> float:
        """Return a duration in seconds."""
        return (quick if self.quick else full) * self.scale


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of some values."""

    median: float
    smallest: float
    largest: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """Return the spread of at least one value."""
        return Spread(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        low, middle, high = map(short, (self.smallest, self.median, self.largest))
        return f"{middle} ({low} – {high})"


def short(value: float) -> str:
    """Write a number with three significant digits, without an exponent."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def in_turns(
    contenders: dict[str, Callable[[], float]], rounds: int, *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run A B A B … and return each contender's times in seconds, as it measured them itself.

    One turn of each comes first and is not counted: it warms caches, pools and, for a peer, its compiled
    code. Without `warm_up` the caller has seen to that. Python's collector runs between the turns and finds
    nothing to do inside: what is alive when the rounds begin is frozen.
    """
    gc.collect()
    gc.freeze()
    for run in contenders.values() if warm_up else ():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            gc.collect()
            times[name].append(run())
    gc.unfreeze()
    return times


def speed_ratios(slower_is_larger: list[float], faster: list[float]) -> list[float]:
    """Return, round by round, how many times as fast the second is as the first."""
    return [left / right for left, right in zip(slower_is_larger, faster, strict=True)]


def warm_memory(gigabytes_max: float) -> float:
    """Touch every page of a quarter of the free memory once, and return how many GiB that were.

    A page that the host never backed costs 8.5-9.6 µs at its first touch, a recycled one 1.2 µs
    (measured on a 2-core virtual machine). Without this, whoever runs first pays.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = int(min(gigabytes_max * 2**30, free / 4)) // mmap.PAGESIZE * mmap.PAGESIZE
    with mmap.mmap(-1, size) as memory:
        for offset in range(0, size, mmap.PAGESIZE):
            memory[offset] = 1
    return size / 2**30


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def source_commit() -> str:
    """Return the commit that is checked out, with a plus when files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python, headrace and the named packages."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in ("headrace", *packages)}


@dataclass
class Report:
    """What one pipeline found. It passed when every check held and every gated value kept its bound."""

    stem: str
    options: Options
    ratios: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: dict[str, str] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.time)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])

    def ratio(
        self,
        name: str,
        values: list[float],
        *,
        floor: float | None = None,
        ceiling: float | None = None,
        unit: str = "",
    ) -> None:
        """Record a ratio or another gated figure, one value a round; the median is held to the bound.

        With neither floor nor ceiling it is for information.
        """
        spread = Spread.of([float(value) for value in values])  # NumPy's numbers cannot be written as JSON
        passed = (floor is None or spread.median >= floor) and (ceiling is None or spread.median <= ceiling)
        self.ratios[name] = {
            "median": spread.median,
            "min": spread.smallest,
            "max": spread.largest,
            "floor": floor,
            "ceiling": ceiling,
            "unit": unit,
            "passed": passed,
        }

    def figure(self, name: str, values: list[float], unit: str) -> None:
        """Record an absolute figure; it holds for this machine and moment only."""
        self.figures[name] = f"{Spread.of(values)} {unit}".strip()

    def check(self, name: str, holds: bool) -> None:
        """Record whether a result was right; no figure counts when one was not."""
        self.checks[name] = bool(holds)

    @property
    def passed(self) -> bool:
        """True when nothing failed."""
        gated = [entry["passed"] for entry in self.ratios.values()]
        return bool(self.checks) and all(self.checks.values()) and all(gated)

    def write(self, packages: tuple[str, ...] = ()) -> None:
        """Write benchmarks/results/<stem>.json."""
        RESULTS.mkdir(exist_ok=True)
        result = {
            "passed": self.passed,
            "ratios": self.ratios,
            "rounds": self.options.rounds,
            "quick": self.options.quick,
            "scale": self.options.scale,
            "figures": self.figures,
            "checks": self.checks,
            "notes": self.notes,
            "date": time.strftime("%Y-%m-%d", time.gmtime(self.started)),
            "commit": source_commit(),
            "versions": versions(*packages),
            "processor": f"{processor_name()}, {os.cpu_count()} threads",
            "load_before": round(self.load_before, 2),
            "seconds": round(time.time() - self.started, 1),
            "command": "python benchmarks/run.py " + " ".join(sys.argv[1:]),
        }
        text = json.dumps(result, indent=2, ensure_ascii=False)
        (RESULTS / f"{self.stem}.json").write_text(text + "\n", encoding="utf-8")


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Print one table of all pipelines: every gated value, then what is for information."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="headrace pipelines: median (min – max) over the rounds")
    for column, justify in [("pipeline", "left"), ("what", "left"), ("value", "right")]:
        table.add_column(column, justify=justify, overflow="fold")
    table.add_column("bound", justify="right")
    table.add_column("", justify="left")
    for stem, result in results.items():
        shown = stem
        for name, entry in result["ratios"].items():
            spread = str(Spread(entry["median"], entry["min"], entry["max"]))
            bound = "" if entry["floor"] is None else f"≥ {entry['floor']:g}"
            bound = bound if entry["ceiling"] is None else f"≤ {entry['ceiling']:g}"
            verdict = "" if not bound else "ok" if entry["passed"] else "FAILED"
            table.add_row(shown, name, f"{spread} {entry['unit']}".strip(), bound, verdict)
            shown = ""
        for name, text in result["figures"].items():
            table.add_row(shown, name, text, "", "", style="dim")
            shown = ""
        wrong = [name for name, holds in result["checks"].items() if not holds]
        verdict = "WRONG: " + ", ".join(wrong) if wrong else "ok"
        table.add_row(shown, f"{len(result['checks'])} results checked", "", "", verdict)
        table.add_section()
    console = Console() if sys.stdout.isatty() else Console(width=140)
    console.print(table)
    loads = [result["load_before"] for result in results.values()]
    if loads and max(loads) > 1:
        console.print(f"Load of the machine before a pipeline: up to {max(loads)}. Read the ratios, not the figures.")
    for stem, result in results.items():
        for note in result["notes"]:
            console.print(f"{stem}: {note}", highlight=False)
