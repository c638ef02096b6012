"""The job slowed down, killed with SIGKILL from outside, resumed, and compared."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.examples.flights.job import Directories

RESULT_MARK = "RESULT "


@dataclass(frozen=True)
class Resumed:
    """What a killed and resumed run did.

    Attributes:
        killed_after_seconds: From the start of the process to the kill.
        checkpoints_before_kill: The highest checkpoint id that was complete then.
        checkpoint_id: The checkpoint the resumed run went on from, as the run says.
        source_offset: How many rows the source had delivered at that checkpoint, as the run says.
        rows_read: Rows the source delivered in the resumed run, by its metric.
        parts_before_kill: Output files that were committed before the kill.
        messages: All that the resumed run had to say.
    """

    killed_after_seconds: float
    checkpoints_before_kill: int
    checkpoint_id: int
    source_offset: int
    rows_read: int
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
    on_progress: Callable[[float, int], None] | None = None,
) -> Resumed:
    """Runs slowed, kills after the time and at least so many checkpoints, resumes at full speed.

    `on_progress` is told seconds and complete checkpoints while the slowed job runs.

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
            if on_progress is not None:
                on_progress(time.monotonic() - started, highest)
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
    messages: list[str] = result["messages"]  # type: ignore[assignment]
    checkpoint_id, source_offset = resumed_from(messages)
    return Resumed(
        elapsed,
        highest,
        checkpoint_id,
        source_offset,
        metrics["flights.rows_read"],
        len(before),
        messages,
    )


def resumed_from(messages: list[str]) -> tuple[int, int]:
    """Checkpoint id and source offset (rows) that a run says it resumed from; zeros for a fresh start."""
    text = "\n".join(messages)
    checkpoint = re.search(r"resumed from checkpoint (\d+)", text)
    offset = re.search(r"source 'flights' goes on after (\d+) rows", text)
    return int(checkpoint[1]) if checkpoint else 0, int(offset[1]) if offset else 0
