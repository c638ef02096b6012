#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
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

/// Everything one keyed operator subtask remembers, in memory: key dictionary, states, slices, timers; their
/// snapshot at a barrier and their restore.
///
/// Life: construct → Restore (optional) → states are registered at open (before or after Restore: restored
/// tables wait by name; a registration with another fingerprint fails with both shown) → use → Snapshot at
/// barriers. Registering one name twice with the same fingerprint returns the same state; with another one it
/// is kInvalidArgument naming both.
/// Threading: owned by one task thread.
class KeyedState {
 public:
  KeyedState(KeyGroupRange range, int max_parallelism, int64_t memory_budget_bytes);
  ~KeyedState();

  KeyDictionary& keys();
  TimerService& timers();
  /// `value_bytes` is 1, 4, 8 or 16.
  Result<FixedValueState*> RegisterFixed(std::string_view name, std::string_view fingerprint,
                                         int value_bytes);
  Result<RowState*> RegisterRows(std::string_view name, std::string_view fingerprint);
  Result<SliceStore*> RegisterSlices(std::string_view name, std::string_view fingerprint,
                                     int accumulator_bytes);

  /// Freezes the state: O(tables). REQUIRES: the previous snapshot was finished or destroyed.
  KeyedStateSnapshot Snapshot();
  /// Called when a checkpoint whose snapshot was taken here is complete: released ids may be used again.
  void OnCheckpointComplete();
  /// Loads stored tables, keeping only keys in this subtask's range. REQUIRES: empty.
  Status Restore(StoredKeyedState stored);

  std::vector<StateRegistration> Registry() const;
  int64_t memory_bytes() const;
  /// kResourceExhausted naming the state and the budget key when over `memory_budget_bytes`; cheap, called
  /// once a batch.
  Status CheckBudget() const;
  const KeyGroupRange& range() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headrace
