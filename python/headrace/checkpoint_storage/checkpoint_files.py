"""Finding one checkpoint in a storage and bringing it to the local disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from headrace import _core
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.location import parse_location
from headrace.checkpoint_storage.opening import open_storage
from headrace.common.configuration import Configuration

_MANIFEST = re.compile(r"^chk-(0|[1-9][0-9]*)\.manifest$")
_MANIFEST_END = ".manifest"


class FoundCheckpoint(NamedTuple):
    """Where a checkpoint is.

    Attributes:
        transport: Of the directory that holds its files.
        manifests: Names of its manifest; with a directory's, those of all its checkpoints, newest first.
    """

    transport: CheckpointTransport
    manifests: list[str]


def find_checkpoint(path: str | Path, configuration: Configuration | None = None) -> FoundCheckpoint:
    """The checkpoint at a manifest's path, that path without `.manifest`, or the newest of a directory.

    Raises:
        FileNotFoundError: there is none.
    """
    location = parse_location(path)
    directory, name = location.split()
    if name:
        above = CheckpointTransport(open_storage(directory, configuration))
        candidates = [name] if name.endswith(_MANIFEST_END) else [name + _MANIFEST_END]
        if found := above.find(candidates):
            return FoundCheckpoint(above, [found[0][0]])
        if name.endswith(_MANIFEST_END):
            raise FileNotFoundError(f"there is no checkpoint at {location.uri}")
    transport = CheckpointTransport(open_storage(location, configuration))
    names = [name for name, _ in transport.names() if name.endswith(_MANIFEST_END)]
    numbered = sorted(((int(m[1]), name) for name in names if (m := _MANIFEST.match(name))), reverse=True)
    manifests = [name for _, name in numbered] or (names if len(names) == 1 else [])
    if not manifests:
        raise FileNotFoundError(f"there is no checkpoint at {location.uri}")
    return FoundCheckpoint(transport, manifests)


def fetch_checkpoint(found: FoundCheckpoint, directory: Path) -> Path:
    """Copies it into a local directory: of several, from the newest on until one has all its files.

    What is missing or damaged there is missing or damaged here: the engine refuses it by name.

    Returns:
        The path to restore from.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name in found.manifests:
        found.transport.download([name], str(directory))
        manifest = directory / name
        if not manifest.exists():
            continue
        try:
            _, _, files = _core.manifest_files(manifest.read_bytes(), f"{found.transport.uri}/{name}")
        except _core.HeadraceError:
            continue
        found.transport.download([file for file, _, _ in files], str(directory))
        if all((path := directory / file).exists() and path.stat().st_size == size for file, size, _ in files):
            break
    return directory / found.manifests[0] if len(found.manifests) == 1 else directory
