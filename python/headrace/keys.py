"""How keys find their tasks: a stable hash into key groups, and contiguous ranges of groups for the tasks."""

from __future__ import annotations

from typing import Any

from headrace import _core


def key_group(key: Any, max_parallelism: int = 128) -> int:
    """Key group of a key: XXH3-64 of its canonical bytes, mod `max_parallelism`; the same in every process.

    Args:
        key: Any value that can be a key.
        max_parallelism: Number of key groups, 1 to 32768.

    Returns:
        A number from 0 to `max_parallelism` - 1.
    """
    return _core.key_group(key, max_parallelism)


def task_of(key: Any, parallelism: int, max_parallelism: int = 128) -> int:
    """Number of the subtask, from 0, that owns a key at this parallelism."""
    return _core.subtask_of_key_group(key_group(key, max_parallelism), parallelism, max_parallelism)
