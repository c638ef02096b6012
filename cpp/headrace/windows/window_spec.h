#pragma once

#include <cstdint>
#include <string>

#include "headrace/base/status.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// Event times and window sizes stay inside these, so that window arithmetic cannot overflow
/// (73 and 36 million years).
inline constexpr TimestampMs kEventTimeLimitMs = int64_t{1} << 61;
inline constexpr int64_t kWindowSizeMaxMs = int64_t{1} << 60;

/// Tumbling (slide = size) or sliding windows of event time, and what happens to late rows. Plain
/// data.
///
/// A row is late for a window once the watermark reached the window's cleanup time = max timestamp
/// + allowed lateness. A row that is late for all its windows is dropped: counted in the metric
/// `late_rows`, and sent to the side output `late_tag` if that is set and read.
/// Source: Flink, WindowOperator and EventTimeTrigger.
struct WindowSpec {
  int64_t size_ms = 0;
  int64_t slide_ms = 0;
  int64_t offset_ms = 0;            ///< shifts the grid; |offset| < slide
  int64_t allowed_lateness_ms = 0;  ///< rows in this time after firing fire their windows again
  std::string late_tag;             ///< "" = no side output

  static WindowSpec Tumbling(int64_t size_ms, int64_t offset_ms = 0);
  static WindowSpec Sliding(int64_t size_ms, int64_t slide_ms, int64_t offset_ms = 0);

  /// kInvalidArgument naming the value that is out of range.
  Status Validate() const;
  /// "tumbling(10000)", "sliding(10000, 2000, offset 500)": shown to people, part of state
  /// fingerprints.
  std::string ToString() const;
  /// First watermark at which a window with this end is late; saturates.
  TimestampMs CleanupTime(TimestampMs window_end) const;
};

}  // namespace headrace
