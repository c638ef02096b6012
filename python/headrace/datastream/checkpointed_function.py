"""User functions that take part in checkpoints: Flink's `CheckpointedFunction`, which PyFlink lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from headrace.datastream.state import KeyedStateStore, OperatorStateStore


class FunctionInitializationContext(Protocol):
    """What `initialize_state` may ask for."""

    def is_restored(self) -> bool:
        """True when state was restored from a checkpoint or savepoint."""

    def get_restored_checkpoint_id(self) -> int | None:
        """Id of what was restored, None when nothing was."""

    def get_operator_state_store(self) -> OperatorStateStore:
        """Where operator state is made; its handles may be used whenever code of the function runs."""

    def get_keyed_state_store(self) -> KeyedStateStore:
        """Where keyed state is made; keyed operators only."""


class FunctionSnapshotContext(Protocol):
    """What `snapshot_state` may ask for."""

    def get_checkpoint_id(self) -> int:
        """Id of the checkpoint being taken."""

    def get_checkpoint_timestamp(self) -> int:
        """Wall clock in ms when the barrier came to this subtask."""


class CheckpointedFunction(ABC):
    """A function with state of its own, not bound to keys: inherit from it beside MapFunction and the like.

    Works for functions of keyed and other operators, windows and sinks. Both methods run on the task's thread, never
    while another method of the function does. A failure of one fails the job with its name.
    """

    @abstractmethod
    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """Called when a barrier comes: what is to survive goes into states that `initialize_state` took."""

    @abstractmethod
    def initialize_state(self, context: FunctionInitializationContext) -> None:
        """Called once in each attempt, before `open`: takes the states, which hold what was restored."""
