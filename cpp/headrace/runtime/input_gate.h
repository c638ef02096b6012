#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "headrace/runtime/barrier_aligner.h"
#include "headrace/runtime/channel.h"
#include "headrace/time/watermark_valve.h"

namespace headrace {

/// The one input of a task: merges the channels of all upstream subtasks into a single ordered
/// sequence of elements. Rows come from the channels in turn; watermarks and idleness are combined
/// by WatermarkValve, barriers are aligned, and the end comes once every channel has ended
/// (preceded by kMaxWatermark, if the channels brought it).
/// Threading: owned by one task thread; the channels are shared with their producers.
class InputGate {
 public:
  struct Input {
    std::shared_ptr<Channel> channel;
    int input = 0;  ///< input number of the operator
  };
  explicit InputGate(std::vector<Input> inputs, bool at_least_once = false);

  /// Next element, false when nothing can be read now.
  bool Next(StreamElement* out);
  /// True when Next() would look at something.
  bool readable() const;
  /// The end was handed out.
  bool ended() const { return ended_; }

 private:
  /// Handles one element of channel `index`; true when `out` was set.
  bool Take(int index, StreamElement element, StreamElement* out);
  void Queue(WatermarkValve::Change change);

  std::vector<Input> inputs_;
  WatermarkValve valve_;
  BarrierAligner aligner_;
  std::deque<StreamElement> ready_;  // control elements that follow from one that was read
  size_t next_ = 0;
  bool ended_ = false;
};

}  // namespace headrace
