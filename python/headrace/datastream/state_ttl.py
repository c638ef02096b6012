"""Time to live of keyed state (PyFlink's `StateTtlConfig`)."""

from __future__ import annotations

from enum import Enum

from headrace.common.time import DurationLike, Time, to_milliseconds

DEFAULT_SWEEP = 5
THIRTY_DAYS_MS = 30 * 24 * 3600 * 1000


class StateTtlConfig:
    """How long entries of a state live after their last use, in processing time; made by `new_builder(ttl)`.

    What is over is removed where it is read, and by a clean-up that goes over all rows little by little, so that memory
    is bounded by the entries that live. Lists and maps lose single elements. With a time to live a state is stored in
    another form: switching it on or off under one name is refused at restore, with both types shown.
    """

    class UpdateType(Enum):
        """What counts as a use."""

        Disabled = 0
        OnCreateAndWrite = 1
        OnReadAndWrite = 2

    class StateVisibility(Enum):
        """Whether an entry that is over may be shown where it is found."""

        ReturnExpiredIfNotCleanedUp = 0
        NeverReturnExpired = 1

    class TtlTimeCharacteristic(Enum):
        """The clock; as in Flink there is only one."""

        ProcessingTime = 0

    class CleanupStrategies:
        """What looks for entries that are over, besides reading them."""

        class Strategies(Enum):
            """Names of the strategies."""

            FULL_STATE_SCAN_SNAPSHOT = 0
            INCREMENTAL_CLEANUP = 1
            ROCKSDB_COMPACTION_FILTER = 2

        class IncrementalCleanupStrategy:
            """A few rows are looked at for each access."""

            def __init__(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> None:
                if cleanup_size < 1:
                    raise ValueError(f"cleanup_size: must be at least 1, got {cleanup_size}")
                self._size = cleanup_size
                self._every_record = bool(run_cleanup_for_every_record)

            def get_cleanup_size(self) -> int:
                """Rows looked at for each access."""
                return self._size

            def run_cleanup_for_every_record(self) -> bool:
                """True when each record counts as an access, whether it uses the state or not."""
                return self._every_record

        class RocksdbCompactFilterCleanupStrategy:
            """Accepted for PyFlink programs: see `Builder.cleanup_in_rocksdb_compact_filter`."""

            def __init__(self, query_time_after_num_entries: int, periodic_compaction_time: Time) -> None:
                self._query_time_after_num_entries = query_time_after_num_entries
                self._periodic_compaction_time = periodic_compaction_time

            def get_query_time_after_num_entries(self) -> int:
                """As it was set."""
                return self._query_time_after_num_entries

            def get_periodic_compaction_time(self) -> Time:
                """As it was set."""
                return self._periodic_compaction_time

        def __init__(
            self,
            full_snapshot: bool,
            incremental: IncrementalCleanupStrategy | None,
            rocksdb: RocksdbCompactFilterCleanupStrategy | None,
            in_background: bool,
        ) -> None:
            self._full_snapshot = full_snapshot
            self._incremental = incremental
            self._rocksdb = rocksdb
            self._in_background = in_background

        def is_cleanup_in_background(self) -> bool:
            """True unless `disable_cleanup_in_background` was called."""
            return self._in_background

        def in_full_snapshot(self) -> bool:
            """True after `cleanup_full_snapshot`."""
            return self._full_snapshot

        def in_rocksdb_compact_filter(self) -> bool:
            """True after `cleanup_in_rocksdb_compact_filter`, or with clean-up in the background."""
            return self._in_background or self._rocksdb is not None

        def get_incremental_cleanup_strategy(self) -> IncrementalCleanupStrategy | None:
            """The incremental clean-up; that of the background when none was set; None when it is off."""
            if self._incremental is None and (self._in_background or self._rocksdb is not None):
                return self.IncrementalCleanupStrategy(DEFAULT_SWEEP, False)
            return self._incremental

        def get_rocksdb_compact_filter_cleanup_strategy(self) -> RocksdbCompactFilterCleanupStrategy | None:
            """What `cleanup_in_rocksdb_compact_filter` was given, Flink's default with clean-up in the background."""
            if self._rocksdb is None and self._in_background:
                return self.RocksdbCompactFilterCleanupStrategy(1000, Time(THIRTY_DAYS_MS))
            return self._rocksdb

    class Builder:
        """Makes a StateTtlConfig; every method but `build` returns the builder."""

        def __init__(self, ttl: DurationLike) -> None:
            self.set_ttl(ttl)
            self._update_type = StateTtlConfig.UpdateType.OnCreateAndWrite
            self._visibility = StateTtlConfig.StateVisibility.NeverReturnExpired
            self._characteristic = StateTtlConfig.TtlTimeCharacteristic.ProcessingTime
            self._full_snapshot = False
            self._incremental: StateTtlConfig.CleanupStrategies.IncrementalCleanupStrategy | None = None
            self._rocksdb: StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy | None = None
            self._in_background = True

        def set_ttl(self, ttl: DurationLike) -> StateTtlConfig.Builder:
            """Sets how long entries live.

            Raises:
                ValueError: not positive.
            """
            milliseconds = to_milliseconds(ttl, "ttl")
            if milliseconds <= 0:
                raise ValueError(f"ttl: must be positive, got {ttl!r}")
            self._ttl = Time(milliseconds)
            return self

        def set_update_type(self, update_type: StateTtlConfig.UpdateType) -> StateTtlConfig.Builder:
            """Sets what counts as a use. `Disabled`: the state lives for ever."""
            self._update_type = StateTtlConfig.UpdateType(update_type)
            return self

        def update_ttl_on_create_and_write(self) -> StateTtlConfig.Builder:
            """Writing counts as a use, reading does not: the default."""
            return self.set_update_type(StateTtlConfig.UpdateType.OnCreateAndWrite)

        def update_ttl_on_read_and_write(self) -> StateTtlConfig.Builder:
            """Reading counts as a use too."""
            return self.set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)

        def set_state_visibility(self, state_visibility: StateTtlConfig.StateVisibility) -> StateTtlConfig.Builder:
            """Sets whether an entry that is over may be shown."""
            self._visibility = StateTtlConfig.StateVisibility(state_visibility)
            return self

        def return_expired_if_not_cleaned_up(self) -> StateTtlConfig.Builder:
            """An entry that is over is shown once more by the read that finds it, and is gone then."""
            return self.set_state_visibility(StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp)

        def never_return_expired(self) -> StateTtlConfig.Builder:
            """An entry that is over is never shown: the default."""
            return self.set_state_visibility(StateTtlConfig.StateVisibility.NeverReturnExpired)

        def set_ttl_time_characteristic(
            self, ttl_time_characteristic: StateTtlConfig.TtlTimeCharacteristic
        ) -> StateTtlConfig.Builder:
            """Sets the clock: processing time is the only one."""
            self._characteristic = StateTtlConfig.TtlTimeCharacteristic(ttl_time_characteristic)
            return self

        def use_processing_time(self) -> StateTtlConfig.Builder:
            """Ages are taken by the wall clock: the default."""
            return self.set_ttl_time_characteristic(StateTtlConfig.TtlTimeCharacteristic.ProcessingTime)

        def cleanup_full_snapshot(self) -> StateTtlConfig.Builder:
            """Leaves out what is over where a snapshot writes a partition whole.

            Partitions are written whole in full checkpoints and when they are rebased. The state itself keeps such entries
            until they are found. Lists are not looked through.
            """
            self._full_snapshot = True
            return self

        def cleanup_incrementally(
            self, cleanup_size: int, run_cleanup_for_every_record: bool
        ) -> StateTtlConfig.Builder:
            """Sets how many rows are looked at for each access, and whether each record counts as one.

            Of the disk and RocksDB backends one in five is a row that is not in memory, once there are any.
            """
            self._incremental = StateTtlConfig.CleanupStrategies.IncrementalCleanupStrategy(
                cleanup_size, run_cleanup_for_every_record
            )
            return self

        def cleanup_in_rocksdb_compact_filter(
            self, query_time_after_num_entries: int, periodic_compaction_time: Time | None = None
        ) -> StateTtlConfig.Builder:
            """Makes sure that clean-up is on.

            Flink removes entries that are over while RocksDB compacts its files. headrace has one clean-up for all
            backends, the incremental one, which this turns on with its default size unless `cleanup_incrementally` sets
            another. Both arguments are kept for the getters and change nothing.
            """
            self._rocksdb = StateTtlConfig.CleanupStrategies.RocksdbCompactFilterCleanupStrategy(
                query_time_after_num_entries, periodic_compaction_time or Time(THIRTY_DAYS_MS)
            )
            return self

        def disable_cleanup_in_background(self) -> StateTtlConfig.Builder:
            """Only reading finds what is over, and what was asked for by the other methods."""
            self._in_background = False
            return self

        def build(self) -> StateTtlConfig:
            """The configuration, for `StateDescriptor.enable_time_to_live`."""
            strategies = StateTtlConfig.CleanupStrategies(
                self._full_snapshot, self._incremental, self._rocksdb, self._in_background
            )
            return StateTtlConfig(self._update_type, self._visibility, self._characteristic, self._ttl, strategies)

    def __init__(
        self,
        update_type: UpdateType,
        state_visibility: StateVisibility,
        ttl_time_characteristic: TtlTimeCharacteristic,
        ttl: Time,
        cleanup_strategies: CleanupStrategies,
    ) -> None:
        self._update_type = update_type
        self._visibility = state_visibility
        self._characteristic = ttl_time_characteristic
        self._ttl = ttl
        self._strategies = cleanup_strategies

    @staticmethod
    def new_builder(ttl: DurationLike) -> StateTtlConfig.Builder:
        """A builder for entries that live `ttl` after their last use."""
        return StateTtlConfig.Builder(ttl)

    def get_update_type(self) -> UpdateType:
        """What counts as a use."""
        return self._update_type

    def get_state_visibility(self) -> StateVisibility:
        """Whether an entry that is over may be shown."""
        return self._visibility

    def get_ttl(self) -> Time:
        """How long entries live."""
        return self._ttl

    def get_ttl_time_characteristic(self) -> TtlTimeCharacteristic:
        """The clock."""
        return self._characteristic

    def is_enabled(self) -> bool:
        """False when the update type is `Disabled`: the state lives for ever."""
        return self._update_type != StateTtlConfig.UpdateType.Disabled

    def get_cleanup_strategies(self) -> CleanupStrategies:
        """What looks for entries that are over."""
        return self._strategies

    def _describe(self) -> tuple[int, bool, bool, int, bool, bool]:
        incremental = self._strategies.get_incremental_cleanup_strategy()
        return (
            self._ttl.to_milliseconds() if self.is_enabled() else 0,
            self._update_type == StateTtlConfig.UpdateType.OnReadAndWrite,
            self._visibility == StateTtlConfig.StateVisibility.ReturnExpiredIfNotCleanedUp,
            incremental.get_cleanup_size() if incremental else 0,
            incremental.run_cleanup_for_every_record() if incremental else False,
            self._strategies.in_full_snapshot(),
        )
