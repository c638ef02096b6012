#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "headrace/checkpoint/state_reader.h"

namespace headrace {

/// What became of a key between two checkpoints.
struct KeyChange {
  enum class Kind : uint8_t { kAdded, kChanged, kRemoved };
  Kind kind = Kind::kAdded;
  std::string key;            ///< canonical encoding
  uint64_t bytes_before = 0;  ///< of all its rows: namespaces, sub-keys, values
  uint64_t bytes_after = 0;
};

/// The difference of one state between two checkpoints. A key is changed when any of its rows (of
/// any namespace) is added, gone or of another value.
struct StateDifference {
  uint64_t keys_added = 0;
  uint64_t keys_changed = 0;
  uint64_t keys_removed = 0;
  uint64_t keys_unchanged = 0;
  uint64_t bytes_before = 0;  ///< of all keys
  uint64_t bytes_after = 0;
  std::vector<KeyChange> changes;  ///< sorted by key where one round was enough
};

/// Compares the rows that two cursors give, key by key. Keys that are compared at a time are
/// bounded by `keys_at_a_time`: of more than that the rows are read in several rounds, each for
/// some of the keys. Order and ids of rows, parallelism and deltas do not count.
class StateComparison {
 public:
  /// Makes a cursor at the start; null: there is no such state there.
  using MakeCursor = std::function<Result<std::unique_ptr<StateCursor>>()>;

  static constexpr int64_t kKeysAtATime = int64_t{4} << 20;

  /// `keys` is about how many keys there are in the larger one; `poll` is called now and then, its
  /// failure ends the comparison.
  static Result<StateDifference> Run(const MakeCursor& before, const MakeCursor& after,
                                     int64_t keys, const std::function<Status()>& poll,
                                     int64_t keys_at_a_time = kKeysAtATime);
};

}  // namespace headrace
