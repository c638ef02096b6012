"""Checkpoints as data: what they hold can be read, queried, compared and checked with no job running."""

from headrace.checkpoints.stored import StoredCheckpoint, StoredOperator, StoredState, read_checkpoint

__all__ = ["StoredCheckpoint", "StoredOperator", "StoredState", "read_checkpoint"]
