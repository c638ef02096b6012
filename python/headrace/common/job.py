"""Running and finished jobs (PyFlink's job client, result and status)."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from headrace.common.local_paths import local_path
from headrace.common.state_registry import StateRegistry
from headrace.common.time import DurationLike, to_milliseconds

if TYPE_CHECKING:
    from headrace import _core
    from headrace.checkpoint_storage.job_storage import RemoteCheckpoints
    from headrace.checkpoints.erasing import ErasedKey
    from headrace.checkpoints.live import LiveState

T = TypeVar("T")
_log = logging.getLogger("headrace")
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
        recoveries: One dict a restart, as `JobClient.recoveries` gives them.
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

    def __init__(
        self,
        job: _core.Job,
        savepoint_directory: str | None = None,
        keep_alive: object = None,
        remote: RemoteCheckpoints | None = None,
    ) -> None:
        self._job = job
        self._remote = remote
        self._savepoint_directory = savepoint_directory
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

    def trigger_savepoint(self, savepoint_directory: str | Path | None = None) -> CompletableFuture[str]:
        """Asks for a savepoint: a whole, self-contained copy of the state that no clean-up touches.

        Args:
            savepoint_directory: Where `savepoint-<job>-<checkpoint>` is made; the environment's default if not given.

        Returns:
            The path of the savepoint, for `execution.state-recovery.path`. Its result() raises what went wrong; the
            job goes on all the same.

        Raises:
            ValueError: no directory is given and none is set.
        """
        return self._savepoint("", savepoint_directory)

    def stop_with_savepoint(
        self,
        *args: bool | str | Path | None,
        path: str | Path | None = None,
        drain: bool | None = None,
        advance_to_end_of_event_time: bool | None = None,
        savepoint_directory: str | Path | None = None,
    ) -> CompletableFuture[str]:
        """Ends the job with a savepoint: `stop_with_savepoint(path, drain)`, or PyFlink's order of the two.

        What was read before the savepoint is committed, and nothing behind it is emitted. Should the savepoint fail,
        the job goes on (a drained one has ended by then).

        Args:
            args: `path, drain` or `advance_to_end_of_event_time, savepoint_directory`; a bool tells which is which.
            path: Where `savepoint-<job>-<checkpoint>` is made; the environment's default if not given.
            drain: True ends the sources first, so that all windows and timers of event time fire: nothing is left to
                resume. False (the default) stops exactly at the savepoint.
            advance_to_end_of_event_time: PyFlink's name of `drain`.
            savepoint_directory: PyFlink's name of `path`.

        Returns:
            The path of the savepoint; there once the job has ended.

        Raises:
            ValueError: no directory is given and none is set.
            TypeError: more arguments than two, or one twice.
        """
        flags = [value for value in (*args, drain, advance_to_end_of_event_time) if isinstance(value, bool)]
        paths = [value for value in (*args, path, savepoint_directory) if isinstance(value, str | Path)]
        if len(flags) > 1 or len(paths) > 1 or len(args) > 2:
            raise TypeError("stop_with_savepoint takes one directory and one flag: stop_with_savepoint(path, drain)")
        stop = "drain" if flags and flags[0] else "suspend"
        return self._savepoint(stop, paths[0] if paths else None)

    def erase_key(self, key: Any, *, operator: str | None = None) -> CompletableFuture[ErasedKey]:
        """Makes the running job forget a key: its keyed state, and what retained checkpoints hold of it.

        A checkpoint is taken, the tasks stop, the key goes from all checkpoints of the job's directory (as by
        `headrace.checkpoints.erase_key`), and the tasks start again from the newest: a restart, listed by
        `recoveries()`. Rows of the key that come behind that checkpoint make new state. Savepoints are not touched.

        Args:
            key: As the program gives it to `key_by`.
            operator: Uid or name of the one operator that forgets it; None: every operator with keys.

        Returns:
            What was erased; its result() raises what went wrong: FailedPreconditionError when the job takes no
            checkpoints, has a source that cannot go back to one, or has ended.

        Raises:
            KeyError: there is no such operator.
            InvalidArgumentError: `key` cannot be a key.
        """
        from headrace import _core
        from headrace.checkpoints.erasing import ErasedKey  # that package knows this one

        request = self._job.request_erasure(_core.KeyErasure(key, self._uid_of(operator) if operator else ""))

        def wait() -> ErasedKey:
            _wait_for(request)
            return ErasedKey(**request.report())

        return CompletableFuture(wait, request.done)

    def set_checkpoint_interval(self, interval: DurationLike | None) -> None:
        """Changes the time between checkpoints of the running job, also behind restarts.

        Args:
            interval: At least 10 ms; None turns periodic checkpoints off.

        Raises:
            ValueError: less than 10 ms.
        """
        interval_ms = -1 if interval is None else to_milliseconds(interval, "interval")
        if 0 <= interval_ms < 10 or interval_ms < -1:
            raise ValueError(f"interval: must be at least 10 ms, got {interval_ms} ms")
        self._job.set_checkpoint_interval(interval_ms)

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

    def recoveries(self) -> list[dict[str, Any]]:
        """The restarts so far, oldest first; each is also logged as a warning of the logger "headrace".

        Returns:
            For each restart `cause` (the failure), `checkpoint` (its number; 0: from the start), `rows_replayed` (rows
            that sources with a position had read behind that checkpoint and read again), `seconds` from the failure
            until every task was open again, and the same as `downtime_ms`.
        """
        return self._job.recoveries()

    def state_registry(self) -> StateRegistry:
        """Every task's registered states, the key dictionaries and the operator state dictionary (documents 000, 001).

        Sizes are those of the last checkpoint, or of the task's end if that came later.
        """
        return StateRegistry(self._job.state_registry(), dict(self._job.operator_ids()))

    def state(self, uid: str, name: str) -> LiveState:
        """A state of an operator, to be read while the job runs and after its end.

        >>> client.state("accounts", "balance")["alice"]                  # doctest: +SKIP

        It is read from the job's newest completed checkpoint: all its keys are as at one moment of the stream, and the
        running tasks are not disturbed; it is as old as that checkpoint.

        Args:
            uid: The operator's uid, or its name where that is unique.
            name: The state, as the program registered it.

        Raises:
            FailedPreconditionError: the job takes no checkpoints.
        """
        from headrace.checkpoints.live import LiveState  # that module knows this one

        return LiveState(self._job, uid, name, self._remote)

    def _savepoint(self, stop: str, directory: str | Path | None) -> CompletableFuture[str]:
        chosen = directory or self._savepoint_directory
        if not chosen:
            raise ValueError(
                "a savepoint needs a directory: give one, or set 'execution.checkpointing.savepoint-dir' "
                "(env.set_default_savepoint_directory)"
            )
        request = self._job.request_savepoint(local_path(str(chosen), "savepoint directory"), stop)

        def wait() -> str:
            _wait_for(request)
            written = request.path()
            if stop:
                self._wait()
            return written

        return CompletableFuture(wait, lambda: request.done() and (not stop or self.status().is_terminal_state()))

    def _uid_of(self, operator: str) -> str:
        known = self._job.operator_ids()
        if any(uid == operator for _, uid in known):
            return operator
        named = [uid for name, uid in known if name == operator]
        if len(named) == 1:
            return named[0]
        raise KeyError(f"the job has no operator {operator!r}; it has {[uid for _, uid in known]}")

    def _wait(self) -> None:
        try:
            _wait_for(self._job)
        except KeyboardInterrupt as interrupt:
            self._stop_at(interrupt)
            raise

    def _stop_at(self, interrupt: KeyboardInterrupt) -> None:
        """Cancels the job; `interrupt` says which function did not return, if one did not."""
        self._job.cancel()
        if self._job.wait(_STOP_MS) and (left_behind := self._job.left_behind()):
            interrupt.args = (left_behind,)


def _wait_for(outcome: _core.Job | _core.SavepointRequest | _core.ErasureRequest) -> None:
    # Short waits, so that the main thread sees signals: Ctrl-C must stop a job within a second.
    while not outcome.wait(50):
        pass


def log_recovery(job: str, recovery: dict[str, Any]) -> None:
    """Logs one restart; called by the engine."""
    place = f"checkpoint {recovery['checkpoint']}" if recovery["checkpoint"] else "the start"
    _log.warning(
        "job '%s' restarted from %s: %d rows replayed, %.3f s; cause: %s",
        job, place, recovery["rows_replayed"], recovery["seconds"], recovery["cause"],
    )  # fmt: skip
