"""Running and finished jobs (PyFlink's job client, result and status)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from headrace import _core

T = TypeVar("T")
_STOP_MS = 3000  # the engine gives up on a function after one second


class JobStatus(Enum):
    """Where a job is in its life."""

    CREATED = 0
    RUNNING = 1
    RESTARTING = 2
    CANCELLING = 3
    CANCELED = 4
    FINISHED = 5
    FAILED = 6

    def is_terminal_state(self) -> bool:
        """True when the job will not run again."""
        return self in (JobStatus.CANCELED, JobStatus.FINISHED, JobStatus.FAILED)


class CompletableFuture(Generic[T]):
    """A value that will be there later."""

    def __init__(self, compute: Callable[[], T], done: Callable[[], bool] | None = None) -> None:
        self._compute = compute
        self._done = done
        self._lock = threading.Lock()
        self._outcome: tuple[T | None, BaseException | None] | None = None

    def result(self) -> T:
        """Waits for the value; raises what the computation raised."""
        with self._lock:
            if self._outcome is None:
                try:
                    self._outcome = (self._compute(), None)
                except Exception as error:
                    self._outcome = (None, error)
        value, failure = self._outcome
        if failure is not None:
            raise failure
        return value  # type: ignore[return-value]

    def done(self) -> bool:
        """True when result() would not wait."""
        return self._outcome is not None or self._done is None or self._done()

    def cancelled(self) -> bool:
        """Always False: a job is cancelled through its client."""
        return False

    def exception(self) -> BaseException | None:
        """What the computation raised, or None; waits."""
        try:
            self.result()
        except Exception as error:
            return error
        return None


class JobID:
    """Identity of one execute(): 32 hex digits."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobID) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"JobID({self._text})"


class JobExecutionResult:
    """What a finished job leaves behind.

    Attributes:
        metrics: Rows in and out per operator, checkpoints, bytes; names as `"<operator>.rows_in"`.
        messages: What the engine had to say: resumed from which checkpoint, weaker guarantees.
        checkpoints: One dict a checkpoint: id, completed, bytes_written, state_bytes, duration_ms.
        recoveries: One dict a restart: cause, checkpoint, downtime_ms.
    """

    def __init__(self, job_id: JobID, result: dict[str, Any], checkpoints: list[dict[str, Any]]) -> None:
        self._job_id = job_id
        self._runtime_ms: int = result["runtime_ms"]
        self.metrics: dict[str, int] = dict(result["metrics"])
        self.metrics.setdefault("job.runtime_ms", self._runtime_ms)
        self.messages: list[str] = list(result["messages"])
        self.checkpoints = checkpoints
        self.recoveries: list[dict[str, Any]] = list(result["recoveries"])

    def get_job_id(self) -> JobID:
        """Identity of the run."""
        return self._job_id

    def get_net_runtime(self) -> int:
        """Milliseconds from start to end."""
        return self._runtime_ms

    def __repr__(self) -> str:
        return f"JobExecutionResult(job_id={self._job_id}, runtime_ms={self._runtime_ms})"


class JobClient:
    """A job started by `execute_async`."""

    def __init__(self, job: _core.Job, keep_alive: object = None) -> None:
        self._job = job
        self._keep_alive = keep_alive  # what the job uses as long as it runs
        self._job_id = JobID(uuid.uuid4().hex)

    def get_job_id(self) -> JobID:
        """Identity of the run."""
        return self._job_id

    def status(self) -> JobStatus:
        """Where the job is now."""
        return JobStatus[self._job.state()]

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """Where the job is now, as a future (PyFlink's form)."""
        return CompletableFuture(self.status)

    def cancel(self) -> CompletableFuture[None]:
        """Stops the job at the next step of each task; the last checkpoint stays usable."""
        self._job.cancel()
        return CompletableFuture(self._wait, lambda: self.status().is_terminal_state())

    def result(self) -> JobExecutionResult:
        """Waits for the end; raises the job's failure."""
        self._wait()
        return JobExecutionResult(self._job_id, self._job.result(), self._job.checkpoints())

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The result as a future (PyFlink's form)."""
        return CompletableFuture(self.result, lambda: self.status().is_terminal_state())

    def metrics(self) -> dict[str, int]:
        """The numbers as they are now."""
        return self._job.metrics()

    def checkpoints(self) -> list[dict[str, Any]]:
        """Checkpoints so far, oldest first."""
        return self._job.checkpoints()

    def state_registry(self) -> list[dict[str, Any]]:
        """Every task's registered states with type, rows and bytes."""
        return self._job.state_registry()

    def _wait(self) -> None:
        # Short waits, so that the main thread sees signals: Ctrl-C must stop a job within a second.
        try:
            while not self._job.wait(50):
                pass
        except KeyboardInterrupt as interrupt:
            self._stop_at(interrupt)
            raise

    def _stop_at(self, interrupt: KeyboardInterrupt) -> None:
        """Cancels the job; `interrupt` says which function did not return, if one did not."""
        self._job.cancel()
        if self._job.wait(_STOP_MS) and (left_behind := self._job.left_behind()):
            interrupt.args = (left_behind,)
