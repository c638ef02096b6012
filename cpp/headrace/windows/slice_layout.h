#pragma once

#include <numeric>

#include "headrace/windows/window_spec.h"

namespace headrace {

/// Largest multiple of `step`, shifted by `offset`, that is ≤ `time`; right below zero too.
inline TimestampMs FloorToGrid(TimestampMs time, int64_t offset, int64_t step) {
  const int64_t remainder = (time - offset) % step;
  return time - remainder - (remainder < 0 ? step : 0);
}

/// How tumbling and sliding windows are made of slices: the slice is the greatest common divisor of
/// size and slide, on the grid of the offset, so every window is a whole number of slices.
///
/// With slide > size some slices belong to no window. All times are within kEventTimeLimitMs.
/// Threading: immutable.
class SliceLayout {
 public:
  explicit SliceLayout(const WindowSpec& spec)
      : spec_(spec), slice_ms_(std::gcd(spec.size_ms, spec.slide_ms)) {}

  const WindowSpec& spec() const { return spec_; }
  int64_t slice_ms() const { return slice_ms_; }
  bool tumbling() const { return spec_.size_ms == spec_.slide_ms; }

  TimestampMs SliceStart(TimestampMs time) const {
    return FloorToGrid(time, spec_.offset_ms, slice_ms_);
  }
  /// End of the first window that ends after `slice_start`.
  TimestampMs FirstWindowEnd(TimestampMs slice_start) const {
    return LastEndUpTo(slice_start) + spec_.slide_ms;
  }
  /// End of the last window that starts at or before `slice_start`.
  TimestampMs LastWindowEnd(TimestampMs slice_start) const {
    return FloorToGrid(slice_start, spec_.offset_ms, spec_.slide_ms) + spec_.size_ms;
  }
  bool InAnyWindow(TimestampMs slice_start) const {
    return slice_start < LastWindowEnd(slice_start);
  }
  /// Largest window end ≤ `time`.
  TimestampMs LastEndUpTo(TimestampMs time) const {
    return FloorToGrid(time, (spec_.offset_ms + spec_.size_ms) % spec_.slide_ms, spec_.slide_ms);
  }

 private:
  const WindowSpec spec_;
  const int64_t slice_ms_;
};

}  // namespace headrace
