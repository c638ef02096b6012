"""Where keyed state lives while a job runs (PyFlink's `pyflink.datastream.state_backend`)."""

from __future__ import annotations


class StateBackend:
    """Base of all state backends."""


class HashMapStateBackend(StateBackend):
    """State in memory, bounded by `state.memory-budget`."""


class MemoryStateBackend(HashMapStateBackend):
    """Flink 1's name for state in memory."""


class FsStateBackend(HashMapStateBackend):
    """State in memory, checkpoints at a path.

    Args:
        checkpoint_directory_uri: Local directory, or a URI as `hdfs://host:port/path` or `s3://bucket/prefix`: see
            `headrace.checkpoint_storage`.
    """

    def __init__(self, checkpoint_directory_uri: str) -> None:
        self.checkpoint_directory_uri = checkpoint_directory_uri
