"""Reading every byte of stored checkpoints: what is damaged, and which checkpoint is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace import _core
from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoints.fetching import FetchedCheckpoints
from headrace.checkpoints.location import find_checkpoint
from headrace.common.configuration import Configuration


@dataclass(frozen=True)
class Damage:
    """A file that is not what was written.

    Attributes:
        file: Its path.
        offset: In bytes; of the first unit (header, block) whose checksum does not hold, or where the file ends early.
        what: What is wrong there.
    """

    file: str
    offset: int
    what: str

    def __str__(self) -> str:
        return f"file {self.file}, offset {self.offset}: {self.what}"


@dataclass(frozen=True)
class CheckedCheckpoint:
    """One checkpoint of a directory: path of its manifest, its number (0 when that cannot be read), if all is there."""

    path: str
    id: int
    whole: bool


@dataclass(frozen=True)
class VerifyReport:
    """What `verify()` found.

    Attributes:
        path: What was verified.
        files: How many files belong to the checkpoints there.
        bytes_on_disk: Size of these files.
        bytes_read: Bytes of them that were read, counted where they were read; the same unless a file is damaged.
        damage: One for each damaged file, by path.
        checkpoints: All checkpoints there, newest last.
        newest_whole: Path of the manifest of the newest checkpoint without damage, or None.
        unreferenced: Data files that no checkpoint names (left by a crash; a job deletes them later). Not read.
    """

    path: str
    files: int
    bytes_on_disk: int
    bytes_read: int
    damage: list[Damage]
    checkpoints: list[CheckedCheckpoint]
    newest_whole: str | None
    unreferenced: list[str]

    @property
    def ok(self) -> bool:
        """True when there is no damage."""
        return not self.damage

    def __str__(self) -> str:
        lines = [f"{self.files} files, {self.bytes_read} of {self.bytes_on_disk} bytes read: "]
        lines[0] += "no damage" if self.ok else f"{len(self.damage)} damaged"
        lines += [str(one) for one in self.damage]
        if not self.ok:
            lines.append(f"newest whole checkpoint: {self.newest_whole or 'none'}")
        return "\n".join(lines)


def verify_checkpoint(path: str | Path, *, configuration: Configuration | None = None) -> VerifyReport:
    """Reads every byte of the checkpoints at `path`, and of the sink files that the newest commits.

    Args:
        path: Of one checkpoint or savepoint, or of a job's directory: then all checkpoints in it are verified. Files of a
            remote one (`s3://`, `hdfs://`, …) are brought to a temporary directory, and the report has their URIs.
        configuration: Options with address and credentials of a remote storage; those of the environment count too.

    Raises:
        InvalidArgumentError: there is no checkpoint at `path`.
        StorageError: a remote storage does not answer, or there is no room for temporary files.
    """
    if not is_remote(str(path)):
        found = find_checkpoint(path)
        return _report(found, _core.verify_stored(found))
    fetched = FetchedCheckpoints(str(path), configuration)
    try:
        fetched.fetch_all()
        with fetched.in_remote_terms():
            return _report(str(fetched.path), _core.verify_stored(str(fetched.path)), fetched.shown)
    finally:
        fetched.remove()


def _report(path: str, report: dict[str, Any], shown: Callable[[str], str] = str) -> VerifyReport:
    newest = report["newest_whole"]
    return VerifyReport(
        path=shown(path),
        files=report["files"],
        bytes_on_disk=report["bytes_on_disk"],
        bytes_read=report["bytes_read"],
        damage=[Damage(shown(file), offset, shown(what)) for file, offset, what in report["damage"]],
        checkpoints=[CheckedCheckpoint(shown(manifest), *rest) for manifest, *rest in report["checkpoints"]],
        newest_whole=None if newest is None else shown(newest),
        unreferenced=[shown(file) for file in report["unreferenced"]],
    )
