"""`make demo` as a user sees it: the command is run on a terminal, its files are watched from outside."""

import os
import pty
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace import _core
from headrace.examples.flights import oracle, recovery
from headrace.examples.flights.__main__ import SLOWED_SECONDS
from headrace.examples.flights.data import ROWS, load_airlines, load_flights
from headrace.examples.flights.job import Directories, read_output

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DEMO_SECONDS_MAX = 240


@dataclass
class Demo:
    """What one run of the demo showed and left behind."""

    directory: Path
    returncode: int
    screen: list[str]  # every line that was ever on the screen, escapes taken out
    identities: dict[Path, set[tuple[int, int]]] = field(default_factory=dict)  # inode and mtime (ns) of output files
    offsets: dict[int, int] = field(default_factory=dict)  # source offset of each checkpoint of the killed job

    def number(self, pattern: str) -> int:
        """The one number that the screen shows at this place."""
        found = {match[1] for line in self.screen if (match := re.search(pattern, line))}
        assert len(found) == 1, f"{pattern!r} is on the screen as {found}"
        return int(found.pop().replace(",", ""))


def run_on_a_terminal(directory: Path) -> Demo:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "headrace.examples.flights", "--keep", str(directory)]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    written = bytearray()
    reader = threading.Thread(target=read_all, args=(leader, written))
    reader.start()
    demo = Demo(directory, 0, [])
    deadline = time.monotonic() + DEMO_SECONDS_MAX
    while process.poll() is None:
        watch(demo)
        if time.monotonic() > deadline:
            process.kill()
        time.sleep(0.02)
    watch(demo)
    reader.join()
    os.close(leader)
    demo.returncode = process.returncode
    text = ESCAPES.sub("", written.decode())
    demo.screen = [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    return demo


def read_all(terminal: int, written: bytearray) -> None:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux reports that nobody has the other end open any more
            return
        written += piece


def watch(demo: Demo) -> None:
    killed = demo.directory / "killed"
    if not killed.is_dir():
        return
    for path, identity in recovery.part_files(killed).items():
        demo.identities.setdefault(path, set()).add(identity)
    for manifest in (demo.directory / "killed-checkpoints").rglob("chk-*.manifest"):
        number = int(manifest.name.removeprefix("chk-").split(".")[0])
        if number in demo.offsets:
            continue
        try:
            operators = _core.load_manifest(str(manifest))["operators"]
        except OSError:
            continue  # cleaned up meanwhile
        demo.offsets[number] = sum(split["rows_read"] for operator in operators for split in operator["splits"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run_on_a_terminal(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def expected():
    return oracle.all_outputs(load_flights(), load_airlines())


@pytest.mark.serial
def test_a_progress_bar_runs_and_ends_full(demo):
    assert demo.returncode == 0, "\n".join(demo.screen)
    shown = [re.fullmatch(r"flights [━╸╺ ]+ +(\d+)% \d:\d\d:\d\d", line) for line in demo.screen]
    percentages = [int(match[1]) for match in shown if match]
    assert percentages == sorted(percentages)
    assert percentages[-1] == 100
    assert len({p for p in percentages if 0 < p < 100}) >= 2, percentages


@pytest.mark.serial
def test_results_late_rows_checkpoints_and_throughput_stand_at_the_end(demo, expected):
    screen = "\n".join(demo.screen)
    busiest = sorted((line.split(",") for line in expected["daily"]), key=lambda row: -int(row[4]))[0]
    assert re.search(rf"│ 2013-\d\d-\d\d │ {re.escape(busiest[2])} +│ {busiest[3]} +│ +{busiest[4]} │", screen)
    late = [len(expected[name]) for name in ("hourly-late", "daily-late")]
    assert f"late rows: {late[0]:,} for their hour, {late[1]:,} for their day" in demo.screen
    assert demo.number(r"^checkpoints: ([\d,]+) complete, at most [\d,]+ kB of state$") >= 2
    assert demo.number(rf"^throughput: {ROWS:,} flights in [\d.]+ s, ([\d,]+) rows/s$") > 0
    assert read_output(demo.directory / "plain") == expected
    assert any(line.startswith("equals DuckDB over the same rows") for line in demo.screen)


@pytest.mark.serial
def test_killed_job_resumes_from_the_checkpoint_and_offset_it_prints(demo):
    assert SLOWED_SECONDS >= 20
    assert demo.number(r"^killed -9 after [\d.]+ s, when (\d+) checkpoints were complete$") >= 2
    checkpoint = demo.number(r"^resumed from checkpoint (\d+) at source offset [\d,]+$")
    offset = demo.number(r"^resumed from checkpoint \d+ at source offset ([\d,]+)$")
    assert demo.offsets[checkpoint] == offset, "the manifest says another offset"
    read = demo.number(rf"^read ([\d,]+) of {ROWS:,} rows after it \(\d+%\)$")
    assert read == ROWS - offset
    assert 0 < read < 0.8 * ROWS


@pytest.mark.serial
def test_files_committed_before_the_kill_are_never_touched(demo):
    before = demo.number(r"^(\d+) files committed before the kill: same inode, same mtime$")
    assert before > 0
    assert len(demo.identities) > before
    changed = {str(path): seen for path, seen in demo.identities.items() if len(seen) > 1}
    assert changed == {}
    now = recovery.part_files(demo.directory / "killed")
    assert {path: {identity} for path, identity in now.items()} == demo.identities


@pytest.mark.serial
def test_output_after_the_kill_equals_the_uninterrupted_run_and_duckdb(demo, expected):
    assert read_output(demo.directory / "killed") == expected
    assert any(line.startswith("equals the uninterrupted run") for line in demo.screen)


@pytest.mark.serial
def test_a_run_that_touches_committed_files_is_not_accepted(tmp_path, monkeypatch):
    # The check of recovery.py itself can fail: a resumed run that rewrites what was committed.
    resume = recovery.start

    def start(directories, rows_per_second, resume_it, interval):
        if resume_it:
            part = next(iter(recovery.part_files(directories.output)))
            part.write_text(part.read_text())
        return resume(directories, rows_per_second, resume_it, interval)

    monkeypatch.setattr(recovery, "start", lambda d, r, resume, interval: start(d, r, resume, interval))
    directories = Directories(tmp_path / "out", tmp_path / "chk")
    with pytest.raises(RuntimeError, match="committed before the kill were changed"):
        recovery.kill_and_resume(directories, 1.0, ROWS / 4, interval="200 ms")
