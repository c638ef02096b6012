#include "headrace/runtime/input_gate.h"

#include <utility>

namespace headrace {

InputGate::InputGate(std::vector<Input> inputs, bool at_least_once)
    : inputs_(std::move(inputs)),
      valve_(static_cast<int>(inputs_.size())),
      aligner_(static_cast<int>(inputs_.size()), at_least_once) {}

bool InputGate::readable() const {
  if (!ready_.empty()) return true;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!aligner_.blocked(static_cast<int>(i)) && !inputs_[i].channel->empty()) return true;
  }
  return false;
}

bool InputGate::Next(StreamElement* out) {
  while (true) {
    if (!ready_.empty()) {
      *out = std::move(ready_.front());
      ready_.pop_front();
      if (out->kind == StreamElement::Kind::kEndOfInput) ended_ = true;
      return true;
    }
    // One element a channel and turn, so a fast producer cannot starve the others.
    bool read = false;
    for (size_t tried = 0; tried < inputs_.size() && !read; ++tried) {
      const int index = static_cast<int>(next_);
      next_ = next_ + 1 == inputs_.size() ? 0 : next_ + 1;
      if (aligner_.blocked(index)) continue;
      StreamElement element;
      if (!inputs_[index].channel->Pop(&element)) continue;
      read = true;
      if (Take(index, std::move(element), out)) return true;
    }
    if (!read) return false;
  }
}

bool InputGate::Take(int index, StreamElement element, StreamElement* out) {
  switch (element.kind) {
    case StreamElement::Kind::kBatch:
      *out = std::move(element);
      out->input = inputs_[index].input;
      return true;
    case StreamElement::Kind::kWatermark:
      Queue(valve_.OnWatermark(index, element.watermark));
      return false;
    case StreamElement::Kind::kIdle:
      Queue(valve_.OnIdle(index));
      return false;
    case StreamElement::Kind::kActive:
      Queue(valve_.OnActive(index));
      return false;
    case StreamElement::Kind::kBarrier:
      if (aligner_.OnBarrier(index, element.checkpoint) == BarrierAligner::Outcome::kAligned) {
        *out = StreamElement::Barrier(aligner_.checkpoint());
        return true;
      }
      return false;
    case StreamElement::Kind::kEndOfInput:
      // The snapshot comes before what the end of this channel does to event time: the others were
      // cut there.
      if (aligner_.OnEnd(index) == BarrierAligner::Outcome::kAligned) {
        ready_.push_back(StreamElement::Barrier(aligner_.checkpoint()));
      }
      if (aligner_.all_ended()) {
        if (valve_.OnEnd(index).watermark_advanced) {
          ready_.push_back(StreamElement::Watermark(valve_.watermark()));
        }
        ready_.push_back(StreamElement::Control(StreamElement::Kind::kEndOfInput));
      } else {
        Queue(valve_.OnEnd(index));
      }
      return false;
  }
  return false;
}

void InputGate::Queue(WatermarkValve::Change change) {
  if (change.idle_changed) {
    ready_.push_back(StreamElement::Control(valve_.idle() ? StreamElement::Kind::kIdle
                                                          : StreamElement::Kind::kActive));
  }
  if (change.watermark_advanced) ready_.push_back(StreamElement::Watermark(valve_.watermark()));
}

}  // namespace headrace
