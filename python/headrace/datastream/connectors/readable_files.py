"""Files that a source reads: on the local disk or at a URI."""

from __future__ import annotations

import fnmatch
import glob
import io
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.location import Location, is_remote, parse_location
from headrace.checkpoint_storage.opening import open_storage
from headrace.common.configuration import Configuration

_BLOCK_BYTES = 1 << 20


def shown_path(path: Any) -> str:
    """A path or URI for names and messages: without credentials."""
    text = str(path)
    return parse_location(text).uri if is_remote(text) else text


class ReadableFiles:
    """Finds and opens files. A file is named by its path, or by its URI without credentials.

    Args:
        configuration: Options of remote storages; see `headrace.checkpoint_storage`.
    """

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._configuration = configuration
        self._locations: dict[str, Location] = {}

    def find(self, paths: str | Path | list[str]) -> list[str]:
        """Names of the files that the paths, URIs and globs name, sorted; directories stand for their files.

        Raises:
            FileNotFoundError: one that matches nothing.
        """
        found: list[str] = []
        for path in paths if isinstance(paths, list) else [paths]:
            text = str(path)
            found += self._find_remote(text) if is_remote(text) else _find_local(text.removeprefix("file://"))
        return found

    def open(self, name: str) -> BinaryIO:
        """Opens a file for buffered reading with seek().

        Raises:
            FileNotFoundError: it is gone.
            StorageError: the storage does not answer.
        """
        if not is_remote(name):
            return cast("BinaryIO", Path(name).open("rb"))
        directory, last = (self._locations.get(name) or parse_location(name)).split()
        transport = CheckpointTransport(open_storage(directory, self._configuration))
        sizes = dict(transport.find([last]))
        if last not in sizes:
            raise FileNotFoundError(f"there is no file {name}")
        return cast("BinaryIO", io.BufferedReader(_RemoteFile(transport, last, sizes[last]), _BLOCK_BYTES))

    def arrow_input(self, name: str) -> Any:
        """What pyarrow's readers take: the path, or the open file."""
        return pa.PythonFile(self.open(name), mode="r") if is_remote(name) else name

    def arrow_stream(self, name: str) -> Any:
        """An input stream that decompresses by the file's ending."""
        if not is_remote(name):
            return pa.input_stream(name)
        ending = name.rpartition(".")[2]
        compression = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "lz4": "lz4"}.get(ending)
        return pa.input_stream(pa.PythonFile(self.open(name), mode="r"), compression=compression)

    def _find_remote(self, uri: str) -> list[str]:
        location = parse_location(uri)
        directory, last = location.split()
        above = CheckpointTransport(open_storage(directory, self._configuration))
        if any(sign in last for sign in "*?["):
            matches = [directory.join(name) for name, _ in above.names() if fnmatch.fnmatchcase(name, last)]
        elif last and above.find([last]):
            matches = [location]
        else:
            inside = CheckpointTransport(open_storage(location, self._configuration)).names()
            matches = [location.join(name) for name, _ in inside if not name.startswith((".", "_"))]
        if not matches:
            raise FileNotFoundError(f"no file matches {location.uri!r}")
        found = {match.uri: match for match in sorted(matches)}
        self._locations.update(found)
        return list(found)


class _RemoteFile(io.RawIOBase):
    """Ranges of a remote file, each tried again when the storage does not answer."""

    def __init__(self, transport: CheckpointTransport, name: str, size: int) -> None:
        self._transport = transport
        self._name = name
        self._size = size
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._offset = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        return self._offset

    def readinto(self, buffer: Any) -> int:
        end = min(self._size, self._offset + len(buffer))
        if end <= self._offset:
            return 0
        data = self._transport.read_range(self._name, self._offset, end)
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


def _find_local(text: str) -> list[str]:
    plain = Path(text)
    if plain.is_dir():
        matches = sorted(str(p) for p in plain.iterdir() if p.is_file() and not p.name.startswith((".", "_")))
    elif plain.exists():
        matches = [text]
    else:
        matches = sorted(glob.glob(text))  # noqa: PTH207 - the pattern may be absolute
    if not matches:
        raise FileNotFoundError(f"directory {text!r} holds no files" if plain.is_dir() else f"no file matches {text!r}")
    return [str(Path(match).absolute()) for match in matches]
