"""A seed of the simulation that fails says how to replay it, and the command it prints fails in the same way."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIMULATION = ROOT / "build/release/bin/hr_test_simulation"


def run(command, **environment):
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def failure_of(output):
    found = re.search(r'outcome\.failure\s+Which is: (".*")', output)
    return found[1] if found else None


def test_planted_bug_is_found_and_its_replay_command_replays_it():
    # The bug: a sink publishes files that it has not synced, so a power loss may empty them.
    many = run([SIMULATION, "--gtest_filter=*ForEverySeed"], HEADRACE_SIM_BUG="1", HEADRACE_SIM_SEEDS="100")
    assert many.returncode != 0
    found = re.search(r"^seed (\d+); replay: (make sim SEEDS=1 START=(\d+))$", many.stdout, re.MULTILINE)
    assert found is not None, many.stdout
    assert found[1] == found[3]
    assert failure_of(many.stdout) is not None

    replayed = run(found[2].split(), HEADRACE_SIM_BUG="1")
    assert replayed.returncode != 0
    assert failure_of(replayed.stdout) == failure_of(many.stdout)

    without_the_bug = run(found[2].split())
    assert without_the_bug.returncode == 0, without_the_bug.stdout
