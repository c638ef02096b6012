#include "headrace/time/watermark_valve.h"

#include <algorithm>

#include "headrace/base/check.h"

namespace headrace {

WatermarkValve::WatermarkValve(int inputs) : inputs_(static_cast<size_t>(inputs)) {
  HR_CHECK_GE(inputs, 1);
}

WatermarkValve::Change WatermarkValve::OnWatermark(int input, TimestampMs watermark) {
  Input& in = inputs_[static_cast<size_t>(input)];
  if (in.ended) return {};
  in.watermark = std::max(in.watermark, watermark);
  in.idle = false;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::OnIdle(int input) {
  inputs_[static_cast<size_t>(input)].idle = true;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::OnActive(int input) {
  inputs_[static_cast<size_t>(input)].idle = false;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::OnEnd(int input) {
  inputs_[static_cast<size_t>(input)].ended = true;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::Recompute() {
  TimestampMs lowest_active = kMaxWatermark;
  TimestampMs highest_idle = kMinWatermark;
  bool any_active = false;
  bool any_idle = false;
  for (const Input& in : inputs_) {
    if (in.ended) continue;
    if (in.idle) {
      any_idle = true;
      highest_idle = std::max(highest_idle, in.watermark);
    } else {
      any_active = true;
      lowest_active = std::min(lowest_active, in.watermark);
    }
  }
  const bool idle = any_idle && !any_active;
  const TimestampMs combined = idle ? highest_idle : lowest_active;
  Change change;
  change.idle_changed = idle != idle_;
  change.watermark_advanced = combined > watermark_;
  idle_ = idle;
  watermark_ = std::max(watermark_, combined);
  return change;
}

}  // namespace headrace
