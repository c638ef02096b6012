"""What changed between two checkpoints: keys and bytes of each state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace.checkpoints.stored import StoredCheckpoint, StoredOperator, read_checkpoint

_COUNTS = ["keys_added", "keys_changed", "keys_removed", "keys_unchanged", "bytes_before", "bytes_after"]


def diff_checkpoints(
    before: str | Path | StoredCheckpoint, after: str | Path | StoredCheckpoint
) -> CheckpointDifference:
    """Compares the states of two checkpoints key by key, whatever their parallelism and whichever files they share.

    Args:
        before: A path as for `read_checkpoint`, or what that returned.
        after: The same; often a later checkpoint of the same job. Of remote checkpoints all files are brought here.

    Raises:
        InvalidArgumentError: there is no checkpoint at a path.
        CorruptionError: one is damaged; the message names file and offset.
    """
    return CheckpointDifference(_opened(before), _opened(after))


def _opened(checkpoint: str | Path | StoredCheckpoint) -> StoredCheckpoint:
    return checkpoint if isinstance(checkpoint, StoredCheckpoint) else read_checkpoint(checkpoint)


class CheckpointDifference:
    """The difference of two checkpoints, state by state; a state is compared when it is first asked for.

    Operators are matched by uid. A key counts as changed when any of its rows (map entries, list segments, windows) is
    added, gone or of another value. Comparing takes memory for about 100 bytes a key of at most four million keys at a
    time, and for the keys that differ.

    Attributes:
        before: The one checkpoint.
        after: The other.
    """

    def __init__(self, before: StoredCheckpoint, after: StoredCheckpoint) -> None:
        self.before = before
        self.after = after
        self._compared: dict[tuple[str, str], dict[str, Any]] = {}

    def to_arrow(self) -> pa.Table:
        """A row a state: `operator`, `name`, `state`, `keys_added`, `keys_changed`, `keys_removed`, `keys_unchanged`.

        And `bytes_before`, `bytes_after`: encoded values with their windows and map keys.
        """
        rows = []
        for uid in [*self.before, *(uid for uid in self.after if uid not in self.before)]:
            sides = [side[uid] for side in (self.before, self.after) if uid in side]
            for state in sorted({name for side in sides for name in side}):
                compared = self._compare(uid, state)
                rows.append([uid, sides[-1].name, state, *(compared[count] for count in _COUNTS)])
        names = ["operator", "name", "state", *_COUNTS]
        types = [pa.string()] * 3 + [pa.int64()] * len(_COUNTS)
        columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
        return pa.table(columns, names=names)

    def keys(self, uid: str, state: str) -> pa.Table:
        """The keys of a state that differ: `key`, `change` ("added", "changed", "removed"), `bytes_before`, `bytes_after`.

        Raises:
            KeyError: neither checkpoint has the operator, or the state.
        """
        operator = self._operator(uid)
        sides = [side for side in (self.before, self.after) if operator.uid in side]
        if not any(state in side[operator.uid] for side in sides):
            raise KeyError(f"operator {operator.uid!r} has no state {state!r}; it has {sorted(operator)}")
        return pa.Table.from_batches([pa.record_batch(self._compare(operator.uid, state)["changes"])])

    def __repr__(self) -> str:
        return f"CheckpointDifference({self.before!r}, {self.after!r})"

    def _operator(self, uid: str) -> StoredOperator:
        try:
            return self.after[uid]
        except KeyError:
            return self.before[uid]

    def _compare(self, uid: str, state: str) -> dict[str, Any]:
        if (uid, state) not in self._compared:
            with self.before._source.terms(), self.after._source.terms():
                before, after = (
                    side._source.reader() if uid in side and state in side[uid] else None
                    for side in (self.before, self.after)
                )
                self._compared[uid, state] = _core.diff_state(before, after, uid, state)
        return self._compared[uid, state]
