"""The local directory that a remote checkpoint passes through."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path

_PREFIX = "headrace-staging-"
_OWNER = ".owner"


class StagingDirectory:
    """A directory of this job alone. It goes when nobody refers to it any more, at the latest with the process.

    One that a killed process left behind is removed by the next that is made at the same place.

    Args:
        root: Where to make it; None = the system's temporary directory.
    """

    def __init__(self, root: str | None = None) -> None:
        parent = Path(root) if root else Path(tempfile.gettempdir())
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        lock: int | None = None
        while lock is None:  # another process may take a new one for abandoned
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = _take(self.path / _OWNER)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def remove(self) -> None:
        """Deletes it with everything in it."""
        self._finalizer()

    def __repr__(self) -> str:
        return f"StagingDirectory({str(self.path)!r})"


def _take(path: Path) -> int | None:
    """The descriptor of a lock that the process holds as long as it lives, None when another one does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(path: Path, lock: int | None) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if lock is not None:
        with contextlib.suppress(OSError):
            os.close(lock)


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}*"):
        owner = path / _OWNER
        # Without an owner file it is just being made, or being removed, by somebody else.
        if not owner.is_file() or owner.stat().st_uid != os.getuid():
            continue
        with contextlib.suppress(OSError):
            lock = _take(owner)
            if lock is not None:
                _remove(path, lock)
