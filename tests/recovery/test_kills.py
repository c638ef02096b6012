"""A small job killed with SIGKILL at any moment, again and again: its output is that of the oracle, byte for byte."""

import csv
import os
import subprocess
import time
from pathlib import Path

import pytest

from recovery import kill_harness
from recovery.kill_harness import BEFORE_RENAME, INSIDE, LEDGER_HEADER, PHASES, Tally
from recovery.kill_job import expected_lines

KILLS = int(os.environ.get("HEADRACE_KILLS", "500"))
SEED = int(os.environ.get("HEADRACE_KILL_SEED", str(time.time_ns() % 1_000_000)))
# `make torture` adds its line here.
LEDGER = Path(__file__).parent / "ledger.csv"
WRITES_LEDGER = bool(os.environ.get("HEADRACE_KILL_LEDGER"))


def git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=LEDGER.parent, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def commit() -> str:
    """The commit that runs, marked where files differ from it: the ledger itself does not count."""
    changed = git("status", "--porcelain", "--untracked-files=no", ":/", f":(exclude,top)tests/recovery/{LEDGER.name}")
    return git("rev-parse", "--short", "HEAD") + ("-changed" if changed else "")


@pytest.mark.serial
@pytest.mark.timeout(max(600, 2 * KILLS))
def test_kills_at_any_moment_lose_and_double_nothing(tmp_path):
    print(f"\nseed {SEED}")
    tally = kill_harness.torture(KILLS, SEED, tmp_path)
    print(tally.summary())
    assert tally.kills >= KILLS
    assert (tally.lost, tally.doubled) == (0, 0)
    # Kills that hit nothing prove nothing.
    assert tally.amid >= 0.6 * tally.kills
    assert tally.phases[INSIDE] >= 0.1 * tally.kills
    assert tally.phases[BEFORE_RENAME] >= 0.04 * tally.kills
    if WRITES_LEDGER:
        with LEDGER.open("a") as ledger:
            ledger.write(kill_harness.ledger_line(commit(), tally) + "\n")


@pytest.mark.parametrize(("change", "lost", "doubled"), [("drop", 1, 0), ("repeat", 0, 1), ("alter", 1, 1)])
def test_the_check_of_the_output_sees_one_line_too_few_or_too_many(tmp_path, change, lost, doubled):
    expected = expected_lines()
    lines = {"drop": expected[1:], "repeat": [*expected, expected[7]], "alter": [expected[0] + "1", *expected[1:]]}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "part-0").write_text("".join(f"{line}\n" for line in lines[change]))
    tally = Tally()
    with pytest.raises(AssertionError, match="differs from the oracle"):
        kill_harness.check_output(tmp_path, expected, tally)
    assert (tally.lost, tally.doubled) == (lost, doubled)


def test_the_ledger_counts_every_kill_by_phase_and_nothing_lost_or_doubled():
    text = LEDGER.read_text()
    assert text.splitlines()[0] == LEDGER_HEADER
    rows = list(csv.DictReader(text.splitlines()))
    assert rows
    for row in rows:
        assert sum(int(row[phase]) for phase in PHASES) == int(row["kills"])
        assert (row["lost"], row["doubled"]) == ("0", "0")
    assert sum(int(row["kills"]) for row in rows) >= 5000
