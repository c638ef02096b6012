#pragma once

#include <cstdint>
#include <vector>

#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// Keeps the cut of a checkpoint straight where several channels meet: once a channel has handed
/// over the barrier of checkpoint n it is blocked, and stays so until every open channel has.
///
/// At least once is told the same way, but no channel is ever blocked: rows behind a barrier may
/// then come before the alignment.
///
/// Ended channels have nothing to wait for: they count as aligned. A barrier of a newer checkpoint
/// gives the older one up (its coordinator has done so already); a barrier of an older one than the
/// last seen is ignored.
///
/// Invariant: at most one checkpoint is being aligned, and ids never go back.
/// Cost: O(1) a call but for the O(channels) reset after an alignment.
/// Threading: owned by one task thread.
/// Source: Carbone et al., Lightweight Asynchronous Snapshots for Distributed Dataflows, 2015.
class BarrierAligner {
 public:
  explicit BarrierAligner(int channels, bool at_least_once = false);

  /// What a call led to.
  enum class Outcome : uint8_t {
    kNothing,  ///< go on reading the channels that are not blocked
    kAligned,  ///< every open channel delivered checkpoint(); all are open again
  };
  Outcome OnBarrier(int channel, CheckpointId checkpoint);
  /// The channel ended; may complete the alignment the others wait in.
  Outcome OnEnd(int channel);

  bool blocked(int channel) const {
    return states_[channel] == State::kDelivered && !at_least_once_;
  }
  bool aligning() const { return aligning_; }
  /// The checkpoint being aligned, or the last one that was.
  CheckpointId checkpoint() const { return checkpoint_; }
  bool all_ended() const { return ended_ == static_cast<int>(states_.size()); }

 private:
  enum class State : uint8_t { kOpen, kDelivered, kEnded };
  Outcome Check();
  void Unblock();

  const bool at_least_once_;
  std::vector<State> states_;
  CheckpointId checkpoint_ = 0;
  bool aligning_ = false;
  int delivered_ = 0;  ///< and not ended
  int ended_ = 0;
};

}  // namespace headrace
