#include "headrace/time/watermark_generator.h"

#include <algorithm>

#include "headrace/base/check.h"

namespace headrace {

WatermarkGenerator::WatermarkGenerator(const WatermarkSpec& spec) : spec_(spec) {
  HR_CHECK_GE(spec_.stride_rows, 1);
  HR_CHECK_GE(spec_.bound_ms, 0);
}

int64_t WatermarkGenerator::RowsUntilEmission() const {
  return spec_.stride_rows - rows_ % spec_.stride_rows;
}

bool WatermarkGenerator::Observe(const TimestampMs* timestamps, int64_t count) {
  HR_CHECK(count >= 0 && count <= RowsUntilEmission());
  if (timestamps) {
    // kNoTimestamp is the smallest int64, so rows without a time lose every comparison.
    TimestampMs latest = max_timestamp_;
    for (int64_t i = 0; i < count; ++i) latest = std::max(latest, timestamps[i]);
    max_timestamp_ = latest;
  }
  rows_ += count;
  return count > 0 && rows_ % spec_.stride_rows == 0;
}

TimestampMs WatermarkGenerator::Current() const {
  if (spec_.kind == WatermarkSpec::Kind::kNone || max_timestamp_ == kNoTimestamp) {
    return kMinWatermark;
  }
  const int64_t bound = spec_.kind == WatermarkSpec::Kind::kMonotonous ? 0 : spec_.bound_ms;
  TimestampMs watermark = 0;
  if (__builtin_sub_overflow(max_timestamp_, bound, &watermark) ||
      __builtin_sub_overflow(watermark, int64_t{1}, &watermark)) {
    return kMinWatermark;
  }
  return watermark;
}

// A generator in a checkpoint:
//
//   varint   rows observed
//   8 bytes  largest event time in ms, little-endian; the smallest int64 before the first
void WatermarkGenerator::Snapshot(ByteWriter* out) const {
  out->Varint(static_cast<uint64_t>(rows_));
  out->Fixed(max_timestamp_);
}

Status WatermarkGenerator::Restore(ByteReader* in) {
  uint64_t rows = 0;
  TimestampMs latest = kNoTimestamp;
  HR_RETURN_IF_ERROR(in->Varint(&rows));
  HR_RETURN_IF_ERROR(in->Fixed(&latest));
  if (rows > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return Status::Corruption("watermark generator: row count " + std::to_string(rows));
  }
  rows_ = static_cast<int64_t>(rows);
  max_timestamp_ = latest;
  return Status::Ok();
}

}  // namespace headrace
