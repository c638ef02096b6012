#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "headrace/state/cold_tier.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/keyed_table_snapshot.h"

namespace headrace {

/// One named state of a KeyedState; exactly one of the three pointers is set.
struct NamedState {
  std::string fingerprint;
  TableKind kind = TableKind::kRows;
  int row_bytes = 0;  ///< of fixed values and slices
  bool restored = false;
  bool claimed = false;  ///< registered by an operator
  MemoryMeterPtr meter;
  std::optional<Compression> compression;
  std::unique_ptr<FixedValueState> fixed;
  std::unique_ptr<RowState> rows;
  std::unique_ptr<SliceStore> slices;
  ColdTable* cold = nullptr;  ///< with a row cache, unless it has slices
};

/// Private part of KeyedState, shared with its loader.
struct KeyedState::Impl {
  /// No aggregate comes near.
  static constexpr uint32_t kAccumulatorBytesMax = 1 << 20;

  Impl(KeyGroupRange range, int max_parallelism, int64_t memory_budget_bytes,
       std::unique_ptr<ColdStore> cold);

  /// The state of this name, made when new; kInvalidArgument when it exists as something else.
  Result<NamedState*> FindOrMake(std::string_view name, std::string_view fingerprint,
                                 TableKind kind, int row_bytes);

  int64_t MemoryBytes() const;
  /// Memory without the room that keys to come will fill: what evicting brings down.
  int64_t UsedBytes() const;
  bool NeedsRoom() const;

  // With a row cache (keyed_state_cold.cc).

  /// Snapshot of the states of a row cache and of the timers.
  void FreezeCache(KeyedStateSnapshot* snapshot);
  /// Sends rows to the store until there is room, or none can go.
  void MakeRoom();
  int64_t EvictKeys(int64_t keys_max, int64_t looks_max);
  bool EvictKey(KeyId id);
  std::unique_ptr<TableSnapshot> FreezeTable(TableMeta meta, PagedTable* table, ColdTable* cold,
                                             int64_t live_bytes,
                                             const std::shared_ptr<FrozenKeys>& keys);

  /// Turns the values of a state into its only slice, or back, where it was stored in the other
  /// form; `kind` is the form that is wanted (keyed_state_accumulators.cc).
  Status Convert(std::string_view name, std::string_view fingerprint, TableKind kind,
                 int row_bytes);

  const KeyGroupRange range;
  const int max_parallelism;
  const int64_t memory_budget_bytes;
  uint32_t partition_bytes = PagedTable::kPartitionBytes;
  KeyDictionary keys;
  std::map<std::string, NamedState, std::less<>> states;
  TimerService timers;
  std::unique_ptr<ColdTier> cold;  ///< null: all rows are in memory
  std::function<Status()> write_back;
  bool over_budget = false;     ///< although all rows left memory that can
  int64_t cache_bytes_max = 0;  ///< rows leave memory while all state takes more
  ColdTable* timer_log = nullptr;
  KeyId hand = 0;  ///< of the clock that chooses keys to evict
  uint64_t snapshot_number = 0;
  std::deque<uint64_t> outstanding;  ///< snapshots neither completed nor aborted
  /// A slice that is gone, and the first snapshot without it: reported until that one or a later
  /// one is complete, since what an abandoned snapshot said is lost.
  struct DroppedSlice {
    uint64_t snapshot_number;
    std::string state_name;
    TimestampMs start;
  };
  std::deque<DroppedSlice> dropped;
};

inline constexpr std::string_view kKeysTable = "keys";
inline constexpr std::string_view kTimersTable = "timers";
inline constexpr std::string_view kSlicesPrefix = "slices/";

/// Table name of a fixed or rows state: its own, unless that could be taken for one of ours.
std::string TableNameOf(std::string_view state_name);

}  // namespace headrace
