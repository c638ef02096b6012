"""Where keyed state lives while a job runs (PyFlink's `pyflink.datastream.state_backend`).

Backends differ in where rows of state are for which memory has no room, and in nothing that a program sees: results,
checkpoints and savepoints of one can be restored by any other.

What holds, first to last:

1. the object given to `env.set_state_backend(...)`, with the arguments that it was given;
2. the configuration: `state.backend.type` (`hashmap`, `disk` or `rocksdb`), then its old name `state.backend`;
   `state.memory-budget`; `state.backend.rocksdb.localdir` or `state.backend.disk.localdir`;
3. the defaults: `hashmap`, 60 % of the machine's memory, the system's directory for temporary files.

An argument that an object was not given comes from the configuration: `set_state_backend(DiskStateBackend())` with
`state.memory-budget: 1 gb` has 1 GiB. The directory for checkpoints is a setting of its own
(`execution.checkpointing.dir`); a backend that takes a checkpoint URI sets it, and whoever sets it last holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from headrace import _core
from headrace._core import FailedPreconditionError
from headrace.common import Configuration, TypeInformation
from headrace.common.memory_size import to_bytes
from headrace.datastream._scratch import ScratchDirectory

BACKEND_TYPE = "state.backend.type"
_OLD_BACKEND_TYPE = "state.backend"
MEMORY_BUDGET = "state.memory-budget"
_DEFAULT_BUDGET = 1 << 30  # of state that is used by hand


class StateBackend(ABC):
    """Base of all state backends.

    Given to `env.set_state_backend()` it says where a job keeps its state. The same state can also be used by hand, in
    five steps:

        backend = DiskStateBackend()
        backend.initialize()
        backend.create("count", Types.LONG())
        backend.update("count", "a key", 7)
        assert backend.query("count", "a key") == 7
        backend.dispose()

    `restore(path, uid)` in place of an empty start brings back the keyed state of one operator of a checkpoint.

    Args:
        memory_budget: Memory for keyed state, in bytes or as "512 mb"; None: as configured. Rows that leave a cache while
            an open checkpoint still reads them come on top until it is written, up to as much again.
    """

    def __init__(self, memory_budget: int | str | None = None) -> None:
        if memory_budget is not None:
            to_bytes(memory_budget, "memory_budget")
        self._memory_budget = memory_budget
        self._store: _core.StateStore | None = None
        self._scratch: ScratchDirectory | None = None

    @property
    @abstractmethod
    def type_name(self) -> str:
        """Its value of `state.backend.type`."""

    def get_memory_budget(self) -> int | str | None:
        """What it was given; None: as configured."""
        return self._memory_budget

    # ---- used by hand ---------------------------------------------------------------------------------------------

    def initialize(self, configuration: Configuration | None = None) -> None:
        """Makes room for state: opens the local store, if the backend has one.

        Args:
            configuration: Where budget and directory come from that the backend was not given.

        Raises:
            FailedPreconditionError: it is initialized already.
            ImportError: librocksdb is missing.
        """
        if self._store is not None:
            raise FailedPreconditionError("the state backend is initialized already; dispose() of it first")
        settings = configuration if configuration is not None else Configuration()
        if self.type_name != "hashmap":
            self._scratch = ScratchDirectory(local_directory(self, settings))
        directory = str(self._scratch.path) if self._scratch is not None else ""
        budget = memory_budget_bytes(self, settings) or _DEFAULT_BUDGET
        self._store = _core.StateStore(self.type_name, directory, budget)

    def create(self, name: str, type_info: TypeInformation | None = None) -> None:
        """Creates a state: one value for each key.

        Args:
            name: Of the state.
            type_info: Of its values; None: any plain value.

        Raises:
            InvalidArgumentError: there is a state of this name and another type.
        """
        self._opened().create(name, type_info)

    def query(self, name: str, key: Any) -> Any:
        """The value of a key, None when there is none."""
        return self._opened().query(name, key)

    def update(self, name: str, key: Any, value: Any) -> None:
        """Replaces the value of a key; None removes it."""
        self._opened().update(name, key, value)

    def restore(self, path: str | Path, uid: str) -> None:
        """Brings back the keyed state of one operator; its states are then created under the names they had.

        Args:
            path: A checkpoint: its manifest, or the directory of a job whose newest is meant.
            uid: Of the operator.

        Raises:
            CorruptionError: the checkpoint is damaged.
            InvalidArgumentError: it holds no such operator.
            FailedPreconditionError: a state was created before.
        """
        self._opened().restore(str(path), uid)

    def dispose(self) -> None:
        """Gives all state up and removes what is on the local disk."""
        if self._store is not None:
            self._store.close()
        if self._scratch is not None:
            self._scratch.close()
        self._store = self._scratch = None

    def _opened(self) -> _core.StateStore:
        if self._store is None:
            raise FailedPreconditionError("the state backend is not initialized: call initialize() first")
        return self._store

    def _checkpoint_uri(self) -> str | None:
        return None

    def _local_directory(self) -> str | None:
        return None


class HashMapStateBackend(StateBackend):
    """All state in memory.

    A job whose state outgrows `state.memory-budget` fails, naming the state.

    Args:
        memory_budget: Limit for each keyed subtask, in bytes or as "512 mb"; None: as configured.
    """

    @property
    def type_name(self) -> str:
        """`hashmap`."""
        return "hashmap"


class MemoryStateBackend(HashMapStateBackend):
    """Flink 1's name for state in memory."""


class FsStateBackend(HashMapStateBackend):
    """State in memory, checkpoints at a path.

    Args:
        checkpoint_directory_uri: Local directory, or a URI as `hdfs://host:port/path` or `s3://bucket/prefix`: see
            `headrace.checkpoint_storage`.
        memory_budget: As of HashMapStateBackend.
    """

    def __init__(self, checkpoint_directory_uri: str, memory_budget: int | str | None = None) -> None:
        super().__init__(memory_budget)
        self.checkpoint_directory_uri = checkpoint_directory_uri

    def _checkpoint_uri(self) -> str | None:
        return self.checkpoint_directory_uri


class _LocalStateBackend(StateBackend):
    """State in memory as far as the budget goes, the rest in files on the local disk.

    The files are scratch: a restart reads checkpoints, and what a crash left behind goes with the next job that keeps
    its state in the same place.
    """

    def __init__(self, directory: str | None, checkpoint_uri: str | None, memory_budget: int | str | None) -> None:
        super().__init__(memory_budget)
        self._directory = directory
        self._uri = checkpoint_uri

    def _checkpoint_uri(self) -> str | None:
        return self._uri

    def _local_directory(self) -> str | None:
        return self._directory


class DiskStateBackend(_LocalStateBackend):
    """Rows in use in memory, all others in page files on the local disk.

    Keys stay in memory (about 20 bytes each beside the key), so it is for values from about 1 KiB; for very many small
    ones there is EmbeddedRocksDBStateBackend.

    Args:
        path_or_uri: A plain path is the local directory for the page files. A URI (`file://`, `hdfs://`, …) is where
            checkpoints go. None: both as configured.
        memory_budget: Memory that all keyed subtasks of the job share, in bytes or as "512 mb"; None: as configured.
    """

    def __init__(self, path_or_uri: str | Path | None = None, memory_budget: int | str | None = None) -> None:
        text = None if path_or_uri is None else str(path_or_uri)
        is_uri = text is not None and "://" in text
        super().__init__(None if is_uri else text, text if is_uri else None, memory_budget)

    @property
    def type_name(self) -> str:
        """`disk`."""
        return "disk"


class EmbeddedRocksDBStateBackend(_LocalStateBackend):
    """Rows in use in memory, all others in RocksDB on the local disk.

    Args:
        enable_incremental_checkpointing: Checkpoints are always incremental, so False is refused.
        memory_budget: Memory that all keyed subtasks of the job share, RocksDB's caches and buffers included, in bytes
            or as "512 mb"; None: as configured.

    Raises:
        ValueError: full checkpoints were asked for.
    """

    def __init__(
        self, enable_incremental_checkpointing: bool | None = None, memory_budget: int | str | None = None
    ) -> None:
        super().__init__(None, None, memory_budget)
        if enable_incremental_checkpointing is False:
            raise ValueError("checkpoints are always incremental: leave out enable_incremental_checkpointing=False")

    @property
    def type_name(self) -> str:
        """`rocksdb`."""
        return "rocksdb"

    def is_incremental_checkpoints_enabled(self) -> bool:
        """True: a checkpoint holds what changed since the one before."""
        return True

    def set_db_storage_paths(self, *paths: str) -> None:
        """Chooses the local directory for the databases.

        Raises:
            ValueError: more than one: subtasks are not spread over disks.
        """
        if len(paths) > 1:
            raise ValueError(f"set_db_storage_paths: {len(paths)} directories; the databases of a job share one")
        self._directory = paths[0] if paths else None

    def get_db_storage_paths(self) -> list[str]:
        """What set_db_storage_paths was given."""
        return [] if self._directory is None else [self._directory]


class RocksDBStateBackend(EmbeddedRocksDBStateBackend):
    """Flink 1's RocksDB backend: with the place for checkpoints.

    Args:
        checkpoint_data_uri: Where checkpoints go, plain or as URI.
        enable_incremental_checkpointing: As of EmbeddedRocksDBStateBackend.
        memory_budget: As of EmbeddedRocksDBStateBackend.
    """

    def __init__(
        self,
        checkpoint_data_uri: str,
        enable_incremental_checkpointing: bool | None = None,
        memory_budget: int | str | None = None,
    ) -> None:
        super().__init__(enable_incremental_checkpointing, memory_budget)
        self._uri = checkpoint_data_uri


_TYPES: dict[str, type[StateBackend]] = {
    "hashmap": HashMapStateBackend,
    "jobmanager": HashMapStateBackend,
    "filesystem": HashMapStateBackend,
    "disk": DiskStateBackend,
    "rocksdb": EmbeddedRocksDBStateBackend,
}


def configured_backend(configuration: Configuration) -> StateBackend:
    """The backend that the configuration names, `hashmap` where it names none.

    Raises:
        ValueError: there is no backend of this name.
    """
    for key in (BACKEND_TYPE, _OLD_BACKEND_TYPE):
        name = configuration.get_string(key)
        if name is None:
            continue
        made = _TYPES.get(name.lower())
        if made is None:
            raise ValueError(f"{key}: {name!r} is unknown; use hashmap, disk or rocksdb")
        return made()
    return HashMapStateBackend()


def memory_budget_bytes(backend: StateBackend, configuration: Configuration) -> int:
    """The memory for keyed state in bytes; 0: the default.

    Raises:
        ValueError: what was configured is not a size.
    """
    budget = backend.get_memory_budget()
    if budget is not None:
        return to_bytes(budget, "memory_budget")
    return to_bytes(configuration.get_string(MEMORY_BUDGET) or 0, MEMORY_BUDGET)


def local_directory(backend: StateBackend, configuration: Configuration) -> str | None:
    """Where files of state go that memory has no room for; None: the system's directory for temporary files."""
    key = f"state.backend.{backend.type_name}.localdir"
    return backend._local_directory() or configuration.get_string(key)
