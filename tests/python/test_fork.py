"""A process with headrace in it forks: the child is told so and leaves; the parent's job goes on."""

import pytest

from python.fork_server import ForkServer
from tidy.source_tree import ROOT

pytestmark = pytest.mark.serial

PROGRAM = ROOT / "tests/python/programs/forks.py"
PHASES = (
    "before the start", "in open", "in a function", "mid-stream", "in native steps", "during a checkpoint",
    "while rows are collected", "with a waiting thread", "after the end",
)  # fmt: skip
TIMES = 5


@pytest.mark.parametrize("phase", PHASES)
def test_child_of_a_fork_gets_an_error_and_leaves_while_the_job_goes_on(phase, tmp_path):
    with ForkServer() as server:
        for number in range(TIMES):
            folder = tmp_path / str(number)
            folder.mkdir()
            parent = server.start(PROGRAM, folder / "printed", phase, folder)
            code = parent.wait(30)
            assert code == 0, parent.output()
            assert not parent.aborted(), parent.output()
            # Everything that would need the engine's threads, each refused by name.
            refused = [line for line in parent.output().splitlines() if line.startswith("refused ")]
            calls = {"execute"} if phase in ("before the start", "in open", "in a function") else {
                "execute", "status", "metrics", "checkpoints", "result", "cancel", "state_registry",
            }  # fmt: skip
            if phase == "while rows are collected":
                calls = {"execute", "next row"}
            assert {line.split(":")[0].removeprefix("refused ") for line in refused} == calls
            assert all("this process was forked from one that had headrace loaded" in line for line in refused)
            assert "child left with 0\n" in parent.output()
            assert "results are complete\n" in parent.output()
