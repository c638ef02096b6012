"""A local directory as a storage: what `copy` reads from and writes to."""

from __future__ import annotations

import os
import secrets as random_names
import shutil
from collections.abc import Iterator
from pathlib import Path

from headrace import _core
from headrace.checkpoint_storage.location import Location
from headrace.checkpoint_storage.storage import Storage, checked_pieces
from headrace.common.sensitive_keys import Secrets

_PIECE_BYTES = 1 << 20


class LocalDirectory(Storage):
    """A directory of this machine. Files are synced under a temporary name and linked to their own."""

    lists_at_once = True

    def __init__(self, location: Location) -> None:
        super().__init__(location, Secrets())
        self._path = Path(location.path)

    def put_file(self, local: Path, name: str, digest: bytes) -> None:
        """See Storage."""
        self._write(name, checked_pieces(local, digest, _PIECE_BYTES))

    def create(self, name: str, content: bytes) -> None:
        """See Storage."""
        self._write(name, iter([content]))

    def replace(self, name: str, content: bytes) -> None:
        """See Storage."""
        temporary = f".{name}-{random_names.token_hex(6)}"
        self.create(temporary, content)
        (self._path / temporary).replace(self._path / name)

    def read(self, name: str) -> bytes:
        """See Storage."""
        return (self._path / name).read_bytes()

    def get_file(self, name: str, local: Path) -> None:
        """See Storage."""
        shutil.copyfile(self._path / name, local)

    def sizes(self) -> list[tuple[str, int]]:
        """See Storage."""
        if not self._path.is_dir():
            return []
        return [(path.name, path.stat().st_size) for path in self._path.iterdir() if path.is_file()]

    def size(self, name: str) -> int | None:
        """See Storage."""
        path = self._path / name
        return path.stat().st_size if path.is_file() else None

    def delete(self, name: str) -> None:
        """See Storage."""
        (self._path / name).unlink()

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """See Storage."""
        with (self._path / name).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def directory(self, name: str) -> LocalDirectory:
        """See Storage."""
        return LocalDirectory(self.location.join(name))

    def failure(self, error: Exception, what: str) -> Exception:
        """See Storage."""
        if isinstance(error, _core.StorageError):
            return error
        if isinstance(error, FileExistsError):
            return FileExistsError(f"{what} {self.uri}: exists")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{what} {self.uri}: there is no such file")
        if isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError)):
            return self.refused(what, error.strerror or str(error))
        return _core.StorageError(f"{what} {self.uri}: {error}")

    def _write(self, name: str, pieces: Iterator[bytes]) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        temporary = self._path / f".{name}-{random_names.token_hex(6)}.tmp"
        try:
            with temporary.open("xb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            (self._path / name).hardlink_to(temporary)  # unlike a rename it replaces nothing
        finally:
            temporary.unlink(missing_ok=True)
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
