"""Ctrl-C and SIGTERM in every phase of a job: the process leaves soon and cleanly, and a resumed job loses nothing."""

import signal
import time

import pytest

from python.fork_server import ForkServer
from python.streams import lines_of
from tidy.source_tree import ROOT

pytestmark = pytest.mark.serial

PROGRAM = ROOT / "tests/python/programs/interrupted.py"
RECORDS = 300
PHASES = (
    "before the start", "opening", "at the first record", "mid-stream in Python code", "mid-stream in native code",
    "in a sleeping function", "in a blocking source", "during a checkpoint", "during restore", "waiting to restart",
    "at the end of input", "closing", "between collected rows", "waiting for a collected row", "after the end",
)  # fmt: skip
# How the process is told to leave: signal, arguments of the program, exit code.
WAYS = {
    "Ctrl-C": (signal.SIGINT, (), -signal.SIGINT),
    "SIGTERM": (signal.SIGTERM, (), -signal.SIGTERM),
    "SIGTERM that raises SystemExit": (signal.SIGTERM, ("exits",), 143),
}
# A function that does not return is given up after a second.
SECONDS_MAX = 3.0


@pytest.fixture(scope="module")
def server():
    with ForkServer() as running:
        yield running


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("phase", PHASES)
def test_process_leaves_soon_and_a_resumed_job_has_every_result_once(server, phase, way, tmp_path):
    number, arguments, expected = WAYS[way]
    if phase == "during restore":
        killed = server.start(PROGRAM, tmp_path / "killed", "killed", tmp_path)
        assert killed.wait(30) == -signal.SIGKILL
    child = server.start(PROGRAM, tmp_path / "printed", phase, tmp_path, *arguments)
    child.wait_for_line("ready")
    child.send(number)
    started = time.monotonic()
    code = child.wait(20)
    seconds = time.monotonic() - started
    assert code == expected, child.output()
    assert not child.aborted(), child.output()
    assert seconds < SECONDS_MAX
    last_line = child.output().strip().rsplit("\n", 1)[-1]
    assert last_line.startswith("KeyboardInterrupt" if way == "Ctrl-C" else "ready")

    resumed = server.start(PROGRAM, tmp_path / "resumed", "none", tmp_path)
    assert resumed.wait(30) == 0, resumed.output()
    assert sorted(map(int, lines_of(tmp_path / "out"))) == list(range(RECORDS))
