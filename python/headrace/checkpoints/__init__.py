"""Checkpoints as data: what they hold can be read, queried, compared and checked with no job running."""

from headrace.checkpoints.copying import copy_checkpoint
from headrace.checkpoints.difference import CheckpointDifference, diff_checkpoints
from headrace.checkpoints.exporting import export_state
from headrace.checkpoints.lifecycle import Checkpointing, Recovery
from headrace.checkpoints.listing import ListedCheckpoint, list_checkpoints
from headrace.checkpoints.live import LiveState
from headrace.checkpoints.stored import StoredCheckpoint, StoredOperator, StoredState, read_checkpoint
from headrace.checkpoints.verification import CheckedCheckpoint, Damage, VerifyReport, verify_checkpoint

__all__ = [
    "CheckedCheckpoint", "CheckpointDifference", "Checkpointing", "Damage", "ListedCheckpoint", "LiveState", "Recovery",
    "StoredCheckpoint", "StoredOperator", "StoredState", "VerifyReport", "copy_checkpoint", "diff_checkpoints",
    "export_state", "list_checkpoints", "read_checkpoint", "verify_checkpoint",
]  # fmt: skip
