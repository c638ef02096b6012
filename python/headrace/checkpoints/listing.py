"""The checkpoints of a directory, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from headrace import _core
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoints.fetching import FetchedCheckpoints
from headrace.checkpoints.intervals import LOG_NAME, LoggedInterval, parse_log, read_log
from headrace.checkpoints.location import job_directories, local_path, manifests
from headrace.common.configuration import Configuration


@dataclass(frozen=True)
class ListedCheckpoint:
    """One checkpoint as its manifest describes it.

    Attributes:
        path: Of the manifest.
        problem: Why it cannot be used, or None: then the rest is set.
        id: Its number.
        job: Name of the job.
        kind: "checkpoint", "final checkpoint" or "savepoint".
        created: When it was begun, in UTC.
        state_bytes: S, the size of all state in it.
        written_bytes: What it added to the directory, without its manifest.
        stored_bytes: All files that it needs.
        files: How many those are.
        full: Whether it needs no file of an earlier one.
        interval: Where the interval adapts: what was chosen after it, from what and why.
    """

    path: str
    problem: str | None
    id: int = 0
    job: str = ""
    kind: str = ""
    created: datetime | None = None
    state_bytes: int = 0
    written_bytes: int = 0
    stored_bytes: int = 0
    files: int = 0
    full: bool = False
    interval: LoggedInterval | None = None


def list_checkpoints(path: str | Path, *, configuration: Configuration | None = None) -> list[ListedCheckpoint]:
    """The checkpoints in a job's directory, or in all job directories below one; oldest first within a job.

    Looks whether their files are there and of the right length, as a restore does first.

    Args:
        path: Local, or the URI of a job's directory in remote storage, of which only manifests are read.
        configuration: Options with address and credentials of a remote storage; those of the environment count too.

    Raises:
        InvalidArgumentError: there is none.
        StorageError: a remote storage does not answer.
    """
    if is_remote(str(path)):
        fetched = FetchedCheckpoints(str(path), configuration)
        try:
            found = fetched.manifests if fetched.path.is_file() else manifests(fetched.directory)
            fetched.fetch([LOG_NAME])
            return _listed_in(fetched.directory, found, fetched.shown)
        finally:
            fetched.remove()
    directories = job_directories(local_path(path))
    if not directories:
        raise _core.InvalidArgumentError(f"{local_path(path)} holds no checkpoint")
    return [one for directory in directories for one in _listed_in(directory, manifests(directory))]


def interval_decisions(path: str | Path, *, configuration: Configuration | None = None) -> list[LoggedInterval]:
    """What the adaptive interval of a job decided after each of its checkpoints: at least the last 1000, oldest first.

    It is read from the job's directory, so that the job need not run; also of checkpoints that are gone by now.

    Args:
        path: A job's directory, or the directory of one or several jobs; or the URI of a job's directory.
        configuration: Options with address and credentials of a remote storage; those of the environment count too.

    Raises:
        InvalidArgumentError: there is no checkpoint in a local directory.
        StorageError: a remote storage does not answer.
    """
    if is_remote(str(path)):
        try:
            return parse_log(CheckpointTransport(open_storage(str(path), configuration)).read(LOG_NAME))
        except FileNotFoundError:
            return []
    directories = job_directories(local_path(path))
    if not directories:
        raise _core.InvalidArgumentError(f"{local_path(path)} holds no checkpoint")
    return [one for directory in directories for one in read_log(directory)]


def _listed_in(directory: Path, found: list[Path], shown: Callable[[str], str] = str) -> list[ListedCheckpoint]:
    # Of two runs that took the same number, the later one counts.
    logged = {one.checkpoint: one for one in read_log(directory)}
    return [_listed(manifest, logged, shown) for manifest in found]


def _listed(manifest: Path, logged: dict[int, LoggedInterval], shown: Callable[[str], str]) -> ListedCheckpoint:
    path = shown(str(manifest))
    try:
        found = _core.load_manifest(str(manifest))
    except _core.HeadraceError as error:
        return ListedCheckpoint(path, shown(str(error)))
    sizes = [(file["checkpoint"], file["size_bytes"]) for file in found["files"]]
    return ListedCheckpoint(
        path=path,
        problem=None,
        id=found["id"],
        job=found["job_key"],
        kind=found["kind"],
        created=datetime.fromtimestamp(found["created_ms"] / 1000, timezone.utc),
        state_bytes=found["state_bytes"],
        written_bytes=sum(size for checkpoint, size in sizes if checkpoint == found["id"]),
        stored_bytes=sum(size for _, size in sizes),
        files=len(sizes),
        full=found["full"],
        interval=logged.get(found["id"]),
    )
