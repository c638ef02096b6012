"""The flights job killed with SIGKILL at random moments: the output is that of one uninterrupted run."""

import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.examples.flights import oracle, recovery
from headrace.examples.flights.data import ROWS, load_airlines, load_flights
from headrace.examples.flights.job import Directories, read_output

KILLS = int(os.environ.get("HEADRACE_FLIGHTS_KILLS", "30"))
SLOWED_SECONDS = 3.0
AT_ONCE = 2  # a slowed job mostly waits
SEED = int(os.environ.get("HEADRACE_KILL_SEED", "20130101"))


@pytest.mark.serial
@pytest.mark.timeout(max(900, KILLS * 30))
def test_random_kills_leave_the_output_of_one_uninterrupted_run(tmp_path):
    expected = oracle.all_outputs(load_flights(), load_airlines())
    rng = random.Random(SEED)
    # Most kills wait for a first checkpoint, a few come before there is one.
    kills = [(rng.uniform(0.3, SLOWED_SECONDS * 0.9), 1 if rng.random() < 0.9 else 0) for _ in range(KILLS)]

    def kill_and_resume(number):
        after, needed = kills[number]
        directories = Directories(tmp_path / f"{number}-out", tmp_path / f"{number}-chk")
        resumed = recovery.kill_and_resume(directories, after, ROWS / SLOWED_SECONDS, needed, "200 ms")
        outputs = read_output(directories.output)
        different = [name for name in expected if outputs[name] != expected[name]]
        assert not different, f"kill {number} of seed {SEED} after {after:.3f} s: {different} differ; {resumed}"
        shutil.rmtree(directories.output)
        shutil.rmtree(directories.checkpoints)
        return resumed.checkpoints_before_kill > 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        between_first_checkpoint_and_end = sum(pool.map(kill_and_resume, range(KILLS)))
    print(f"{KILLS} kills, {between_first_checkpoint_and_end} between first checkpoint and end, seed {SEED}")
    assert between_first_checkpoint_and_end >= 0.8 * KILLS


def test_oracle_counts_every_flight_once():
    flights, airlines = load_flights(), load_airlines()
    for size, late in [(3_600_000, "hourly"), (86_400_000, "daily")]:
        counted = sum(int(line.split(",")[4]) for line in oracle.windows(flights, airlines, size))
        assert counted + len(oracle.late(flights, size)) == ROWS, late
