"""Directories for what a running job keeps on the local disk beside its checkpoints."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_LOCK = "in-use"
_NUMBERS = 10_000


class ScratchDirectory:
    """A directory of one run: empty when made, locked while this lives, removed in the end.

    Directories are numbered and the first free one is taken, so what a killed process left behind goes with the next
    run in the same place.

    Args:
        parent: Made when missing; None: the system's directory for temporary files.

    Raises:
        OSError: the directory cannot be made.
    """

    def __init__(self, parent: str | None = None) -> None:
        base = Path(parent if parent is not None else tempfile.gettempdir()).absolute()
        base.mkdir(parents=True, exist_ok=True)
        self._lock = -1
        for number in range(_NUMBERS):
            self.path = base / f"headrace-state-{number}"
            if self._take():
                return
        raise OSError(f"{base}: {_NUMBERS} directories for state are in use")

    def _take(self) -> bool:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (PermissionError, FileNotFoundError, NotADirectoryError):
            return False  # another user's, or removed this moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it before may have removed the file that is locked now.
            if (self.path / _LOCK).stat().st_ino != os.fstat(lock).st_ino:
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(lock)
            return False
        for entry in self.path.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry, ignore_errors=True)
        self._lock = lock
        return True

    def close(self) -> None:
        """Removes it."""
        if self._lock < 0:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)
        self._lock = -1

    def __del__(self) -> None:
        self.close()
