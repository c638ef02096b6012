"""Copying a checkpoint from one storage to another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from headrace import _core
from headrace.checkpoint_storage.checkpoint_files import fetch_checkpoint, find_checkpoint
from headrace.checkpoint_storage.checkpoint_transport import CheckpointTransport
from headrace.checkpoint_storage.opening import open_storage
from headrace.checkpoint_storage.staging_directory import StagingDirectory
from headrace.common.configuration import Configuration


class CopiedCheckpoint(NamedTuple):
    """What `copy` did.

    Attributes:
        checkpoint: Its number.
        path: The manifest's path or URI at the destination, to restore from.
        files: How many files it has, the manifest included.
        size_bytes: Of all of them.
    """

    checkpoint: int
    path: str
    files: int
    size_bytes: int


def copy(
    source: str | Path, destination: str | Path, *, configuration: Configuration | None = None
) -> CopiedCheckpoint:
    """Copies one checkpoint between any two storages; every byte is checked on the way.

    The manifest comes last and replaces nothing, so a copy that breaks off is no checkpoint and can be made again.

    Args:
        source: A manifest's path or URI, that without `.manifest`, or a job's directory: its newest.
        destination: A directory; it is made where directories are.
        configuration: Options with the addresses and credentials of both storages.

    Raises:
        FileNotFoundError: there is no checkpoint at `source`.
        CorruptionError: it is damaged; names file and offset.
        FailedPreconditionError: another checkpoint of that number is at `destination` already.
        StorageError: a storage does not answer.
    """
    found = find_checkpoint(source, configuration)
    staging = StagingDirectory((configuration or Configuration()).get_string(STAGING))
    try:
        directory = staging.path / "copy"
        local = fetch_checkpoint(found, directory)
        _refuse_damage(local, str(directory), found.transport.uri)
        name = found.manifests[0]
        content = (directory / name).read_bytes()
        number, _, files = _core.manifest_files(content, f"{found.transport.uri}/{name}")
        target = CheckpointTransport(open_storage(destination, configuration))
        present = dict(target.find([file for file, _, _ in files]))
        missing = [(file, digest) for file, size, digest in files if present.get(file) != size]
        target.upload(str(directory), missing, lambda: True)
        try:
            target.create(name, content)
        except OSError:
            if dict(target.find([name])).get(name) is None:
                raise
            if target.read(name) != content:
                raise _core.FailedPreconditionError(
                    f"{target.uri}/{name} exists and is another checkpoint; it was left alone"
                ) from None
        return CopiedCheckpoint(
            number, f"{target.uri}/{name}", len(files) + 1, len(content) + sum(size for _, size, _ in files)
        )
    finally:
        staging.remove()


STAGING = "execution.checkpointing.staging-dir"


def _refuse_damage(local: Path, directory: str, uri: str) -> None:
    from headrace.checkpoints.verification import verify_checkpoint  # that package knows this one

    try:
        _core.load_manifest(str(local))  # of several the newest, or a refusal
        report = verify_checkpoint(local)
    except _core.HeadraceError as error:
        raise type(error)(str(error).replace(directory, uri)) from None
    # Sink files are not part of the copy.
    damage = [str(one) for one in report.damage if one.file.startswith(directory)]
    if damage:
        raise _core.CorruptionError("; ".join(damage).replace(directory, uri))
