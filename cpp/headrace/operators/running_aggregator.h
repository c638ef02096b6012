#pragma once

#include <memory>
#include <vector>

#include "headrace/operators/group_aggregator.h"
#include "headrace/state/keyed_state.h"

namespace headrace {

/// Aggregates per key over the whole stream, giving the value after each row.
///
/// A batch is cut into runs in which no key comes twice; each run is updated as a whole and its
/// results read after it, which gives what row by row would. State: one slice table at time 0.
/// Threading: owned by one task thread.
class RunningAggregator {
 public:
  static Result<std::unique_ptr<RunningAggregator>> Make(const std::vector<AggregateSpec>& specs,
                                                         const Schema& input, KeyedState* state);

  const AggregateRow& aggregates() const { return *aggregates_; }
  /// Adds the batch and appends to builders[i] the value of aggregate i after each row.
  /// REQUIRES: batch.key.
  Status Run(const RecordBatch& batch, std::vector<std::unique_ptr<ColumnBuilder>>* builders);

 private:
  RunningAggregator() = default;
  Status RunDistinct(const RecordBatch& batch, int64_t start, const KeyId* ids, int64_t count,
                     std::vector<std::unique_ptr<ColumnBuilder>>* builders);

  /// Ids of a run of keys, each with accumulators.
  Result<const KeyId*> Locate(const Column& keys, int64_t start, int64_t count);
  KeyDictionary& Keys();
  PagedTable& Accumulators();

  std::unique_ptr<AggregateRow> aggregates_;
  std::unique_ptr<GroupAggregator> groups_;
  SliceStore* store_ = nullptr;  // of state in memory
  // Of state that can leave memory.
  FixedValueState* values_ = nullptr;
  KeyDictionary* keys_ = nullptr;
  std::vector<KeyId> ids_;
  std::vector<uint32_t> last_run_;  // by key id: the last run that had the key
  uint32_t run_ = 0;
  std::vector<int32_t> rows_;
  std::vector<char*> accumulators_;
};

}  // namespace headrace
