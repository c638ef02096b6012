"""Checkpoints in remote storage, brought to a temporary directory to be looked at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from headrace import _core
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.copying import STAGING
from headrace.checkpoint_storage.location import parse_location
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.staging_directory import StagingDirectory
from headrace.common.configuration import Configuration

_MANIFEST_END = ".manifest"


class FetchedCheckpoints:
    """What is at a URI, as a local directory of the same names: manifests at once, data files when they are needed.

    Until then a data file is as long as the one in the storage and has no content, which takes no room on the disk. All
    goes with this object, at the latest with the process.

    Attributes:
        uri: The directory that holds the files, without credentials.
        path: Where the engine finds what the URI names: the local directory, or a manifest in it.
        manifests: Local paths of the manifests there.
    """

    def __init__(self, uri: str, configuration: Configuration | None = None) -> None:
        options = configuration or Configuration()
        self._staging = StagingDirectory(options.get_string(STAGING))
        self.directory = self._staging.path / "checkpoints"
        self.directory.mkdir()
        self._transport, names = find_manifests(uri, options)
        self.uri = self._transport.uri
        self._missing = {name: size for name, size in self._transport.names() if _is_data(name)}
        self._transport.download(names, str(self.directory))
        for name, size in self._missing.items():
            with (self.directory / name).open("wb") as file:
                file.truncate(size)
        self.manifests = [self.directory / name for name in names]
        self.path = self.manifests[0] if len(names) == 1 else self.directory

    def fetch(self, names: list[str]) -> None:
        """Brings the content of data files; those that are here stay.

        Raises:
            StorageError: the temporary directory has no room for them, or the storage does not answer.
        """
        wanted = [name for name in names if name in self._missing]
        needed = sum(self._missing[name] for name in wanted)
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise _core.StorageError(
                f"{self.uri}: reading it takes {needed} bytes of temporary files and {self._staging.path.parent} has {free} "
                "free: set TMPDIR to a directory with more room"
            )
        self._transport.download(wanted, str(self.directory))
        for name in wanted:
            del self._missing[name]

    def fetch_all(self) -> None:
        """Brings all files that checkpoints are made of."""
        self.fetch(list(self._missing))

    @contextmanager
    def in_remote_terms(self) -> Iterator[None]:
        """Errors name the files in the storage and not the temporary ones."""
        try:
            yield
        except _core.HeadraceError as error:
            text = self.shown(str(error))
            if text == str(error):
                raise
            raise type(error)(text) from None

    def shown(self, text: str) -> str:
        """A text with the names in the storage for those of temporary files."""
        return text.replace(str(self.directory), self.uri)

    def remove(self) -> None:
        """Deletes the temporary files."""
        self._staging.remove()


def _is_data(name: str) -> bool:
    return "/" not in name and not name.startswith(".") and not name.endswith(_MANIFEST_END)


def find_manifests(uri: str, options: Configuration) -> tuple[CheckpointTransport, list[str]]:
    """The directory of a manifest, of that without its ending, or the directory itself with all its manifests.

    Raises:
        InvalidArgumentError: there is none.
    """
    location = parse_location(uri)
    directory, name = location.split()
    if name:
        above = CheckpointTransport(open_storage(directory, options))
        manifest = name if name.endswith(_MANIFEST_END) else name + _MANIFEST_END
        if above.find([manifest]):
            return above, [manifest]
    transport = CheckpointTransport(open_storage(location, options))
    names = [] if name.endswith(_MANIFEST_END) else [name for name, _ in transport.names()]
    manifests = sorted(name for name in names if name.endswith(_MANIFEST_END))
    if not manifests:
        raise _core.InvalidArgumentError(
            f"there is no checkpoint at {location.uri}: give a job's directory, which holds its chk-*.manifest files"
        )
    return transport, manifests
