"""Each callback fails in each phase of a job: the job stops consistently, and a resumed one has every result once."""

import threading
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from headrace import JobClient, JobStatus, RestartStrategies, UserFunctionError
from python.callbacks import BY_CHECKPOINTS, CALLBACKS, PROGRAMS, Feed, build
from python.planned_failures import RECORDS, Plan, Program
from python.streams import checkpointed_env, file_sink, lines_of

HALF = RECORDS // 2
# Called before the first record of an attempt only, so these have two phases.
AT_START = {"open", "initialize_state", "reset_state", "call", "making it"}
PHASES = ["first record", "mid-stream", "during snapshot", "during restore", "close"]
CASES = [
    (callback, phase)
    for callback in CALLBACKS
    for phase in PHASES
    if callback.split(".", 1)[1] not in AT_START or phase in ("first record", "during restore")
]


class Gate:
    """A branch of the job in which barriers can be held back, and which can be made to fail."""

    shut = threading.Event()
    reached = threading.Event()
    failing_next = ""  # the gate fails once, and from then on this callback does


@pytest.fixture(autouse=True)
def no_failure_left_over():
    Plan.clear()
    Gate.shut.clear()
    Gate.reached.clear()
    Gate.failing_next = ""


def gate(value):
    if Gate.failing_next:
        Plan.fail_in(Gate.failing_next)
        Gate.failing_next = ""
        raise ValueError("planned failure beside the callback")
    while Gate.shut.is_set():
        Gate.reached.set()
        time.sleep(0.0005)
    return value


@dataclass
class Job:
    """A job around one program, with a gate in a branch of its own."""

    client: JobClient

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            assert not self.client.status().is_terminal_state(), self.client.get_job_execution_result().exception()
            time.sleep(0.001)

    def checkpoints(self) -> int:
        return self.client.metrics()["job.checkpoints_completed"]

    def rows(self, operator: str) -> int:
        return self.client.metrics().get(f"{operator}.rows_in", 0)


def start(program: Program, folder: Path, resume: bool = False, restarts: int = 0) -> Job:
    env = checkpointed_env(folder / "chk", interval="10 ms", resume=resume)
    if restarts:
        env.set_restart_strategy(RestartStrategies.fixed_delay_restart(restarts, "0 ms"))
    numbers = None if program.source else env.add_source(Feed())
    results = build(env, program, folder / "out", numbers)
    results.sink_to(file_sink(folder / "out"))
    (results if numbers is None else numbers).map(gate).name("gate").disable_chaining().add_sink(len_of_text)
    return Job(env.execute_async("phases"))


def len_of_text(value):
    return len(str(value))


def results_of(folder: Path) -> list[str]:
    return lines_of(folder / "out")


@cache
def undisturbed(name: str, folder: Path) -> tuple[list[str], dict[str, int]]:
    """Results of a run without failures, and how often it called each callback."""
    Plan.clear()
    start(PROGRAMS[name], folder / name).client.result()
    return results_of(folder / name), dict(Plan.calls)


@pytest.fixture(scope="session")
def undisturbed_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("undisturbed")


def reach(phase: str, callback: str, job: Job, calls: dict[str, int]) -> None:
    """Brings a job that was started with half of its records to `phase`, and lets the callback fail there."""
    if phase == "first record":
        return  # it was armed before the start
    job.wait_for(lambda: job.rows("gate") >= HALF)
    # The first to complete may have been cut before the records: the second was triggered after it.
    before = job.checkpoints()
    job.wait_for(lambda: job.checkpoints() > before + 1)
    if phase == "mid-stream":
        Plan.fail_in(callback)
    elif phase == "during snapshot":
        Gate.shut.set()
        Plan.released += 1
        job.wait_for(Gate.reached.is_set)
        # The barrier of the next checkpoint cannot pass the gate: five intervals later it is under way.
        before = job.checkpoints()
        time.sleep(0.05)
        assert job.checkpoints() <= before + 1
        Plan.fail_in(callback)
        if callback in BY_CHECKPOINTS:
            Gate.shut.clear()  # or there would be no next one
    elif phase == "during restore":
        Gate.failing_next = callback
    elif phase == "close":
        # The last call there is: what follows is the end.
        as_often = CALLBACKS[callback][0].same_each_time and callback != "checkpointed.snapshot_state"
        last = calls[callback] if as_often else 0
        Plan.fail_in(callback, call=max(last, Plan.calls.get(callback, 0) + 1))
    Plan.released = RECORDS


@pytest.mark.parametrize(("callback", "phase"), CASES)
def test_failure_of_a_callback_in_a_phase_leaves_a_job_that_can_be_resumed(
    callback, phase, tmp_path, undisturbed_folder
):
    program, _ = CALLBACKS[callback]
    name = callback.split(".", 1)[0]
    expected, calls = undisturbed(name, undisturbed_folder)
    Plan.clear()
    Plan.released = HALF
    Plan.pause_seconds = 1 / program.rows_per_second if program.rows_per_second else 0
    if phase == "first record":
        Plan.fail_in(callback)
        Plan.released = RECORDS
    job = start(program, tmp_path, restarts=1 if phase == "during restore" else 0)
    reach(phase, callback, job, calls)
    failure = job.client.get_job_execution_result().exception()
    Gate.shut.clear()
    assert isinstance(failure, UserFunctionError), failure
    assert f"planned failure in {callback}" in str(failure)
    assert job.client.status() == JobStatus.FAILED
    restores = Plan.calls.get("source.restore_state", 0)
    if phase != "during restore":
        assert restores == 0
    elif callback.split(".", 1)[1] not in AT_START and (program.same_each_time or not program.source):
        assert restores == 1
    assert phase == "first record" or job.checkpoints() > 0

    Plan.clear()
    resumed = start(program, tmp_path, resume=True)
    resumed.client.result()
    assert resumed.client.status() == JobStatus.FINISHED
    if program.same_each_time:
        assert results_of(tmp_path) == expected


def test_there_are_enough_cases():
    assert len(CASES) >= 160
    assert {phase for _, phase in CASES} == set(PHASES)
