#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/status.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// The interval [start, end) of event time. Threading: a plain value.
struct TimeWindow {
  TimestampMs start = 0;
  TimestampMs end = 0;

  /// Last timestamp inside; the window fires when the watermark reaches it.
  TimestampMs max_timestamp() const { return end - 1; }
  bool operator==(const TimeWindow&) const = default;
  auto operator<=>(const TimeWindow&) const = default;
};

/// The window as namespace of keyed state. On disk:
///
///   offset 0   8 bytes  start + 2^63, big-endian
///   offset 8   8 bytes  end + 2^63, big-endian
///
/// so that namespaces sort as (start, end) do, also below zero.
std::string EncodeWindow(const TimeWindow& window);
/// kCorruption unless `ns` is what EncodeWindow writes.
Result<TimeWindow> DecodeWindow(std::string_view ns);

}  // namespace headrace
