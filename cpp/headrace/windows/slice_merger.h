#pragma once

#include <memory>
#include <vector>

#include "headrace/operators/aggregate_row.h"
#include "headrace/state/slice_store.h"

namespace headrace {

/// The group-by table of one window: its only slice as it is, or several slices merged into a
/// temporary table.
///
/// Groups are numbered in the order of key ids of the first slice that has the key, the earliest
/// slice first.
/// Cost: merging is one probe and one AggregateFunction::Merge for each key and slice.
/// Threading: owned by one task thread.
class SliceMerger {
 public:
  SliceMerger(const AggregateRow* aggregates, int max_parallelism)
      : aggregates_(aggregates), max_parallelism_(max_parallelism) {}

  /// Takes in the slices of `store` with start in [start, end). They stay as they are until
  /// Clear().
  Status Open(SliceStore* store, TimestampMs start, TimestampMs end);
  void Clear();

  uint32_t size() const { return keys_ ? keys_->size() : 0; }
  KeyDictionary& keys() { return *keys_; }
  /// Accumulators of group `id`, null when it has none. REQUIRES: id < size().
  const char* Row(KeyId id) const;

  /// Merges the accumulators of one key over the slices with start in [start, end) into row(),
  /// which is valid until the next call. Independent of Open.
  Result<const char*> MergeKey(SliceStore* store, std::string_view canonical_key, TimestampMs start,
                               TimestampMs end);

 private:
  Status MergeSlice(SliceTable* slice);
  char* MergedRow(KeyId id) {
    return reinterpret_cast<char*>(merged_.data()) +
           static_cast<size_t>(id) * static_cast<size_t>(aggregates_->row_bytes());
  }

  const AggregateRow* const aggregates_;
  const int max_parallelism_;
  KeyDictionary* keys_ = nullptr;  // of the slice, or merged_keys_
  PagedTable* single_ = nullptr;   // accumulators of the only slice
  std::unique_ptr<KeyDictionary> merged_keys_;
  std::vector<int64_t> merged_;   // rows of merged_keys_; int64 for alignment
  std::vector<int64_t> key_row_;  // result of MergeKey
};

}  // namespace headrace
