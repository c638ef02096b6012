"""The interpreter leaves while a job runs: it never aborts and never hangs."""

import itertools

import pytest

from python.fork_server import ForkServer
from tidy.source_tree import ROOT

pytestmark = pytest.mark.serial

PROGRAM = ROOT / "tests/python/programs/leaves_a_job.py"
JOBS = (
    "python functions", "native steps", "sleeping function", "endless generator", "source function", "blocked source",
    "timers", "checkpointed windows", "collected rows", "execute in a thread",
)  # fmt: skip
WAYS = {"the end of the program": 0, "sys.exit": 3, "uncaught error": 1, "cycle": 0}
DELAYS_MS = (0, 1, 5, 20, 50)
# The engine gives its threads 5 seconds; a second is what it takes when one of them is deaf.
HANGS_AFTER_SECONDS = 20
AT_ONCE = 2


def exits():
    return [(job, way, delay) for job in JOBS for way in WAYS for delay in DELAYS_MS]


def test_two_hundred_exits_with_a_running_job_neither_abort_nor_hang(tmp_path):
    wrong = []
    with ForkServer() as server:
        waiting = []
        for number, (job, way, delay) in enumerate(exits()):
            folder = tmp_path / str(number)
            folder.mkdir()
            child = server.start(PROGRAM, folder / "printed", job, way, delay, folder)
            waiting.append((child, job, way, delay))
            while len(waiting) == AT_ONCE or (waiting and number == len(exits()) - 1):
                child, *case = waiting.pop(0)
                code = child.wait(HANGS_AFTER_SECONDS)
                if code != WAYS[case[1]] or child.aborted() or "leaving" not in child.output():
                    wrong.append((*case, code, child.output()[-500:]))
    assert len(exits()) == 200
    assert wrong == []


def test_jobs_and_ways_of_the_program_are_those_of_the_test():
    text = PROGRAM.read_text()
    assert all(f'case "{job}"' in text for job in JOBS)
    assert all(f'case "{way}"' in text for way in itertools.islice(WAYS, 1, None))
