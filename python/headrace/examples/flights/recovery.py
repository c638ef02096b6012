"""The job slowed down, killed with SIGKILL from outside, resumed, and compared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from headrace.examples.flights.data import ROWS
from headrace.examples.flights.job import Directories

RESULT_MARK = "RESULT "


@dataclass(frozen=True)
class Resumed:
    """What a killed and resumed run did."""

    killed_after_seconds: float
    checkpoints_before_kill: int
    checkpoint_id: int
    source_offset: int
    rows_read_again: int
    parts_before_kill: int
    messages: list[str]


def part_files(output: Path) -> dict[Path, tuple[int, int]]:
    """Inode and mtime (ns) of every committed part file."""
    parts = (p for p in output.rglob("*") if p.is_file() and not p.name.startswith("."))
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in parts}


def completed_checkpoints(checkpoints: Path) -> list[int]:
    """Ids of the checkpoints whose manifests are there."""
    return sorted(int(p.name.removeprefix("chk-").split(".")[0]) for p in checkpoints.rglob("chk-*.manifest"))


def start(directories: Directories, rows_per_second: float, resume: bool, interval: str) -> subprocess.Popen[str]:
    """Starts the job in a process of its own."""
    command = [
        sys.executable, "-m", "headrace.examples.flights", "run", str(directories.output), str(directories.checkpoints),
        str(rows_per_second), "resume" if resume else "fresh", interval,
    ]  # fmt: skip
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    """Waits for a run and returns what it printed as its result.

    Raises:
        RuntimeError: the run failed.
    """
    output, _ = process.communicate()
    results = [line.removeprefix(RESULT_MARK) for line in output.splitlines() if line.startswith(RESULT_MARK)]
    if process.returncode != 0 or not results:
        raise RuntimeError(f"the run ended with code {process.returncode}: {output[-2000:]}")
    result: dict[str, object] = json.loads(results[-1])
    return result


def kill_and_resume(
    directories: Directories,
    kill_after_seconds: float,
    rows_per_second: float,
    checkpoints_before_kill: int = 2,
    interval: str = "1 s",
) -> Resumed:
    """Runs slowed, kills after the time and at least so many checkpoints, resumes at full speed.

    Raises:
        RuntimeError: a file committed before the kill was touched, or rows were not read on from the checkpoint.
    """
    assert directories.checkpoints is not None
    process = start(directories, rows_per_second, resume=False, interval=interval)
    started = time.monotonic()
    highest = 0
    try:
        while process.poll() is None:
            highest = max([highest, *completed_checkpoints(directories.checkpoints)])
            if time.monotonic() - started >= kill_after_seconds and highest >= checkpoints_before_kill:
                break
            time.sleep(0.02)
        else:
            raise RuntimeError("the job ended before it could be killed")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    elapsed = time.monotonic() - started
    before = part_files(directories.output)
    result = finish(start(directories, 0, resume=True, interval=interval))
    after = part_files(directories.output)
    touched = [str(path) for path, identity in before.items() if after.get(path) != identity]
    if touched:
        raise RuntimeError(f"files committed before the kill were changed: {touched}")
    metrics: dict[str, int] = result["metrics"]  # type: ignore[assignment]
    rows_read = metrics["flights.rows_read"]
    return Resumed(
        elapsed,
        highest,
        int(str(result["checkpoint"])),
        ROWS - rows_read,
        rows_read,
        len(before),
        list(result["messages"]),  # type: ignore[call-overload]
    )
