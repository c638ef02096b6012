"""Taking one key out of stored checkpoints, as a person may ask for (GDPR, article 17)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from headrace import _core
from headrace.checkpoint_storage.copying import STAGING
from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoint_storage.staging_directory import StagingDirectory
from headrace.checkpoints.fetching import find_manifests
from headrace.checkpoints.location import find_checkpoint
from headrace.checkpoints.stored import read_checkpoint
from headrace.common.configuration import Configuration


class ErasedKey(NamedTuple):
    """What erasing a key did.

    Attributes:
        rows: How many rows, entries of key dictionaries and timers of the key went, over all checkpoints; 0: no
            checkpoint had the key.
        checkpoints: How many checkpoints were written anew.
        files: How many data files were written anew.
        bytes: Size of the new files.
        removed: Data files that belonged to no checkpoint, left by a crash.
    """

    rows: int
    checkpoints: int
    files: int
    bytes: int
    removed: int


def erase_key(
    path: str | Path,
    key: Any,
    *,
    operator: str | None = None,
    job_is_gone: bool = False,
    configuration: Configuration | None = None,
) -> ErasedKey:
    """Writes the checkpoints in a directory anew without what keyed state holds of one key.

    Values, entries of maps and lists, windows, timers and the key itself go; also what later checkpoints had covered,
    but is in the files still. Afterwards no file there holds bytes of the key's state. All other keys are as they were,
    and a job resumes from any of the checkpoints. Encrypted files stay encrypted with their keys.

    New files are written first, then each checkpoint is replaced at once, then the old files go: whoever is interrupted
    has whole checkpoints, and calls it again. Operator state, broadcast state, positions of sources and files of sinks are no
    keyed state; they are not touched. A running job forgets a key by `JobClient.erase_key`.

    Files of a remote directory pass through a temporary one, which needs room for all of them. What the storage itself
    keeps beside (former versions of objects, parts of uploads that were broken off) is left to its own rules.

    Args:
        path: A job's directory or a savepoint, local or a URI (`s3://`, `hdfs://`, …); given one of a job's checkpoints,
            all of them are meant: they share files.
        key: As the program gives it to `key_by`: a str, an int, a tuple, …; 1, 1.0 and True are three keys.
        operator: Uid or name of the one operator that forgets it; None: every operator with keys.
        job_is_gone: Of a remote directory: that no job runs there, though its last one, killed on another machine, did
            not say that it ended. One that does run loses nothing, but fails at its next checkpoint.
        configuration: Options with address and credentials of a remote storage; those of the environment count too.

    Raises:
        InvalidArgumentError: there is no checkpoint at `path`, or `key` cannot be a key.
        KeyError: no checkpoint has the operator.
        CorruptionError: a checkpoint there is damaged; nothing was changed.
        FailedPreconditionError: a job uses the directory, or an encryption key is missing or wrong.
        StorageError: a remote storage does not answer, or there is no room for temporary files.
    """
    uid = "" if operator is None else read_checkpoint(path, configuration=configuration)[operator].uid
    erasure = _core.KeyErasure(key, uid)
    if not is_remote(str(path)):
        return ErasedKey(**_core.erase_key(str(_directory_of(path)), erasure))
    options = configuration or Configuration()
    transport, _ = find_manifests(str(path), options)
    staging = StagingDirectory(options.get_string(STAGING))
    try:
        erased = _core.erase_key_remotely(transport, str(staging.path / "checkpoints"), erasure, job_is_gone)
    finally:
        staging.remove()
    return ErasedKey(**erased)


def _directory_of(path: str | Path) -> Path:
    found = Path(find_checkpoint(path))
    if found.is_dir() and any(found.glob("*.manifest")):
        return found
    if found.is_file() or found.with_name(found.name + ".manifest").is_file():
        return found.parent
    raise _core.InvalidArgumentError(f"there is no checkpoint at {found}")
