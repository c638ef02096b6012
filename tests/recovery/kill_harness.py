"""Kills lives of kill_job.py from outside, says in which phase each died, and checks what they leave."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import _core
from recovery.kill_job import Life, as_line, expected_lines, write_input

BEFORE_FIRST = "before the first checkpoint"
BETWEEN = "between checkpoints"
INSIDE = "inside a checkpoint"
BEFORE_RENAME = "between manifest and sink rename"
AFTER_LAST = "after the last commit"
PHASES = (BEFORE_FIRST, BETWEEN, INSIDE, BEFORE_RENAME, AFTER_LAST)
LEDGER_HEADER = ",".join(["commit", *PHASES, "kills", "lost", "doubled", "seconds"])

PARALLELISM = (1, 2, 3)
KILL_AFTER_SECONDS_MAX = 0.15
LOOK_SECONDS = 0.0002
SKIPPED_MAX = 3  # manifests or data files to let pass
ANSWER_SECONDS_MAX = 60
# What is waited for before a kill: a random time, a new data file, a new manifest, the end.
AIMS = {"time": 0.58, "data": 0.13, "manifest": 0.25, "end": 0.04}

DATA = re.compile(r"data-(\d+)-(\d+)-\d+-\d+\.hrs")
MANIFEST = re.compile(r"chk-(\d+)\.manifest")
TEMPORARY = re.compile(r"chk-(\d+)-(\d+)-\d+\.tmp")
RUN = re.compile(r"run-(\d+)")


class LifeServer:
    """The process that forks the lives, of the job of that module. One life at a time."""

    def __init__(self, scratch: Path, job: str = "recovery.kill_job") -> None:
        tests = Path(__file__).parent.parent
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # Each life imports headrace anew: compiled once is enough, and not in the source tree.
        environment = {**kept, "PYTHONPATH": str(tests), "PYTHONPYCACHEPREFIX": str(scratch / "pycache")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", job], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._pending = b""
        self.pid = 0

    def begin(self, life: Any) -> None:
        """Starts a life; returns when its job has begun."""
        self._send(as_line(life))
        self.pid = int(self._expect("pid"))
        self._expect("ready")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> bool:
        """Whether the life has said that its job is done, without waiting for it."""
        ready, _, _ = select.select([self._process.stdout], [], [], 0)
        return bool(ready) or b"\n" in self._pending

    def wait_for_done(self) -> None:
        self._expect("done")

    def expect_killed(self, done: bool = True) -> None:
        """Waits until the life is gone, and was killed; `done`: it may have been done a moment before."""
        said = self._line()
        if done and said == "done":
            said = self._line()
        if said != f"gone {-signal.SIGKILL}":
            raise RuntimeError(f"killed, the life said: {said}")
        self._let_go()

    def expect_end(self) -> None:
        """Waits until the life has said that its job is done, and is gone."""
        self._expect("done")
        if (status := self._expect("gone")) != "0":
            raise RuntimeError(f"a life that was done ended with {status}")
        self._let_go()

    def close(self) -> None:
        if self.pid:
            self.kill()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _let_go(self) -> None:
        self._send("")
        self.pid = 0

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def _expect(self, expected: str) -> str:
        line = self._line()
        word, _, rest = line.partition(" ")
        if word != expected:
            raise RuntimeError(f"{expected!r} expected, the life said: {line}")
        return rest

    def _line(self) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + ANSWER_SECONDS_MAX
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise RuntimeError(f"no answer within {ANSWER_SECONDS_MAX} s")
            got = os.read(self._process.stdout.fileno(), 65536)
            if not got:
                raise RuntimeError("the server of lives has died")
            self._pending += got
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()


@dataclass
class Tally:
    """What all kills together gave."""

    phases: Counter[str] = field(default_factory=Counter)
    amid: int = 0  # kills between the first checkpoint and the last commit
    jobs: int = 0
    lost: int = 0
    doubled: int = 0
    seconds: float = 0.0

    @property
    def kills(self) -> int:
        return self.phases.total()

    def summary(self) -> str:
        phases = ", ".join(f"{self.phases[phase]} {phase}" for phase in PHASES)
        return (
            f"{self.kills} kills of {self.jobs} jobs in {self.seconds:.0f} s: {phases}; "
            f"{self.lost} lost, {self.doubled} doubled"
        )


def job_directory(directory: Path) -> Path | None:
    """The one below the checkpoint directory, once it is there."""
    return next((path for path in (directory / "chk").glob("*") if path.is_dir()), None)


def names_in(directory: Path | None) -> list[str]:
    if directory is None:
        return []
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries]


def numbers(pattern: re.Pattern[str], names: list[str]) -> list[int]:
    return [int(match[1]) for name in names if (match := pattern.fullmatch(name))]


def newest_run(directory: Path) -> int:
    """Number of the last life that opened the checkpoint directory."""
    return max(numbers(RUN, names_in(job_directory(directory))), default=0)


def phase_of_death(directory: Path, run_before: int) -> tuple[str, int]:
    """In which phase the last life died, by the files it left behind, and the newest checkpoint there was then.

    What an earlier life left undone does not count: a life that died while it resumed died between checkpoints.
    """
    checkpoints = job_directory(directory)
    names = names_in(checkpoints)
    run = newest_run(directory)
    newest = max(numbers(MANIFEST, names), default=0)
    if checkpoints is not None and newest:
        manifest = _core.load_manifest(str(checkpoints / f"chk-{newest}.manifest"))
        published = all(Path(final).exists() for final in manifest["renames"])
        if not published and manifest["run_id"] == run > run_before:
            return BEFORE_RENAME, newest
        if published and manifest["final"]:
            return AFTER_LAST, newest
    begun = [int(match[2]) for name in names if (match := DATA.fullmatch(name)) and int(match[1]) == run > run_before]
    unnamed = [match for name in names if (match := TEMPORARY.fullmatch(name)) and int(match[2]) == run > run_before]
    if max(begun, default=0) > newest or unnamed:
        return INSIDE, newest
    return (BETWEEN if newest else BEFORE_FIRST), newest


def wait_for(aim: str, directory: Path, server: LifeServer, rng: random.Random) -> bool:
    """Returns at the moment to kill; false when the job was done before it came."""
    if aim == "end":
        server.wait_for_done()
        return True
    if aim == "time":
        deadline = time.monotonic() + rng.uniform(0, KILL_AFTER_SECONDS_MAX)
        while time.monotonic() < deadline and not server.ended():
            time.sleep(0.001)
        return not server.ended()
    pattern = DATA if aim == "data" else MANIFEST
    before = set(names_in(job_directory(directory)))
    skipped = rng.randrange(SKIPPED_MAX + 1)
    while not server.ended():
        for name in names_in(job_directory(directory)):
            if name in before or not pattern.fullmatch(name):
                continue
            before.add(name)
            if skipped == 0:
                return True
            skipped -= 1
        time.sleep(LOOK_SECONDS)
    return False


def lines_of(output: Path) -> list[str]:
    parts = [path for path in output.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return sorted(line for part in parts for line in part.read_text().splitlines())


def check_output(directory: Path, expected: list[str], tally: Tally) -> None:
    got = lines_of(directory / "out")
    tally.lost += (Counter(expected) - Counter(got)).total()
    tally.doubled += (Counter(got) - Counter(expected)).total()
    if "\n".join(got).encode() != "\n".join(expected).encode():
        raise AssertionError(f"output of {directory} differs from the oracle; {tally.summary()}")


def kill_until_done(server: LifeServer, directory: Path, rng: random.Random, tally: Tally) -> None:
    """Lives of one job, each killed, until it is done or killed after its last commit."""
    directory.mkdir()
    write_input(directory / "in")
    while True:
        aim = rng.choices(list(AIMS), list(AIMS.values()))[0]
        run_before = newest_run(directory)
        life = Life(str(directory), rng.choice(PARALLELISM), lingers=aim == "end")
        server.begin(life)
        started = time.monotonic()
        if not wait_for(aim, directory, server, rng):
            server.expect_end()
            return
        server.kill()
        after = time.monotonic() - started
        server.expect_killed()
        phase, newest = phase_of_death(directory, run_before)
        tally.phases[phase] += 1
        tally.amid += newest > 0 and phase != AFTER_LAST
        where = f"checkpoint {newest}, {life.parallelism} subtasks, after {after:.3f} s, aimed at {aim}"
        print(f"kill {directory.parent.name}-{tally.kills}: {phase} ({where})", flush=True)
        if phase == AFTER_LAST:
            return


def torture_with_one_server(kills: int, seed: int, scratch: Path) -> Tally:
    """At least `kills` kills; raises at the first output that differs from the oracle."""
    rng = random.Random(seed)
    expected = expected_lines()
    tally = Tally()
    scratch.mkdir()
    server = LifeServer(scratch)
    try:
        while tally.kills < kills:
            directory = scratch / f"job-{tally.jobs}"
            kill_until_done(server, directory, rng, tally)
            # Where the job was killed when done, a last life finds nothing to do.
            server.begin(Life(str(directory), rng.choice(PARALLELISM)))
            server.expect_end()
            check_output(directory, expected, tally)
            tally.jobs += 1
            shutil.rmtree(directory)
    finally:
        server.close()
    return tally


def torture(kills: int, seed: int, scratch: Path) -> Tally:
    """At least `kills` kills by as many processes as there are processors for."""
    started = time.monotonic()
    count = max(1, min(os.cpu_count() or 1, kills // 50))
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        shares = [-(-kills // count)] * count
        seeds = [seed * 1000 + i for i in range(count)]
        tallies = list(pool.map(torture_with_one_server, shares, seeds, [scratch / str(i) for i in range(count)]))
    together = Tally(seconds=time.monotonic() - started)
    for tally in tallies:
        together.phases += tally.phases
        for name in ("amid", "jobs", "lost", "doubled"):
            setattr(together, name, getattr(together, name) + getattr(tally, name))
    return together


def ledger_line(commit: str, tally: Tally) -> str:
    counts = [*(tally.phases[phase] for phase in PHASES), tally.kills, tally.lost, tally.doubled, round(tally.seconds)]
    return ",".join([commit, *map(str, counts)])
