"""Directories and files as the engine takes them."""

from __future__ import annotations

from pathlib import Path


def local_path(path: str, name: str) -> str:
    """A path or `file://` URI as an absolute path; "" and "latest" stay as they are.

    Raises:
        ValueError: a URI of something else; the message begins with `name`.
    """
    if path.startswith("file://"):
        path = path[len("file://") :]
    if "://" in path:
        raise ValueError(f"{name}: {path!r}: only local directories and file:// URIs can be used yet")
    return path if path in ("", "latest") else str(Path(path).absolute())
