"""Checkpoints in HDFS, through hdfs-native: no JVM."""

from __future__ import annotations

import secrets as random_names
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from headrace import _core
from headrace.checkpoint_storage.location import Location
from headrace.checkpoint_storage.optional_package import require
from headrace.checkpoint_storage.storage import ABANDONED_S, Storage, checked_pieces
from headrace.common.configuration import Configuration
from headrace.common.sensitive_keys import Secrets

T = TypeVar("T")
_CHUNK_BYTES = 4 << 20
_UPLOADING = "uploading"
_CONNECT_S = 5.0
_HADOOP_PREFIX = "flink.hadoop."
_DENIED = ("AccessControlException", "Permission denied")


class HdfsStorage(Storage):
    """A directory in HDFS. A file is written below `uploading/`, closed, and renamed without overwriting.

    Args:
        location: `hdfs://<name node or name service>/<path>`.
        secrets: What must not stand in a message.
        client: Shared by the directories of one file system.
    """

    lists_at_once = True  # the name node is one

    def __init__(self, location: Location, secrets: Secrets, client: HdfsClient) -> None:
        super().__init__(location, secrets)
        self._client = client

    def put_file(self, local: Path, name: str, digest: bytes) -> None:
        """See Storage."""
        self._write(name, checked_pieces(local, digest, _CHUNK_BYTES))

    def create(self, name: str, content: bytes) -> None:
        """See Storage."""
        self._write(name, iter([content]))

    def replace(self, name: str, content: bytes) -> None:
        """See Storage."""
        self._write(name, iter([content]), overwrite=True)

    def read(self, name: str) -> bytes:
        """See Storage."""
        return bytes(self._client.get().read(self._path(name)).readall())

    def get_file(self, name: str, local: Path) -> None:
        """See Storage."""
        reader = self._client.get().read(self._path(name))
        with local.open("wb") as file:
            for chunk in reader.read_range_stream(0, len(reader)):
                file.write(chunk)

    def sizes(self) -> list[tuple[str, int]]:
        """See Storage."""
        try:
            found = list(self._client.get().list_status(self._path("")))
        except FileNotFoundError:
            return []
        return [(status.path.rpartition("/")[2], status.length) for status in found if not status.isdir]

    def size(self, name: str) -> int | None:
        """See Storage."""
        try:
            status = self._client.get().get_file_info(self._path(name))
        except FileNotFoundError:
            return None
        return None if status.isdir else int(status.length)

    def delete(self, name: str) -> None:
        """See Storage."""
        self._client.get().delete(self._path(name))

    def read_range(self, name: str, start: int, end: int) -> bytes:
        """See Storage."""
        return bytes(self._client.get().read(self._path(name)).read_range(start, end - start))

    def directory(self, name: str) -> HdfsStorage:
        """See Storage."""
        return HdfsStorage(self.location.join(name), self.secrets, self._client)

    def failure(self, error: Exception, what: str) -> Exception:
        """See Storage."""
        if isinstance(error, _core.StorageError):
            return error
        if isinstance(error, OSError) and error.errno is not None:
            return _core.StorageError(f"{what} {self.uri}: {error}")  # of a local file
        if isinstance(error, FileExistsError):
            return FileExistsError(f"{what} {self.uri}: exists")
        if isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{what} {self.uri}: there is no such file")
        text = str(error).split("\n\tat ")[0]
        if isinstance(error, PermissionError) or any(part in text for part in _DENIED):
            return self.refused(what, f"access was denied: {text}")
        return self.unanswered(what, RuntimeError(text))

    def _path(self, name: str) -> str:
        return "/" + "/".join(part for part in (self.location.path, name) if part)

    def _write(self, name: str, chunks: Any, overwrite: bool = False) -> None:
        client = self._client.get()
        temporary = self._path(f"{_UPLOADING}/{name}-{random_names.token_hex(6)}")
        options = self._client.module.WriteOptions(overwrite=True, create_parent=True)
        try:
            with _closed_on_success(client.create(temporary, options)) as writer:
                for chunk in chunks:
                    writer.write(chunk)
            client.rename(temporary, self._path(name), overwrite=overwrite)
        except BaseException:
            self._client.try_to(lambda: client.delete(temporary))
            raise

    def remove_abandoned(self, older_than_s: float = ABANDONED_S) -> None:
        """See Storage."""
        client = self._client.get()
        try:
            found = list(client.list_status(self._path(_UPLOADING)))
        except FileNotFoundError:
            return
        for status in found:
            if older_than_s == 0 or status.modification_time < (time.time() - older_than_s) * 1000:
                client.delete(status.path)


class _closed_on_success:
    """Closes the writer only when everything was written: a broken one is not to be completed."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __enter__(self) -> Any:
        return self._writer

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is None:
            self._writer.close()


class HdfsClient:
    """hdfs-native's client of one file system, made at first use. Threading: thread-safe."""

    def __init__(self, location: Location, options: dict[str, str]) -> None:
        self.module = require("hdfs_native", location.scheme)
        self._url = f"{location.scheme}://{location.authority}"
        self._authority = location.authority
        self._options = options
        self._lock = threading.Lock()
        self._client: Any = None

    def get(self) -> Any:
        """The client, after a look whether the name node listens: the library itself would try for minutes."""
        host, _, port = self._authority.rpartition(":")
        if port.isdigit():
            with socket.create_connection((host, int(port)), timeout=_CONNECT_S):
                pass
        with self._lock:
            if self._client is None:
                self._client = self.module.Client(self._url, self._options)
            return self._client

    def try_to(self, call: Callable[[], T]) -> None:
        """Cleans up where an earlier error is what matters."""
        try:
            call()
        except Exception:
            return


def open_hdfs(location: Location, configuration: Configuration) -> HdfsStorage:
    """HDFS. Options `flink.hadoop.<key>` are given to the client as Hadoop's `<key>`."""
    options = {
        key.removeprefix(_HADOOP_PREFIX): value
        for key, value in configuration.to_dict().items()
        if key.startswith(_HADOOP_PREFIX)
    }
    storage = HdfsStorage(location, Secrets(location.secrets), HdfsClient(location, options))
    return storage
