"""The checkpoints of a directory, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from headrace import _core
from headrace.checkpoints.location import job_directories, local_path, manifests


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


def list_checkpoints(path: str | Path) -> list[ListedCheckpoint]:
    """The checkpoints in a job's directory, or in all job directories below one; oldest first within a job.

    Looks whether their files are there and of the right length, as a restore does first.

    Raises:
        InvalidArgumentError: there is none.
    """
    directories = job_directories(local_path(path))
    if not directories:
        raise _core.InvalidArgumentError(f"{local_path(path)} holds no checkpoint")
    return [_listed(manifest) for directory in directories for manifest in manifests(directory)]


def _listed(manifest: Path) -> ListedCheckpoint:
    try:
        found = _core.load_manifest(str(manifest))
    except _core.HeadraceError as error:
        return ListedCheckpoint(str(manifest), str(error))
    sizes = [(file["checkpoint"], file["size_bytes"]) for file in found["files"]]
    return ListedCheckpoint(
        path=str(manifest),
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
    )
