#include "headrace/runtime/barrier_aligner.h"

#include "headrace/base/check.h"

namespace headrace {

BarrierAligner::BarrierAligner(int channels, bool at_least_once)
    : at_least_once_(at_least_once), states_(channels, State::kOpen) {}

BarrierAligner::Outcome BarrierAligner::OnBarrier(int channel, CheckpointId checkpoint) {
  HR_CHECK(states_[channel] != State::kEnded);
  if (checkpoint <= checkpoint_ && !(aligning() && checkpoint == checkpoint_)) {
    return Outcome::kNothing;  // a late barrier of a checkpoint that was given up
  }
  if (checkpoint > checkpoint_) {
    Unblock();
    checkpoint_ = checkpoint;
    aligning_ = true;
  }
  if (states_[channel] == State::kOpen) {
    states_[channel] = State::kDelivered;
    ++delivered_;
  }
  return Check();
}

BarrierAligner::Outcome BarrierAligner::OnEnd(int channel) {
  HR_CHECK(states_[channel] != State::kEnded && !blocked(channel));
  if (states_[channel] == State::kDelivered) --delivered_;
  states_[channel] = State::kEnded;
  ++ended_;
  return aligning() ? Check() : Outcome::kNothing;
}

BarrierAligner::Outcome BarrierAligner::Check() {
  if (delivered_ + ended_ < static_cast<int>(states_.size())) return Outcome::kNothing;
  Unblock();
  return Outcome::kAligned;
}

void BarrierAligner::Unblock() {
  for (State& state : states_) {
    if (state == State::kDelivered) state = State::kOpen;
  }
  delivered_ = 0;
  aligning_ = false;
}

}  // namespace headrace
