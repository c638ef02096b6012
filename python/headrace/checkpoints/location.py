"""Where a checkpoint lies: what users may give as its path."""

from __future__ import annotations

from pathlib import Path

from headrace import _core

_MANIFESTS = "*.manifest"


def find_checkpoint(path: str | Path) -> str:
    """The path as the engine reads it: of a manifest, a savepoint or a job's directory.

    Args:
        path: Local path or `file://` URI of `chk-7` or `chk-7.manifest`, of a savepoint, of a job's directory (its
            newest checkpoint is meant) or of the directory that holds the directories of one job.

    Raises:
        InvalidArgumentError: there is no checkpoint, or several jobs are there: the message names them.
    """
    local = local_path(path)
    jobs = job_directories(local)
    if len(jobs) > 1:
        names = ", ".join(f"'{job}'" for job in jobs)
        raise _core.InvalidArgumentError(f"{local} holds the checkpoints of several jobs; give one of {names}")
    return str(jobs[0] if jobs else local)


def local_path(path: str | Path) -> Path:
    """A path or `file://` URI as an absolute path."""
    text = str(path).removeprefix("file://")
    if "://" in text:
        raise _core.InvalidArgumentError(f"{text}: only local paths and file:// URIs can be read")
    return Path(text).absolute()


def job_directories(path: Path) -> list[Path]:
    """The directories at or directly below `path` that hold manifests, in the order of their names."""
    if not path.is_dir():
        return []
    if any(path.glob(_MANIFESTS)):
        return [path]
    return sorted(child for child in path.iterdir() if child.is_dir() and any(child.glob(_MANIFESTS)))


def manifests(directory: Path) -> list[Path]:
    """The manifests in a directory, oldest checkpoint first, others (savepoints) last."""

    def order(manifest: Path) -> tuple[int, int, str]:
        number = manifest.stem.removeprefix("chk-")
        return (0, int(number), "") if number.isdigit() else (1, 0, manifest.name)

    return sorted(directory.glob(_MANIFESTS), key=order)
