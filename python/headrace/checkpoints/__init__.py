"""Checkpoints as data: what they hold can be read, queried, compared and checked with no job running."""

from headrace.checkpoints.copying import copy_checkpoint
from headrace.checkpoints.difference import CheckpointDifference, diff_checkpoints
from headrace.checkpoints.erasing import ErasedKey, erase_key
from headrace.checkpoints.exporting import export_state
from headrace.checkpoints.intervals import LoggedInterval
from headrace.checkpoints.lifecycle import Checkpointing, Recovery
from headrace.checkpoints.listing import ListedCheckpoint, interval_decisions, list_checkpoints
from headrace.checkpoints.live import LiveState
from headrace.checkpoints.stored import StoredCheckpoint, StoredOperator, StoredState, read_checkpoint
from headrace.checkpoints.verification import CheckedCheckpoint, Damage, VerifyReport, verify_checkpoint

__all__ = [
    "CheckedCheckpoint", "CheckpointDifference", "Checkpointing", "Damage", "ErasedKey", "ListedCheckpoint",
    "LiveState", "LoggedInterval", "Recovery", "StoredCheckpoint", "StoredOperator", "StoredState", "VerifyReport",
    "copy_checkpoint", "diff_checkpoints", "erase_key", "export_state", "interval_decisions", "list_checkpoints",
    "read_checkpoint", "verify_checkpoint",
]  # fmt: skip
