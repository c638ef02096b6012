"""Document 001's two interfaces: Checkpointing (start, execute, restore) and Recovery (start, execute, verify)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoints.location import find_checkpoint, local_path
from headrace.checkpoints.stored import StoredCheckpoint, read_checkpoint
from headrace.checkpoints.verification import VerifyReport, verify_checkpoint
from headrace.common.configuration import Configuration
from headrace.common.job import JobExecutionResult
from headrace.common.time import DurationLike
from headrace.datastream.checkpoint_config import DIRECTORY
from headrace.datastream.stream_execution_environment import StreamExecutionEnvironment

_RECOVERY_PATH = "execution.state-recovery.path"


class Checkpointing:
    """Checkpoints of the program in an environment: start them, execute the program, restore it from one.

    >>> checkpointing = Checkpointing(env).start("1 s", "/checkpoints")     # doctest: +SKIP
    >>> result = checkpointing.execute("payments")                          # doctest: +SKIP
    >>> Checkpointing(env).start("1 s", "/checkpoints").restore("latest").execute("payments")  # doctest: +SKIP

    Args:
        env: The environment that the program is, or will be, recorded in.
    """

    def __init__(self, env: StreamExecutionEnvironment) -> None:
        self._env = env

    def start(self, interval: DurationLike, directory: str | Path | None = None) -> Checkpointing:
        """Takes a checkpoint every `interval` from the start of the next job on.

        Args:
            interval: Time between two checkpoints: ms or a duration, at least 10 ms.
            directory: Where they go; None: where the environment's configuration says.

        Raises:
            ValueError: no directory is given, nor configured as `execution.checkpointing.dir`.
        """
        if directory is not None:
            self._env.get_checkpoint_config().set_checkpoint_storage_dir(str(directory))
        elif self._env.get_checkpoint_config().get_checkpoint_storage_dir() is None:
            raise ValueError(f"Checkpointing.start: give a directory, or set {DIRECTORY!r} in the Configuration")
        self._env.enable_checkpointing(interval)
        return self

    def restore(self, path: str | Path) -> Checkpointing:
        """Lets the next job go on from a checkpoint.

        Args:
            path: Of a checkpoint, a savepoint or a job's directory; or "latest": the job's newest in the directory of
                its checkpoints.
        """
        self._env.configure(Configuration.from_dict({_RECOVERY_PATH: str(path)}))
        return self

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Runs the program to its end, with checkpoints if they were started; as `env.execute()`.

        Args:
            job_name: Ties the checkpoints to the job: the same name finds them again.
        """
        return self._env.execute(job_name)


class Recovery:
    """Going on after a failure: choose the checkpoint, execute the job from there; or verify what is stored.

    Args:
        path: Of a checkpoint, a savepoint, or a job's directory, whose newest checkpoint is meant.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._checkpoint: StoredCheckpoint | None = None

    @property
    def checkpoint(self) -> StoredCheckpoint:
        """The checkpoint that `start` chose; chooses it when that was not done yet."""
        if self._checkpoint is None:
            self._checkpoint = read_checkpoint(self._path)
        return self._checkpoint

    def start(self) -> Recovery:
        """Chooses the newest checkpoint at the path and looks whether all its files are there.

        Raises:
            CorruptionError: it is damaged; the message names file and offset, and the newest whole one if there is one.
            InvalidArgumentError: there is none.
        """
        self._checkpoint = read_checkpoint(self._path)
        return self

    def execute(
        self,
        job: StreamExecutionEnvironment | Callable[[StreamExecutionEnvironment], None],
        job_name: str | None = None,
    ) -> JobExecutionResult:
        """Runs a program to its end from the chosen checkpoint.

        Args:
            job: The environment with the recorded program, or a function that records it in an environment, which is
                then a new one. Unless it is configured otherwise, the job goes on writing its checkpoints where they
                were.
            job_name: Name of the job; None: the name it had.

        Raises:
            CorruptionError: the checkpoint is damaged.
            InvalidArgumentError: its state does not fit the program; the message names both sides.
        """
        checkpoint = self.checkpoint
        env = job if isinstance(job, StreamExecutionEnvironment) else StreamExecutionEnvironment()
        own: dict[str, str] = {_RECOVERY_PATH: self._manifest(checkpoint)}
        if env.get_checkpoint_config().get_checkpoint_storage_dir() is None:
            own[DIRECTORY] = checkpoint.directory.rpartition("/")[0]
        env.configure(Configuration.from_dict(own))
        if not isinstance(job, StreamExecutionEnvironment):
            job(env)
        return env.execute(job_name or checkpoint.job)

    def verify(self) -> VerifyReport:
        """Reads every byte of all checkpoints at the path; says what is damaged and which is the newest whole one."""
        return verify_checkpoint(self._path)

    def _manifest(self, checkpoint: StoredCheckpoint) -> str:
        if is_remote(str(self._path)):
            return str(self._path)
        found = local_path(find_checkpoint(self._path))
        return str(found) if not found.is_dir() else f"{checkpoint.directory}/chk-{checkpoint.id}.manifest"
