#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/cold_store.h"
#include "headrace/state/fixed_value_state.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/state/key_group.h"
#include "headrace/state/row_state.h"
#include "headrace/state/slice_store.h"
#include "headrace/state/table_snapshot.h"
#include "headrace/state/timer_service.h"

namespace headrace {

/// One line of the state registry (document 000): what a task registered and how large it is now.
struct StateRegistration {
  std::string name;
  std::string fingerprint;  ///< e.g. "value<int64>", "map<str, object>"
  TableKind kind = TableKind::kRows;
  int64_t bytes = 0;
  int64_t rows = 0;
};

/// Everything one keyed operator subtask remembers: key dictionary, states, slices, timers; their
/// snapshot at a barrier and their restore. In memory, or with a ColdStore a *row cache*: memory
/// holds the rows in use, the store those that had no room, and ids of keys are good only for as
/// long as their keys are cached. Slices and timers always stay in memory.
///
/// Life: construct → Restore (optional) → states are registered at open (before or after Restore:
/// restored tables wait by name and are part of every snapshot; a registration with another
/// fingerprint fails with both shown) → use → Snapshot at barriers. Registering one name twice with
/// the same fingerprint returns the same state; with another one it is kInvalidArgument naming
/// both.
///
/// Keys that no state uses are released in Snapshot() and Maintain(), nowhere else, so an id is
/// good for as long as an operator works on one element. Whoever keeps ids without a state of this
/// object that uses them counts the use itself (KeyDictionary::AddUse).
/// Threading: owned by one task thread.
class KeyedState {
 public:
  /// `cold`: where rows go for which memory has no room; null: nowhere, the budget is then a limit.
  KeyedState(KeyGroupRange range, int max_parallelism, int64_t memory_budget_bytes,
             std::unique_ptr<ColdStore> cold = nullptr);
  ~KeyedState();

  KeyDictionary& keys();
  TimerService& timers();
  /// `value_bytes` is 1, 2, 4, 8 or 16.
  Result<FixedValueState*> RegisterFixed(std::string_view name, std::string_view fingerprint,
                                         int value_bytes);
  Result<RowState*> RegisterRows(std::string_view name, std::string_view fingerprint);
  /// Values as wide as an aggregate's accumulators, for aggregates that run on without windows.
  /// What a state without a ColdStore has under the name, as its only slice, is taken over, and the
  /// other way round by RegisterSlices. REQUIRES: caches_rows(), nobody holds ids of keys.
  Result<FixedValueState*> RegisterAccumulators(std::string_view name, std::string_view fingerprint,
                                                int accumulator_bytes);
  /// Of the budget, for caches, buffers and indexes of the ColdStore: 1/3. What it takes beyond
  /// that for a while, as when it cannot write as fast as rows come, is not held against the state.
  static constexpr int64_t kColdStoreShare = 3;
  /// Start of the slice that stands for values without a window.
  static constexpr TimestampMs kOnlySlice = 0;
  Result<SliceStore*> RegisterSlices(std::string_view name, std::string_view fingerprint,
                                     int accumulator_bytes);

  /// What a partition of each table should take when encoded (Z): see PagedTable::FitPartitions().
  /// REQUIRES: nothing is registered or restored yet.
  void SetPartitionBytes(uint32_t bytes);
  /// How the state of this name is to be compressed, unless the job's configuration says otherwise.
  /// REQUIRES: it is registered.
  void SetCompression(std::string_view name, Compression compression);

  /// Freezes the state: O(tables). REQUIRES: the previous snapshot was finished or destroyed, and
  /// no operator holds ids of keys.
  KeyedStateSnapshot Snapshot();
  /// The checkpoint that holds the snapshot of this number is complete: ids whose tombstones are in
  /// it or an earlier one may be used again.
  void OnCheckpointComplete(uint64_t snapshot_number);
  /// The same for the oldest snapshot that was neither completed nor aborted.
  void OnCheckpointComplete();
  /// The checkpoint failed after its snapshot was finished, so nothing can build on it: the next is
  /// full.
  void OnCheckpointAborted(uint64_t snapshot_number);
  /// Makes the next snapshot of every table full: when the stored base is not to be built upon.
  void RequireFullSnapshot();
  /// Releases unused keys where they pile up between barriers: at most 8,192 a call, < 1 ms. Call
  /// it now and then (once a batch) where no operator holds ids of keys: between elements, with no
  /// cursor open.
  /// With a ColdStore it also makes room: rows leave memory until the budget is kept.
  void Maintain();
  /// Called by Maintain() before rows leave memory: whoever caches values over them writes those
  /// back. Its failure becomes cold_status().
  void SetWriteBack(std::function<Status()> write_back);
  /// Rows stay in memory between elements up to this size of all state, and not up to most of the
  /// budget; with 0 every row leaves that can. Without a ColdStore it has no effect.
  void LimitCache(int64_t bytes);
  /// True with a ColdStore: whatever is kept by the id of a key is good until its release only
  /// (KeyDictionary::SetReleaseListener).
  bool caches_rows() const;
  /// First failure of the ColdStore. Until it was asked after a call of the operator, nothing that
  /// the operator gave may be passed on: rows that could not be read look as if they were not
  /// there.
  const Status& cold_status() const;
  /// Loads stored tables, keeping only keys in this subtask's range. REQUIRES: empty. After a
  /// failure the object is of no use.
  Status Restore(StoredKeyedState stored);

  /// The registered states, those restored and not registered yet, and, when there are any, "keys"
  /// and "timers".
  std::vector<StateRegistration> Registry() const;
  int64_t memory_bytes() const;
  /// Numbers of the ColdStore, "disk_bytes" and "rows_written" (rows that left memory). Empty
  /// without a store.
  std::map<std::string, int64_t> ColdStatistics() const;
  /// The failure of the ColdStore, if any. kResourceExhausted naming the state and the budget key
  /// when over `memory_budget_bytes`; cheap, called once a batch. Rows of a cache that left memory
  /// but for an open snapshot do not count: they are at most a budget more, until it is written.
  Status CheckBudget() const;
  const KeyGroupRange& range() const;

 private:
  friend class ColdRestore;
  friend class KeyedStateLoader;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
