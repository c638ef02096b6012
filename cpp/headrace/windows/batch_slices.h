#pragma once

#include <cstdint>
#include <vector>

#include "headrace/types/batch.h"
#include "headrace/windows/slice_layout.h"

namespace headrace {

/// Which slice each row of a batch belongs to, found for the whole batch at once.
///
/// Rows of one slice are found with two compares a batch; rows of two slices with one compare a
/// row; a few hundred slices with a multiplication a row; anything else by sorting. No allocation
/// in steady state.
/// Threading: owned by one task thread.
class BatchSlices {
 public:
  explicit BatchSlices(const SliceLayout& layout)
      : layout_(layout), slices_per_ms_(1.0 / static_cast<double>(layout.slice_ms())) {}

  /// REQUIRES: num_rows > 0. kInvalidArgument when a row has no event time or one out of range.
  Status Assign(const RecordBatch& batch);

  /// Starts of the slices in ascending order; some may have no row.
  const std::vector<TimestampMs>& starts() const { return starts_; }
  /// Index into starts() of each row. REQUIRES: starts().size() > 1.
  const uint32_t* slice_of_row() const { return slice_of_row_.data(); }

 private:
  void AssignDense(const TimestampMs* times, int64_t rows);
  void AssignSparse(const TimestampMs* times, int64_t rows);

  const SliceLayout& layout_;
  const double slices_per_ms_;
  std::vector<TimestampMs> starts_;
  std::vector<uint32_t> slice_of_row_;
};

}  // namespace headrace
