"""The state registry of a job (document 000): what every task has registered."""

from __future__ import annotations

from typing import Any


class StateRegistry(list[dict[str, Any]]):
    """One dict for each state of each subtask: what it is and how large.

    Keys of a line: `operator` (id), `operator_name`, `subtask`, `name`, `fingerprint` (the declared type), `kind`, `rows`,
    `bytes` (of memory).

    Attributes:
        operators: The operator state dictionary of document 001: name of an operator → its id (the uid where one was
            given).
    """

    def __init__(self, lines: list[dict[str, Any]], operators: dict[str, str]) -> None:
        super().__init__(lines)
        self.operators = operators

    def key_dictionaries(self) -> list[dict[str, Any]]:
        """The key dictionaries (document 001: key → key id): a line for each keyed subtask; `rows` is its keys."""
        return [line for line in self if line["kind"] == "dictionary"]

    def states(self, operator: str | None = None) -> list[dict[str, Any]]:
        """The lines of states proper, of all operators or of the one with that id or name."""
        wanted = self.operators.get(operator, operator) if operator is not None else None
        lines = [line for line in self if line["kind"] not in ("dictionary", "timers")]
        return [line for line in lines if wanted is None or line["operator"] == wanted]

    @property
    def total_bytes(self) -> int:
        """S in memory: the sum over all lines."""
        return sum(line["bytes"] for line in self)
