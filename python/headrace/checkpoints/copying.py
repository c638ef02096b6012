"""Copying one checkpoint to another directory: data first, its manifest last, everything verified."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from headrace import _core
from headrace.checkpoints.location import find_checkpoint, local_path
from headrace.checkpoints.stored import read_checkpoint
from headrace.checkpoints.verification import verify_checkpoint


def copy_checkpoint(source: str | Path, target: str | Path) -> str:
    """Copies a checkpoint with all files that it needs, and reads back every byte.

    A copy that is cut off leaves no manifest, so nothing takes it for a checkpoint; copying again completes it. Files
    that are there already with the same content are kept.

    Args:
        source: Of the checkpoint; of a job's directory the newest is copied.
        target: Directory to copy to, made when it is missing; local path or `file://` URI.

    Returns:
        The path of the copied manifest.

    Raises:
        CorruptionError: the source is damaged: then nothing is published.
        FailedPreconditionError: a file of the same name and another content is there.
    """
    checkpoint = read_checkpoint(source)
    directory = Path(checkpoint.directory)
    manifest = _manifest_of(source, checkpoint.id)
    report = verify_checkpoint(manifest)
    damaged = [damage for damage in report.damage if Path(damage.file).parent == directory]
    if damaged:
        raise _core.CorruptionError(str(damaged[0]))
    to = local_path(target)
    to.mkdir(parents=True, exist_ok=True)
    for name in [*checkpoint.files, manifest.name]:
        if name == manifest.name:
            _sync(to)  # the names of the data first
        _copy(directory / name, to / name)
    _sync(to)
    copied = verify_checkpoint(to / manifest.name)
    damaged = [damage for damage in copied.damage if Path(damage.file).parent == to]
    if damaged:
        raise _core.CorruptionError(f"the copy was damaged: {damaged[0]}")
    return str(to / manifest.name)


def _manifest_of(source: str | Path, checkpoint_id: int) -> Path:
    found = local_path(find_checkpoint(source))
    if found.is_file():
        return found
    if found.is_dir():
        numbered = found / f"chk-{checkpoint_id}.manifest"
        return numbered if numbered.exists() else next(found.glob("*.manifest"))
    return found.with_name(found.name + ".manifest")


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        if not filecmp.cmp(source, target, shallow=False):
            raise _core.FailedPreconditionError(f"{target} exists and is not the file {source}: give another directory")
        return
    partial = target.with_name(f".{target.name}.copying")
    shutil.copyfile(source, partial)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(target)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
