#pragma once

#include <cstdint>
#include <string>

#include "headrace/base/bytes.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// How event time advances from the timestamps of rows.
struct WatermarkSpec {
  enum class Kind : uint8_t { kNone, kMonotonous, kBoundedOutOfOrderness };
  Kind kind = Kind::kNone;
  int64_t bound_ms = 0;         ///< kBoundedOutOfOrderness
  int64_t idle_timeout_ms = 0;  ///< 0 = never idle
  int64_t stride_rows = 1024;   ///< watermarks are emitted at multiples of this many rows
  /// Live input that has nothing to read: also emitted then, at most this often; 0 = never.
  int64_t catch_up_ms = 200;
};

/// Watermarks of one split as a function of its rows 0..n only, so that a replay gives the same
/// ones wherever batches, flushes or barriers cut. Emission points are multiples of `stride_rows`.
/// Threading: owned by one task thread.
class WatermarkGenerator {
 public:
  explicit WatermarkGenerator(const WatermarkSpec& spec);

  /// Rows that may be observed before the next emission point; ≥ 1.
  int64_t RowsUntilEmission() const;
  /// Observes `count` ≤ RowsUntilEmission() rows (kNoTimestamp rows count, but carry no time;
  /// `timestamps` null: none carries one). Returns true when an emission point was reached.
  bool Observe(const TimestampMs* timestamps, int64_t count);
  /// max timestamp - bound - 1 (monotonous: - 1), never going back; kMinWatermark before the first
  /// row, and always for kNone.
  TimestampMs Current() const;
  int64_t rows() const { return rows_; }

  /// Rows (varint) and largest timestamp (8 bytes); the spec is not part of it.
  void Snapshot(ByteWriter* out) const;
  Status Restore(ByteReader* in);

 private:
  WatermarkSpec spec_;
  int64_t rows_ = 0;
  TimestampMs max_timestamp_ = kNoTimestamp;
};

}  // namespace headrace
