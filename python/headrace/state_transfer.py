"""State cut into partitions that are transferred by themselves, compressed, and only when they changed (document 004).

The engine does this for keyed state by itself; here are the document's names for programs that want to do it by hand:

* P = S / Z: `partition_count` says how many partitions a state of S bytes has when each takes about Z.
* A key belongs to the same partition in every process: its partition follows from a stable hash of its encoded bytes.
* C = S / T: `compress_data` and `SaveReport` count S (before), C (after) and T = S / C.
* T = D / F: `estimate_transfer_interval` gives the seconds after which D dirty bytes may be sent at F bytes a second.

Where the document would lose data it is corrected: `clear` drops the mark "changed" and not the data, `restore` merges what is
stored into what is there, and a partition that did not change costs nothing. Files are written by the engine's core: blocks with
checksums, values in headrace's typed encoding, no pickle. A saved partition is a checkpoint that `headrace.read_checkpoint` opens.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from headrace import _core

DEFAULT_PARTITION_SIZE = 64 * 1024
_GROUPS = 32768  # of the stable hash; partitions are dealt from these


def partition_count(state_bytes: int, partition_size: int = DEFAULT_PARTITION_SIZE) -> int:
    """P = S / Z, rounded up, at least 1. Both in bytes."""
    if partition_size < 1:
        raise ValueError(f"partition_size: must be at least 1 byte, got {partition_size}")
    return max(1, -(-state_bytes // partition_size))


def partition_of(key: Any, partitions: int) -> int:
    """Partition of a key, 0 to `partitions` - 1: the same in every process, unlike Python's own hash.

    Raises:
        ValueError: `partitions` is not 1 to 32768.
    """
    if not 1 <= partitions <= _GROUPS:
        raise ValueError(f"partitions: must be 1 to {_GROUPS}, got {partitions}")
    return _core.key_group(key, _GROUPS) % partitions


def compress_data(data: bytes, codec: str = "lz4") -> bytes:
    """Compresses bytes into one block of the engine: 48 bytes of header with codec, lengths and checksums, then the data.

    Args:
        data: Up to 1 GiB. Data that does not become smaller is stored as it is.
        codec: none, lz4, snappy or zstd, and maybe a level: "zstd:3".

    Raises:
        ValueError: an unknown codec.
    """
    return _core.write_block(codec, bytes(data))


def decompress_data(compressed_data: bytes) -> bytes:
    """Undoes `compress_data`.

    Raises:
        CorruptionError: not what `compress_data` gave; nothing is allocated on the word of damaged data.
    """
    return _core.read_block(bytes(compressed_data))


class PartitionStorage:
    """Where saved partitions lie: one or several directories, by path or URI.

    Partition p lies at URI p modulo their number, so the same list, in the same order, finds it again. Plain paths and
    `file://` are local directories; any other scheme goes through fsspec, if that and the scheme's package are installed.
    """

    def __init__(self, *uris: str | Path) -> None:
        if not uris:
            raise ValueError("PartitionStorage: give at least one path or URI")
        self.uris = [str(uri) for uri in uris]
        self._places = [_place_of(uri) for uri in self.uris]

    def place(self, partition_id: int) -> _Place:
        """Where that partition lies."""
        return self._places[partition_id % len(self._places)]


Storage: TypeAlias = "str | Path | Sequence[str | Path] | PartitionStorage"


def storage_of(storage: Storage) -> PartitionStorage:
    """A PartitionStorage of a path, a URI, or a list of them."""
    if isinstance(storage, PartitionStorage):
        return storage
    if isinstance(storage, (str, Path)):
        return PartitionStorage(storage)
    return PartitionStorage(*storage)


class _Place:
    """A local directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def save(self, name: str, version: int, entries: list[tuple[bytes, bytes]], codec: str) -> SaveReport:
        self.directory.mkdir(parents=True, exist_ok=True)
        data_name = f"{name}.{version}.{os.urandom(4).hex()}.hrs"
        saved = _core.save_state_partition(str(self.directory), name, data_name, version, entries, codec)
        for old in self.directory.glob(f"{name}.*.hrs"):
            if old.name != data_name:
                old.unlink(missing_ok=True)
        return SaveReport(saved["raw_bytes"], saved["stored_bytes"], saved["file_bytes"], len(saved["files"]))

    def load(self, name: str) -> tuple[list[tuple[bytes, bytes]], int] | None:
        path = self.directory / f"{name}.manifest"
        if not path.exists():
            return None
        entries, version, _ = _core.load_state_partition(str(path))
        return entries, version


class _RemotePlace(_Place):
    """A directory of an fsspec file system; the core writes and reads local copies."""

    def __init__(self, uri: str) -> None:
        try:
            import fsspec
        except ImportError:
            raise ValueError(f"storage {uri!r}: URIs other than file:// need the package fsspec") from None
        self._files, self._root = fsspec.core.url_to_fs(uri)

    def save(self, name: str, version: int, entries: list[tuple[bytes, bytes]], codec: str) -> SaveReport:
        with tempfile.TemporaryDirectory() as local:
            report = _Place(Path(local)).save(name, version, entries, codec)
            self._files.makedirs(self._root, exist_ok=True)
            # The manifest names the data file, so it comes last.
            written = sorted(Path(local).iterdir(), key=lambda path: path.suffix == ".manifest")
            for path in written:
                self._files.put_file(str(path), f"{self._root}/{path.name}")
            for old in self._files.glob(f"{self._root}/{name}.*.hrs"):
                if old.rsplit("/", 1)[-1] not in {path.name for path in written}:
                    self._files.rm_file(old)
        return report

    def load(self, name: str) -> tuple[list[tuple[bytes, bytes]], int] | None:
        if not self._files.exists(f"{self._root}/{name}.manifest"):
            return None
        with tempfile.TemporaryDirectory() as local:
            for remote in self._files.glob(f"{self._root}/{name}.*"):
                copy = Path(local) / remote.rsplit("/", 1)[-1]
                copy.write_bytes(self._files.cat_file(remote))
            return _Place(Path(local)).load(name)


def _place_of(uri: str) -> _Place:
    if uri.startswith("file://"):
        return _Place(Path(uri[len("file://") :]))
    return _RemotePlace(uri) if "://" in uri else _Place(Path(uri))


@dataclass
class SaveReport:
    """What saving took, counted.

    Attributes:
        raw_bytes: S, serialised and not compressed.
        stored_bytes: C, the same compressed.
        file_bytes: Size of the files, headers and manifest included.
        requests: Files written.
    """

    raw_bytes: int = 0
    stored_bytes: int = 0
    file_bytes: int = 0
    requests: int = 0

    @property
    def ratio(self) -> float | None:
        """T = S / C; None when nothing was stored."""
        return self.raw_bytes / self.stored_bytes if self.stored_bytes else None

    def add(self, other: SaveReport) -> None:
        """Adds another one's numbers."""
        self.raw_bytes += other.raw_bytes
        self.stored_bytes += other.stored_bytes
        self.file_bytes += other.file_bytes
        self.requests += other.requests


class StatePartition:
    """Keys and values that are saved and restored together.

    Keys and values are what keyed state may hold. A value is kept as it is when it is added: changing the object later
    does not change the partition. Not thread-safe.

    Args:
        partition_id: Number of the partition, from 0.
        partition_size: Z, the bytes it should take; see `full`.
        codec: How it is compressed: none, lz4, snappy or zstd, and maybe a level.
        name: Files are called `<name>-<partition_id>`.
        clock: Seconds; for tests.
    """

    def __init__(
        self,
        partition_id: int,
        partition_size: int = DEFAULT_PARTITION_SIZE,
        *,
        codec: str = "lz4",
        name: str = "partition",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _core.check_compression(codec)
        self.partition_id = partition_id
        self.partition_size = partition_size
        self.codec = codec
        self._name = f"{name}-{partition_id}"
        self._entries: dict[bytes, bytes] = {}
        self._changed: dict[bytes, int] = {}  # key -> bytes; of removed keys too
        self._bytes = 0
        self._version = 0
        self._clock = clock
        self.last_transfer: float | None = None
        self.change_rate = ChangeRate(clock=clock)

    @property
    def data(self) -> list[tuple[Any, Any]]:
        """All (key, value) pairs, in the order in which the keys came."""
        return [(_core.decode_value(key), _core.decode_value(value)) for key, value in self._entries.items()]

    def add(self, key: Any, value: Any) -> None:
        """Sets the value of a key. Adding the value that is there already changes nothing."""
        self._put(_core.encode_key(key), _core.encode_value(value))

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of a key."""
        value = self._entries.get(_core.encode_key(key))
        return default if value is None else _core.decode_value(value)

    def remove(self, key: Any) -> None:
        """Removes a key, if it is there."""
        encoded = _core.encode_key(key)
        value = self._entries.pop(encoded, None)
        if value is not None:
            self._bytes -= len(encoded) + len(value)
            self._mark(encoded, len(encoded))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.data)

    @property
    def size_bytes(self) -> int:
        """Bytes of all keys and values, encoded."""
        return self._bytes

    @property
    def full(self) -> bool:
        """True when it takes `partition_size` bytes or more."""
        return self._bytes >= self.partition_size

    @property
    def dirty(self) -> bool:
        """True when something changed since the last `save` or `clear`."""
        return bool(self._changed)

    @property
    def dirty_bytes(self) -> int:
        """D of this partition: bytes of the keys and values that changed."""
        return sum(self._changed.values())

    def needs_transfer(self, transfer_interval: float) -> bool:
        """True when it changed and was last transferred at least so many seconds ago, or never."""
        waited = None if self.last_transfer is None else self._clock() - self.last_transfer
        return self.dirty and (waited is None or waited >= transfer_interval)

    def clear(self) -> None:
        """Drops the mark "changed": what is there counts as transferred. The data stays."""
        self._changed.clear()

    def save(self, checkpoint_storage: Storage) -> SaveReport:
        """Writes the whole partition; the older version stays whole until this one is.

        The caller calls `clear` when the partition need not be transferred again, as `transfer_state` does.

        Returns:
            What it took.
        """
        entries = list(self._entries.items())
        place = storage_of(checkpoint_storage).place(self.partition_id)
        self._version += 1
        return place.save(self._name, self._version, entries, self.codec)

    def restore(self, checkpoint_storage: Storage) -> int:
        """Merges what is stored into what is there: keys that changed here since the last transfer keep their values.

        Returns:
            How many keys were stored; 0 when the partition was never saved.

        Raises:
            CorruptionError: a stored file is damaged; names file and offset. Nothing is changed then.
        """
        stored = storage_of(checkpoint_storage).place(self.partition_id).load(self._name)
        if stored is None:
            return 0
        entries, version = stored
        self._version = max(self._version, version)
        for key, value in entries:
            if key not in self._changed:
                self._set(key, value)
        return len(entries)

    def _put(self, key: bytes, value: bytes) -> None:
        if self._entries.get(key) != value:
            self._set(key, value)
            self._mark(key, len(key) + len(value))

    def _set(self, key: bytes, value: bytes) -> None:
        before = self._entries.get(key)
        self._bytes += len(value) - len(before) if before is not None else len(key) + len(value)
        self._entries[key] = value

    def _mark(self, key: bytes, size: int) -> None:
        self._changed[key] = size
        self.change_rate.note(size)


State: TypeAlias = "Sequence[StatePartition] | Mapping[int, StatePartition]"


def make_partitions(
    partitions: int, partition_size: int = DEFAULT_PARTITION_SIZE, **options: Any
) -> dict[int, StatePartition]:
    """A state of that many empty partitions; `options` are those of StatePartition."""
    return {number: StatePartition(number, partition_size, **options) for number in range(partitions)}


def partition_logic(key: Any, value: Any, state: State | MutableMapping[int, StatePartition]) -> int:
    """Adds key and value to the partition the key belongs to.

    Returns:
        Number of the partition.
    """
    partition_id = partition_of(key, len(state))
    state[partition_id].add(key, value)
    return partition_id


def _all_of(state: State) -> Iterable[StatePartition]:
    return state.values() if isinstance(state, Mapping) else state


@dataclass
class ChangeRate:
    """How many bytes change a second.

    A sliding window looks at the last `changes` changes, a time window at those of the last `seconds`; a change is what one
    `note` tells of.

    Attributes:
        changes: Length of the sliding window; None: a time window.
        seconds: Length of the time window.
    """

    changes: int | None = 1000
    seconds: float = 60.0
    clock: Callable[[], float] = time.monotonic
    _noted: deque[tuple[float, int]] = field(default_factory=deque, repr=False)

    def note(self, size_bytes: int) -> None:
        """A change of so many bytes, now."""
        self._noted.append((self.clock(), size_bytes))
        self._forget()

    def bytes_per_second(self) -> float:
        """Bytes of the changes in the window over the time since the first of them; 0 without two moments."""
        self._forget()
        if not self._noted:
            return 0.0
        elapsed = self.clock() - self._noted[0][0]
        return sum(size for _, size in self._noted) / elapsed if elapsed > 0 else 0.0

    def _forget(self) -> None:
        if self.changes is not None:
            while len(self._noted) > self.changes:
                self._noted.popleft()
            return
        oldest = self.clock() - self.seconds
        while self._noted and self._noted[0][0] < oldest:
            self._noted.popleft()


def estimate_transfer_interval(
    state: State, bytes_per_second: float = 1 << 20, minimum: float = 0.0, maximum: float = 600.0
) -> float:
    """T = D / F: the seconds between two transfers that the budget sustains.

    Args:
        state: The partitions. D is the larger of the bytes that are dirty now and those that change in `minimum` seconds at
            the observed rate.
        bytes_per_second: F, what may be sent.
        minimum: No interval is shorter, in seconds.
        maximum: No interval is longer.

    Returns:
        Seconds. More change gives a longer interval, none gives `minimum`.
    """
    if bytes_per_second <= 0:
        raise ValueError(f"bytes_per_second: must be positive, got {bytes_per_second}")
    if not 0 <= minimum <= maximum:
        raise ValueError(f"minimum and maximum: must be 0 <= minimum <= maximum, got {minimum} and {maximum}")
    dirty = sum(partition.dirty_bytes for partition in _all_of(state))
    expected = minimum * sum(partition.change_rate.bytes_per_second() for partition in _all_of(state))
    return min(max(max(dirty, expected) / bytes_per_second, minimum), maximum)


def needs_transfer(partition: StatePartition, transfer_interval: float) -> bool:
    """True when the partition changed and was last transferred at least so many seconds ago, or never."""
    return partition.needs_transfer(transfer_interval)


@dataclass
class TransferReport:
    """What one `transfer_state` did.

    Attributes:
        interval: Seconds a partition has to wait between two transfers, as estimated before.
        transferred: Numbers of the partitions that were saved.
        sizes: Bytes and requests of all of them.
    """

    interval: float
    transferred: list[int] = field(default_factory=list)
    sizes: SaveReport = field(default_factory=SaveReport)


def transfer_state(
    state: State,
    checkpoint_storage: Storage,
    *,
    bytes_per_second: float = 1 << 20,
    minimum: float = 0.0,
    maximum: float = 600.0,
) -> TransferReport:
    """Saves the partitions that changed and have waited for the estimated interval; the others cost nothing.

    Args:
        state: The partitions.
        checkpoint_storage: A path or URI, or several over which the partitions are spread.
        bytes_per_second: As in `estimate_transfer_interval`, like `minimum` and `maximum`.
        minimum: Shortest interval in seconds.
        maximum: Longest interval in seconds.

    Returns:
        What was transferred. A partition that could not be saved stays dirty and raises.
    """
    storage = storage_of(checkpoint_storage)
    report = TransferReport(estimate_transfer_interval(state, bytes_per_second, minimum, maximum))
    for partition in _all_of(state):
        if not partition.needs_transfer(report.interval):
            continue
        report.sizes.add(partition.save(storage))
        partition.clear()
        partition.last_transfer = partition._clock()
        report.transferred.append(partition.partition_id)
    return report


def restore_state(state: State, checkpoint_storage: Storage) -> int:
    """Restores every partition; returns how many keys were stored."""
    storage = storage_of(checkpoint_storage)
    return sum(partition.restore(storage) for partition in _all_of(state))
