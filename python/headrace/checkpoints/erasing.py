"""Taking one key out of stored checkpoints, as a person may ask for (GDPR, article 17)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from headrace import _core
from headrace.checkpoints.location import find_checkpoint
from headrace.checkpoints.stored import read_checkpoint


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


def erase_key(path: str | Path, key: Any, *, operator: str | None = None) -> ErasedKey:
    """Writes the checkpoints in a directory anew without what keyed state holds of one key.

    Values, entries of maps and lists, windows, timers and the key itself go; also what later checkpoints had covered,
    but is in the files still. Afterwards no file there holds bytes of the key's state. All other keys are as they were,
    and a job resumes from any of the checkpoints. Encrypted files stay encrypted with their keys.

    New files are written first, then each checkpoint is replaced at once, then the old files go: whoever is interrupted
    has whole checkpoints, and calls it again. Operator state, broadcast state, positions of sources and files of sinks are no
    keyed state; they are not touched. A running job forgets a key by `JobClient.erase_key`.

    Args:
        path: A job's directory or a savepoint; given one of a job's checkpoints, all of them are meant: they share files.
        key: As the program gives it to `key_by`: a str, an int, a tuple, …; 1, 1.0 and True are three keys.
        operator: Uid or name of the one operator that forgets it; None: every operator with keys.

    Raises:
        InvalidArgumentError: there is no checkpoint at `path`, or `key` cannot be a key.
        KeyError: no checkpoint has the operator.
        CorruptionError: a checkpoint there is damaged; nothing was changed.
        FailedPreconditionError: a job uses the directory, or an encryption key is missing or wrong.
    """
    uid = "" if operator is None else read_checkpoint(path)[operator].uid
    return ErasedKey(**_core.erase_key(str(_directory_of(path)), _core.KeyErasure(key, uid)))


def _directory_of(path: str | Path) -> Path:
    found = Path(find_checkpoint(path))
    if found.is_dir() and any(found.glob("*.manifest")):
        return found
    if found.is_file() or found.with_name(found.name + ".manifest").is_file():
        return found.parent
    raise _core.InvalidArgumentError(f"there is no checkpoint at {found}")
