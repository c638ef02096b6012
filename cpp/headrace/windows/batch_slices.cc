#include "headrace/windows/batch_slices.h"

#include <algorithm>

namespace headrace {
namespace {

// Above this many slices between the first and the last row of a batch most are empty: sort
// instead.
constexpr int64_t kDenseSlicesMax = 512;
// Doubles are exact up to here; beyond, the product below could be off by more than one.
constexpr int64_t kExactSpanMs = int64_t{1} << 52;

}  // namespace

Status BatchSlices::Assign(const RecordBatch& batch) {
  constexpr char kFix[] = "call assign_timestamps_and_watermarks";
  if (!batch.timestamps) {
    return Status::InvalidArgument("the record has no event time: " + std::string(kFix));
  }
  const TimestampMs* times = batch.Timestamps();
  TimestampMs first = times[0];
  TimestampMs last = times[0];
  for (int64_t row = 1; row < batch.num_rows; ++row) {
    first = std::min(first, times[row]);
    last = std::max(last, times[row]);
  }
  if (first == kNoTimestamp) {
    return Status::InvalidArgument("a record has no event time: " + std::string(kFix));
  }
  if (first < -kEventTimeLimitMs || last > kEventTimeLimitMs) {
    const TimestampMs wrong = first < -kEventTimeLimitMs ? first : last;
    return Status::InvalidArgument("event time " + std::to_string(wrong) +
                                   " ms is out of range: is the unit right?");
  }
  starts_.clear();
  starts_.push_back(layout_.SliceStart(first));
  const TimestampMs last_start = layout_.SliceStart(last);
  if (last_start == starts_[0]) return Status::Ok();
  slice_of_row_.resize(static_cast<size_t>(batch.num_rows));
  const int64_t steps = (last_start - starts_[0]) / layout_.slice_ms();
  if (steps < kDenseSlicesMax && last - starts_[0] < kExactSpanMs) {
    for (int64_t i = 1; i <= steps; ++i) starts_.push_back(starts_[0] + i * layout_.slice_ms());
    AssignDense(times, batch.num_rows);
  } else {
    AssignSparse(times, batch.num_rows);
  }
  return Status::Ok();
}

void BatchSlices::AssignDense(const TimestampMs* times, int64_t rows) {
  uint32_t* slice = slice_of_row_.data();
  if (starts_.size() == 2) {
    const TimestampMs boundary = starts_[1];
    for (int64_t row = 0; row < rows; ++row) slice[row] = times[row] >= boundary ? 1 : 0;
    return;
  }
  const TimestampMs base = starts_[0];
  const int64_t step = layout_.slice_ms();
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t since = times[row] - base;
    auto guess = static_cast<int64_t>(static_cast<double>(since) * slices_per_ms_);
    // Rounding can put a time at an edge into the neighbour.
    guess -= guess * step > since ? 1 : 0;
    guess += (guess + 1) * step <= since ? 1 : 0;
    slice[row] = static_cast<uint32_t>(guess);
  }
}

void BatchSlices::AssignSparse(const TimestampMs* times, int64_t rows) {
  starts_.clear();
  for (int64_t row = 0; row < rows; ++row) starts_.push_back(layout_.SliceStart(times[row]));
  std::sort(starts_.begin(), starts_.end());
  starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
  for (int64_t row = 0; row < rows; ++row) {
    const auto at = std::upper_bound(starts_.begin(), starts_.end(), times[row]);
    slice_of_row_[static_cast<size_t>(row)] = static_cast<uint32_t>(at - starts_.begin() - 1);
  }
}

}  // namespace headrace
