"""What the run of `make test` that this is the end of really did, read from its reports."""

import re
from pathlib import Path

import pytest

SEEDS_MIN = 500
TEST_SECONDS_MAX = 25 * 60
SIMULATED = ["processes", "kills", "power losses", "torn writes", "rescaled resumes", "checkpoints", "late rows"]


def simulated(log: str) -> dict[str, int]:
    """Return the sums that the simulation printed, by name; empty when it printed none."""
    line = re.search(r"\b\d+ seeds: .* late rows\b", log)
    return {name: int(number) for number, name in re.findall(r"(\d+) ([a-z ]+)", line[0])} if line else {}


@pytest.mark.after_main_run
def test_simulation_ran_its_seeds_and_much_happened_in_them(reports_folder):
    did = simulated((Path(reports_folder) / "ctest.xml").read_text(encoding="utf-8"))
    assert did.get("seeds", 0) >= SEEDS_MIN, did
    assert [name for name in SIMULATED if did[name] < SEEDS_MIN / 4] == []


def test_sums_of_the_simulation_are_read():
    log = "[ RUN ]\n12 seeds: 30 processes, 4 kills, 0 torn writes, 7 late rows\n[ OK ]"
    assert simulated(log) == {"seeds": 12, "processes": 30, "kills": 4, "torn writes": 0, "late rows": 7}
    assert simulated("[ OK ]") == {}


def seconds_of_steps(text: str) -> dict[str, int]:
    return {name: int(seconds) for name, seconds in (line.split("\t") for line in text.splitlines())}


@pytest.mark.after_main_run
def test_make_test_keeps_to_its_time(reports_folder):
    # All but the house rules themselves, which take seconds.
    seconds = seconds_of_steps((Path(reports_folder) / "seconds.tsv").read_text(encoding="utf-8"))
    assert set(seconds) == {"build", "C++ tests", "Python tests"}
    assert min(seconds["C++ tests"], seconds["Python tests"]) > 0
    assert sum(seconds.values()) <= TEST_SECONDS_MAX, seconds
