"""State of a running job: `client.state("uid", "name")`."""

from __future__ import annotations

import itertools
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace.checkpoint_storage.job_storage import RemoteCheckpoints
from headrace.checkpoints.stored import StoredCheckpoint, StoredState, read_checkpoint

_ATTEMPTS = 5


class LiveState:
    """A state of a job, read-only, as of the job's newest completed checkpoint.

    Each call reads the checkpoint that is the newest then; what one call returns belongs to one moment. A lookup reads
    the key's subtask, not the whole state.
    """

    def __init__(self, job: _core.Job, uid: str, name: str, remote: RemoteCheckpoints | None = None) -> None:
        if not job.checkpoint_directory():
            raise _core.FailedPreconditionError(
                "state is read from checkpoints, and the job takes none: set 'execution.checkpointing.dir' and an interval"
            )
        self._job = job
        self._remote = remote
        self._uid = uid
        self._name = name

    def checkpoint(self) -> StoredCheckpoint:
        """The newest completed checkpoint.

        Raises:
            FailedPreconditionError: there is none yet.
        """
        newest = self._newest()
        if newest:
            return self._read(f"chk-{newest}.manifest")
        if self._job.state() == "FINISHED":  # it had finished before
            return self._read()
        raise _core.FailedPreconditionError("no checkpoint of the job is complete yet: try again")

    def __getitem__(self, key: Any) -> Any:
        """The value of a key, as the program has it.

        Returns:
            The value; of a map state a dict, of a list state a list, of built-in aggregates a dict by their names. Where
            the state belongs to windows: a dict of these by `(window_start, window_end)` in ms.

        Raises:
            KeyError: the key has none.
        """
        form, found = self._retried(lambda checkpoint: self._look_up(checkpoint, key))
        if form == "aggregates":
            rows = pa.record_batch(found).to_pylist()
            values = {
                tuple(row["namespace"].values()) if row["namespace"] else None: {
                    name: value for name, value in row.items() if name not in ("key", "namespace")
                }
                for row in rows
            }
        else:
            values = {
                window: _value(form, list(rows)) for window, rows in itertools.groupby(found, key=lambda row: row[0])
            }
        if not values:
            raise KeyError(key)
        return values[None] if list(values) == [None] else values

    def get(self, key: Any, default: Any = None) -> Any:
        """As `state[key]`, or `default` when the key has no value."""
        try:
            return self[key]
        except KeyError:
            return default

    def __contains__(self, key: Any) -> bool:
        return self.get(key, self) is not self

    def to_arrow(self) -> pa.Table:
        """All rows, with the columns that `StoredState` describes."""
        return self._retried(lambda checkpoint: self._stored(checkpoint).to_arrow())

    def to_polars(self) -> Any:
        """All rows as a Polars DataFrame."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"LiveState({self._uid!r}, {self._name!r})"

    def _read(self, name: str = "") -> StoredCheckpoint:
        if self._remote is not None:
            return read_checkpoint(self._remote.uri(name), configuration=self._remote.configuration)
        return read_checkpoint(f"{self._job.checkpoint_directory()}/{name}")

    def _stored(self, checkpoint: StoredCheckpoint) -> StoredState:
        return checkpoint[self._uid][self._name]

    def _look_up(self, checkpoint: StoredCheckpoint, key: Any) -> tuple[str, Any]:
        operator = checkpoint[self._uid]
        if not operator[self._name].has_keys:
            raise _core.InvalidArgumentError(f"state {self._name!r} has no keys: read it as a whole, with to_arrow()")
        return checkpoint._source.reader().look_up(operator.uid, operator[self._name].name, key)

    def _retried(self, read: Any) -> Any:
        # The running job deletes a checkpoint when two newer ones are complete.
        for attempt in range(_ATTEMPTS):
            newest = self._newest()
            try:
                return read(self.checkpoint())
            except (_core.CorruptionError, _core.InvalidArgumentError):
                if attempt + 1 == _ATTEMPTS or self._newest() == newest:
                    raise
        raise AssertionError("unreachable")

    def _newest(self) -> int:
        return max((one["id"] for one in self._job.checkpoints() if one["completed"]), default=0)


def _value(form: str, rows: list[tuple[Any, bytes, Any]]) -> Any:
    if form == "map":
        return {_core.decode_value(name): _core.decode_value(value) for _, name, value in rows}
    if form == "list":
        return _core.decode_values(b"".join(segment for _, _, segment in rows))
    [(_, _, value)] = rows
    return _core.decode_value(value) if isinstance(value, bytes) else value
