"""Checkpoints in whatever fsspec has a file system for."""

from __future__ import annotations

import contextlib
import secrets as random_names
import time
from pathlib import Path
from typing import Any, cast

from headrace import _core
from headrace.checkpoint_storage.location import Location
from headrace.checkpoint_storage.optional_package import require
from headrace.checkpoint_storage.storage import ABANDONED_S, Storage, checked_pieces
from headrace.common.configuration import Configuration
from headrace.common.sensitive_keys import Secrets

_PREFIX = "fsspec."
_UPLOADING = "uploading-"
_PIECE_BYTES = 4 << 20


class FsspecDirectory(Storage):
    """A directory of an fsspec file system.

    A file is written under a temporary name and moved. Whether two processes can create the same name at once depends
    on the file system: where it cannot open a file for exclusive creation, its name is looked up first.
    """

    def __init__(self, location: Location, secrets: Secrets, file_system: Any, root: str) -> None:
        super().__init__(location, secrets)
        self._fs = file_system
        self._root = root.rstrip("/")

    def put_file(self, local: Path, name: str, digest: bytes) -> None:
        """See Storage."""
        temporary = self._temporary(name)
        self._fs.makedirs(self._root, exist_ok=True)
        try:
            with self._fs.open(temporary, "wb") as file:
                for piece in checked_pieces(local, digest, _PIECE_BYTES):
                    file.write(piece)
        except _core.StorageError:
            self._fs.rm_file(temporary)
            raise
        self._fs.mv(temporary, self._path(name))

    def create(self, name: str, content: bytes) -> None:
        """See Storage."""
        path = self._path(name)
        self._fs.makedirs(self._root, exist_ok=True)
        if self.size(name) is not None:
            raise FileExistsError(path)
        self._fs.pipe_file(path, content, mode="create")

    def replace(self, name: str, content: bytes) -> None:
        """See Storage. It is moved over the former file: at once, where the file system moves at once."""
        self._fs.makedirs(self._root, exist_ok=True)
        temporary = self._temporary(name)
        self._fs.pipe_file(temporary, content)
        self._fs.mv(temporary, self._path(name))

    def read(self, name: str) -> bytes:
        """See Storage."""
        return cast("bytes", self._fs.cat_file(self._path(name)))

    def get_file(self, name: str, local: Path) -> None:
        """See Storage."""
        self._fs.get_file(self._path(name), str(local))

    def sizes(self) -> list[tuple[str, int]]:
        """See Storage."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(self._root, detail=True)
        except FileNotFoundError:
            return []
        return [(item["name"].rpartition("/")[2], item["size"]) for item in found if item["type"] == "file"]

    def size(self, name: str) -> int | None:
        """See Storage."""
        self._fs.invalidate_cache()
        try:
            info = self._fs.info(self._path(name))
        except FileNotFoundError:
            return None
        return None if info["type"] != "file" else int(info["size"])

    def delete(self, name: str) -> None:
        """See Storage."""
        self._fs.rm_file(self._path(name))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """See Storage."""
        return cast("bytes", self._fs.cat_file(self._path(name), start=start, end=end))

    def remove_abandoned(self, older_than_s: float = ABANDONED_S) -> None:
        """See Storage. Where the file system tells how old a file is, unless its age does not matter."""
        for name, _ in self.sizes():
            if not name.startswith(_UPLOADING):
                continue
            # Another process may end its upload, or clean up too, at the same time.
            with contextlib.suppress(FileNotFoundError):
                modified = self._fs.info(self._path(name)).get("mtime")
                old = isinstance(modified, (int, float)) and modified < time.time() - older_than_s
                if old or older_than_s == 0:
                    self._fs.rm_file(self._path(name))

    def directory(self, name: str) -> FsspecDirectory:
        """See Storage."""
        return FsspecDirectory(self.location.join(name), self.secrets, self._fs, self._path(name))

    def failure(self, error: Exception, what: str) -> Exception:
        """See Storage."""
        if isinstance(error, _core.StorageError):
            return error
        if isinstance(error, FileExistsError):
            return FileExistsError(f"{what} {self.uri}: exists")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{what} {self.uri}: there is no such file")
        if isinstance(error, PermissionError):
            return self.refused(what, f"access was denied: {error}")
        return self.unanswered(what, error)

    def _temporary(self, name: str) -> str:
        return self._path(f"{_UPLOADING}{name}-{random_names.token_hex(6)}.tmp")

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_fsspec(location: Location, configuration: Configuration) -> FsspecDirectory:
    """Any other scheme. Options `fsspec.<scheme>.<key>` are given to the file system as `<key>`.

    Raises:
        ValueError: fsspec does not know the scheme, or lacks a package for it.
    """
    fsspec = require("fsspec", location.scheme)
    start = f"{_PREFIX}{location.scheme}."
    options = {k.removeprefix(start): v for k, v in configuration.to_dict().items() if k.startswith(start)}
    secrets = Secrets([*options.values(), *location.secrets])
    try:
        file_system, root = fsspec.core.url_to_fs(location.full_uri, **options)
    except ValueError as error:
        raise ValueError(f"{location.uri}: no storage is known for {location.scheme}://: {error}") from None
    except ImportError as error:
        raise ImportError(f"{location.uri}: {secrets.clean(str(error))}") from None
    except Exception as error:  # whatever a file system says about its options or its host
        raise _core.StorageError(f"open {location.uri}: {secrets.clean(str(error))}") from None
    return FsspecDirectory(location, secrets, file_system, root)
