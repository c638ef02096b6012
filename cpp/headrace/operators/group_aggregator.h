#pragma once

#include <memory>
#include <vector>

#include "headrace/operators/aggregate_row.h"
#include "headrace/state/slice_store.h"

namespace headrace {

/// Adds rows of a batch to the group-by table of a slice, a run at a time: key ids, accumulator
/// pointers, then each aggregate over the whole run.
///
/// Cost: one dictionary probe and one page lookup a row; no allocation in steady state for int64
/// keys, nor for any key when the rows are consecutive.
/// Threading: owned by one task thread.
class GroupAggregator {
 public:
  explicit GroupAggregator(const AggregateRow* aggregates) : aggregates_(aggregates) {}

  /// Number of the next batch's row 0 since the start of the stream: orders first and last across
  /// slices.
  void SetSequence(int64_t sequence) { sequence_ = sequence; }
  /// Adds rows [start, start + count). REQUIRES: batch.key.
  Status AddRange(const RecordBatch& batch, int64_t start, int64_t count, SliceTable* table);
  /// Adds rows rows[0..count), in that order. REQUIRES: batch.key.
  Status AddRows(const RecordBatch& batch, const int32_t* rows, int64_t count, SliceTable* table);

  /// Key id of each row of `keys` [start, start + count), with an initialised accumulator row for
  /// each. Valid until the next call.
  Result<const KeyId*> Locate(const Column& keys, int64_t start, int64_t count, SliceTable* table);

 private:
  Status Gather(const RecordBatch& batch, const int32_t* rows, const KeyId* ids, int64_t count,
                SliceTable* table);
  ColumnPtr PickInts(const Column& keys, const int32_t* rows, int64_t count);

  const AggregateRow* const aggregates_;
  int64_t sequence_ = -1;
  std::vector<KeyId> ids_;
  std::vector<char*> accumulators_;
  std::vector<int32_t> rows_;
  std::vector<int64_t> picked_;          // scattered int64 keys, put together
  std::shared_ptr<Column> picked_keys_;  // a column over picked_
};

}  // namespace headrace
