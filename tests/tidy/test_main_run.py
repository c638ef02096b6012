"""What the run of `make test` that this is the end of really did, read from its reports."""

import re
from pathlib import Path

import pytest

SEEDS_MIN = 2000
FAULTS_MIN = 20_000
TEST_SECONDS_MAX = 40 * 60  # with real HDFS and S3 servers
FAULTS = [
    *("kills", "power losses", "torn writes", "lost names"),
    *("EIO", "ENOSPC", "short writes", "slow calls", "flipped bits"),
]


def simulated(report: str) -> dict[str, int]:
    """Return the numbers that the simulation reported, by the words behind them."""
    return {name: int(number) for number, name in re.findall(r"(\d+) ([A-Za-z]+(?: [a-z]+)*)", report)}


@pytest.mark.after_main_run
def test_simulation_ran_its_seeds_and_much_happened_in_them(reports_folder):
    did = simulated((Path(reports_folder) / "simulation.txt").read_text(encoding="utf-8"))
    assert did.get("seeds from", 0) >= SEEDS_MIN, did
    assert did["faults"] >= FAULTS_MIN, did
    assert [name for name in FAULTS if did[name] < SEEDS_MIN / 20] == []


def test_numbers_of_the_simulation_are_read():
    report = "12 seeds from 77\n30 faults: 4 kills, 0 torn writes, 7 EIO\ncheckpoints: 5, late rows: 8\n"
    assert simulated(report) == {"seeds from": 12, "faults": 30, "kills": 4, "torn writes": 0, "EIO": 7}
    assert simulated("") == {}


def seconds_of_steps(text: str) -> dict[str, int]:
    return {name: int(seconds) for name, seconds in (line.split("\t") for line in text.splitlines())}


@pytest.mark.after_main_run
def test_make_test_keeps_to_its_time(reports_folder):
    # All but the house rules themselves, which take seconds.
    seconds = seconds_of_steps((Path(reports_folder) / "seconds.tsv").read_text(encoding="utf-8"))
    assert set(seconds) == {"build", "C++ tests", "Python tests"}
    assert min(seconds["C++ tests"], seconds["Python tests"]) > 0
    assert sum(seconds.values()) <= TEST_SECONDS_MAX, seconds
