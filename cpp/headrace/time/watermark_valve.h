#pragma once

#include <cstdint>
#include <vector>

#include "headrace/time/watermark.h"

namespace headrace {

/// Combines the watermarks of several inputs: the minimum over active inputs; idle inputs do not
/// hold it back; ended inputs count as kMaxWatermark. The result never goes back.
///
/// When all inputs that have not ended are idle, so is the result, and it stands at the largest of
/// their watermarks: the order in which they fell idle makes no difference. An ended input then
/// does not count, as an idle one may still deliver. Once all have ended the result is
/// kMaxWatermark and not idle.
/// Threading: owned by one task thread. Cost: O(inputs) a change.
class WatermarkValve {
 public:
  explicit WatermarkValve(int inputs);

  struct Change {
    bool watermark_advanced = false;
    bool idle_changed = false;
  };
  Change OnWatermark(int input, TimestampMs watermark);  ///< also makes the input active
  Change OnIdle(int input);
  Change OnActive(int input);
  Change OnEnd(int input);

  TimestampMs watermark() const { return watermark_; }
  bool idle() const { return idle_; }

 private:
  Change Recompute();
  struct Input {
    TimestampMs watermark = kMinWatermark;
    bool idle = false;
    bool ended = false;
  };
  std::vector<Input> inputs_;
  TimestampMs watermark_ = kMinWatermark;
  bool idle_ = false;
};

}  // namespace headrace
