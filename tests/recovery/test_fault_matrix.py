"""Backend × storage × kill point: a job killed there with SIGKILL and resumed gives the output of the oracle."""

from pathlib import Path

import pytest

from headrace import _core
from recovery.fault_job import BACKENDS, DURING_RESTORE, KILLED_IN, POINTS, STORAGES, FaultLife, expected_lines
from recovery.kill_harness import MANIFEST, LifeServer, job_directory, lines_of, names_in, numbers

RESUMED_AT = {"local": 1, "remote": 3}  # parallelism
BEFORE_RENAMES = ("between manifest and sink rename", "between two sink renames")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    lives = LifeServer(tmp_path_factory.mktemp("lives"), "recovery.fault_job")
    yield lives
    lives.close()


def left_behind(directory):
    """Number of the newest checkpoint, names of files of the next one, and sink files that are still to be renamed."""
    checkpoints = job_directory(directory)
    names = names_in(checkpoints)
    newest = max(numbers(MANIFEST, names), default=0)
    of_next = [name for name in names if f"data-1-{newest + 1}-" in name]
    manifest = _core.load_manifest(str(checkpoints / f"chk-{newest}.manifest"))
    return newest, of_next, [final for final in manifest["renames"] if not Path(final).exists()]


@pytest.mark.parametrize("point", [*POINTS, DURING_RESTORE])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_job_killed_there_goes_on_and_gives_the_same_output(server, tmp_path, backend, storage, point):
    kills = [point] if point in POINTS else [BEFORE_RENAMES[0], point]
    for number, kill in enumerate(kills):
        server.begin(FaultLife(str(tmp_path), backend, storage, 2 if number == 0 else 1, kill))
        server.expect_killed(done=False)
    newest, of_next, to_be_renamed = left_behind(tmp_path)
    if "files" in point:
        assert newest == KILLED_IN - 1
        assert of_next
    assert to_be_renamed or point not in BEFORE_RENAMES
    server.begin(FaultLife(str(tmp_path), backend, storage, RESUMED_AT[storage]))
    server.expect_end()
    assert lines_of(tmp_path / "out") == expected_lines()
