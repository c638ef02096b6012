"""Reading the state in a checkpoint: `headrace.read_checkpoint`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace import _core
from headrace.checkpoint_storage.location import is_remote
from headrace.checkpoints.fetching import FetchedCheckpoints
from headrace.checkpoints.location import find_checkpoint
from headrace.common.configuration import Configuration

_TYPE = b"headrace.type"


def read_checkpoint(
    path: str | Path, *, allow_pickle: bool = False, configuration: Configuration | None = None
) -> StoredCheckpoint:
    """Opens a checkpoint, final checkpoint or savepoint for reading. No job runs, nothing is locked or changed.

    >>> checkpoint = headrace.read_checkpoint("/checkpoints/payments")      # doctest: +SKIP
    >>> balances = checkpoint["accounts"]["balance"]                        # doctest: +SKIP
    >>> duckdb.sql("SELECT key, value FROM balances WHERE value < 0")       # doctest: +SKIP

    Args:
        path: Of a manifest (`chk-7.manifest` or `chk-7`), a savepoint, or a job's directory, whose newest is opened;
            local, or a URI that `execution.checkpointing.dir` takes (`s3://`, `hdfs://`, …). Of a remote checkpoint only
            the manifest is read at first; all its files are brought to a temporary directory when state is asked for,
            and go with the object.
        allow_pickle: Whether to load values that a program stored as PICKLED_BYTE_ARRAY, which runs whatever code
            they name. Without it they are shown as their bytes, and nothing that a file says is ever executed.
        configuration: Options with address and credentials of a remote storage; those of the environment count too.

    Raises:
        InvalidArgumentError: there is no checkpoint at `path`.
        CorruptionError: it is damaged; the message names file and offset.
        StorageError: the storage does not answer, or there is no room for temporary files.
    """
    return StoredCheckpoint(_Source(path, configuration), allow_pickle)


class _Source:
    """What the engine reads, once it is here.

    Attributes:
        described: The engine's reader, good for what the manifest says.
        directory: What names of files are relative to; of a remote checkpoint a URI.
    """

    def __init__(self, path: str | Path, configuration: Configuration | None) -> None:
        self._fetched = FetchedCheckpoints(str(path), configuration) if is_remote(str(path)) else None
        with self.terms():
            self.described = _core.CheckpointReader(find_checkpoint(self._fetched.path if self._fetched else path))
        self.directory = self._fetched.uri if self._fetched else self.described.directory

    def reader(self) -> _core.CheckpointReader:
        """The engine's reader, with all data files there."""
        if self._fetched:
            self._fetched.fetch([file["name"] for file in self.described.manifest()["files"]])
        return self.described

    def terms(self) -> AbstractContextManager[None]:
        """Errors name files as the user does."""
        return self._fetched.in_remote_terms() if self._fetched else nullcontext()


class StoredState:
    """One state of an operator, as an Arrow stream: give it to DuckDB, Polars, pandas or pyarrow.

    A row of the stream is a value: columns `key`, `namespace` (null, or a struct of `window_start` and `window_end` in
    ms since 1970) and `value`; of a map state also `map_key`, a row an entry; of a list state also `index`, a row an
    element. Built-in aggregates have a column each, named after the function. State without keys has the columns
    `subtask`, `index`, `value`, broadcast state `map_key` and `value`. Rows come in no particular order.

    Values are typed as Arrow types where they agree: Python values without a declared type too, tuples and rows as
    structs, lists and sets as lists, dicts as maps. Where they do not agree the column is text, as `repr()` shows them;
    `types` says what they were.

    Reading goes twice through the state, once for the types. It takes memory for one stored partition, a batch and a
    cache of keys (64 MiB at most), not for the state; for lists of more than 1 KiB also for a few bytes a KiB.

    State with a time to live has a last column `last_used` in ms; what is over and not cleaned up yet is still there.

    Attributes:
        name: As the program registered it.
        declared: Its declared type, for example `map<string, int64>`; `object` where none was declared.
        bytes: Of memory that it took in the job, over all subtasks.
        rows: How many rows it had.
        has_keys: False for lists and broadcast state of functions without keys.
        partitions: P, in how many pieces of at most 64 KiB (Z) it is stored, over all subtasks.
    """

    def __init__(
        self,
        name: str,
        registration: dict[str, Any],
        stored: Callable[[], _core.StoredState | _OperatorItems],
        source: _Source,
        partitions: int = 0,
    ) -> None:
        self.name = name
        self.declared: str = registration.get("fingerprint", "")
        self.bytes: int = registration.get("bytes", 0)
        self.rows: int = registration.get("rows", 0)
        self.has_keys: bool = registration.get("kind") != "operator"
        self.partitions = partitions
        self._open = stored
        self._source = source
        self._opened: _core.StoredState | _OperatorItems | None = None

    @property
    def kind(self) -> str:
        """What it is: value, map, list, aggregates, timers, keys, operator list or broadcast."""
        return self._stored().form

    @property
    def types(self) -> dict[str, str]:
        """Column → what its values were in the program: "int", "list of str", "int or str, as text"."""
        return self._stored().descriptions

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema; the metadata of a field says in `headrace.type` what `types` does."""
        schema = pa.schema(self._stored())
        for index, field in enumerate(schema):
            schema = schema.set(index, field.with_metadata({_TYPE: self.types[field.name].encode()}))
        return schema

    def to_batches(self) -> pa.RecordBatchReader:
        """The rows as a stream of record batches."""
        schema = self.schema
        return pa.RecordBatchReader.from_batches(schema, self._batches(schema))

    def to_arrow(self) -> pa.Table:
        """All rows as a table."""
        return self.to_batches().read_all()

    def to_polars(self) -> Any:
        """All rows as a Polars DataFrame."""
        import polars

        return polars.from_arrow(self.to_arrow())

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame."""
        return self.to_arrow().to_pandas()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_batches().__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __repr__(self) -> str:
        return f"StoredState({self.name!r}, {self.declared!r}, rows={self.rows}, bytes={self.bytes})"

    def _stored(self) -> _core.StoredState | _OperatorItems:
        if self._opened is None:
            with self._source.terms():
                self._opened = self._open()
        return self._opened

    def _batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        batches = iter(self._stored().batches())
        while True:
            with self._source.terms():
                batch = next(batches, None)
            if batch is None:
                return
            yield pa.record_batch(batch).cast(schema)


class _OperatorItems:
    """State without keys, in the form of `_core.StoredState`; read at once, as it is small."""

    def __init__(self, reader: _core.CheckpointReader, uid: str, name: str) -> None:
        self.form, descriptions, self._batch = reader.operator_items(uid, f"user/{name}")
        self.descriptions = dict(descriptions)

    def batches(self) -> Iterator[_core.ArrowBatch]:
        return iter([self._batch])

    def __arrow_c_schema__(self) -> object:
        return self._batch.__arrow_c_schema__()


class StoredOperator(Mapping[str, StoredState]):
    """One operator of a checkpoint: its states by name.

    Attributes:
        uid: As the program gave it, or as it was derived from the operator's place.
        name: What people call it.
        kind: What it does, for example `window`.
        parallelism: How many subtasks it had.
        max_parallelism: How many key groups its keys are dealt to.
        keyed: Whether it has keys.
        state_bytes: s_i of each subtask, in order; S is their sum over all operators.
    """

    def __init__(self, source: _Source, manifest: dict[str, Any], allow_pickle: bool) -> None:
        self.uid: str = manifest["operator_id"]
        self.name: str = manifest["name"]
        self.kind: str = manifest["kind"]
        self.parallelism: int = manifest["parallelism"]
        self.max_parallelism: int = manifest["max_parallelism"]
        self.keyed: bool = manifest["keyed"]
        self.state_bytes: list[int] = [subtask["state_bytes"] for subtask in manifest["subtasks"]]
        self._source = source
        self._splits: list[dict[str, Any]] = manifest["splits"]
        partitions: Counter[str] = Counter()
        for subtask in manifest["subtasks"]:
            for table in subtask["tables"]:
                partitions[table["state"]] += table["partitions"]
        registered = {one["name"]: one for one in manifest["registry"]}
        self._states = {
            name: self._state(name, one, allow_pickle, partitions[name])
            for name, one in registered.items()
            if one["kind"] not in ("dictionary", "timers")
        }
        self._counts = {one["kind"]: one for one in manifest["registry"] if one["kind"] in ("dictionary", "timers")}

    def states(self) -> dict[str, StoredState]:
        """The states by name: keyed ones, and the lists and broadcast state of functions."""
        return dict(self._states)

    def timers(self) -> StoredState:
        """The timers: columns `key`, `namespace`, `domain` ("event time", "processing time"), `time` in ms."""
        return self._counted("timers", "timers", lambda: self._source.reader().timers(self.uid))

    def key_dictionary(self) -> StoredState:
        """Key → key id (document 001): columns `key`, `id` (good within its subtask), `key_group`, `subtask`."""
        return self._counted("keys", "dictionary", lambda: self._source.reader().keys(self.uid))

    def operator_state(self) -> pa.Table:
        """All state that has no keys, the engine's own too: `subtask`, `name`, `redistribution`, `index`, `value`.

        `value` is the item as Python's `repr()` shows it, `encoded` its bytes.
        """
        rows = [
            (subtask, name, how, index, _core.describe_value(item), item)
            for subtask, name, how, items in self._source.described.operator_lists(self.uid)
            for index, item in enumerate(items)
        ]
        names = ["subtask", "name", "redistribution", "index", "value", "encoded"]
        types = [pa.int32(), pa.string(), pa.string(), pa.int64(), pa.string(), pa.binary()]
        columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(types)]
        return pa.table(columns, names=names)

    def source_offsets(self) -> list[dict[str, Any]]:
        """Where a source stood: a dict a split of `id`, `rows_read`, `finished` and `position` (bytes)."""
        return [dict(split) for split in self._splits]

    def __getitem__(self, name: str) -> StoredState:
        try:
            return self._states[name]
        except KeyError:
            raise KeyError(f"operator {self.uid!r} has no state {name!r}; it has {sorted(self._states)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __repr__(self) -> str:
        return f"StoredOperator({self.uid!r}, name={self.name!r}, states={sorted(self._states)})"

    def _state(self, name: str, registration: dict[str, Any], allow_pickle: bool, partitions: int) -> StoredState:
        if registration["kind"] == "operator":  # what the engine calls them
            items = self._source.described
            return StoredState(name, registration, lambda: _OperatorItems(items, self.uid, name), self._source)

        def stored() -> _core.StoredState:
            return self._source.reader().state(self.uid, name, allow_pickle)

        return StoredState(name, registration, stored, self._source, partitions)

    def _counted(self, name: str, kind: str, stored: Callable[[], _core.StoredState]) -> StoredState:
        return StoredState(name, self._counts.get(kind, {}), stored, self._source)


class StoredCheckpoint(Mapping[str, StoredOperator]):
    """What a checkpoint holds: operators by uid, and of those the states by name.

    Attributes:
        id: Its number.
        job: Name of the job.
        kind: "checkpoint", "final checkpoint" or "savepoint".
        created: When it was begun, in UTC.
        state_bytes: S, the sum of all subtasks' states.
        directory: What the names of its files are relative to; of a remote checkpoint a URI.
        files: Names of the files it consists of, beside its manifest.
        stored_bytes: Their size.
    """

    def __init__(self, source: _Source, allow_pickle: bool = False) -> None:
        manifest = source.described.manifest()
        self._source = source
        self.id: int = manifest["id"]
        self.job: str = manifest["job_key"]
        self.kind: str = manifest["kind"]
        self.created = datetime.fromtimestamp(manifest["created_ms"] / 1000, timezone.utc)
        self.full: bool = manifest["full"]
        self.state_bytes: int = manifest["state_bytes"]
        self.directory: str = source.directory
        self.files: list[str] = [file["name"] for file in manifest["files"]]
        self.stored_bytes: int = sum(file["size_bytes"] for file in manifest["files"])
        self._operators = {
            one["operator_id"]: StoredOperator(source, one, allow_pickle) for one in manifest["operators"]
        }

    def operators(self) -> dict[str, StoredOperator]:
        """The operators by uid, in the order of the program."""
        return dict(self._operators)

    def source_offsets(self) -> list[dict[str, Any]]:
        """Where each source stood: a dict a split of `operator`, `id`, `rows_read`, `finished`, `position` (bytes)."""
        return [
            {"operator": operator.uid, **split}
            for operator in self._operators.values()
            for split in operator.source_offsets()
        ]

    def pending_commits(self) -> list[dict[str, Any]]:
        """Files of sinks that this checkpoint commits: `temporary_path` becomes `final_path`; and `size_bytes`.

        They are there under one of the two names: which one says whether the commit is done.
        """
        return list({commit["final_path"]: commit for commit in self._source.described.pending_renames()}.values())

    def __getitem__(self, uid: str) -> StoredOperator:
        if uid in self._operators:
            return self._operators[uid]
        named = [operator for operator in self._operators.values() if operator.name == uid]
        if len(named) == 1:
            return named[0]
        raise KeyError(f"checkpoint {self.id} has no operator {uid!r}; it has {list(self._operators)}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._operators)

    def __len__(self) -> int:
        return len(self._operators)

    def __repr__(self) -> str:
        return f"StoredCheckpoint({self.id}, job={self.job!r}, kind={self.kind!r}, operators={list(self._operators)})"
