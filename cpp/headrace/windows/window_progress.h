#pragma once

#include <vector>

#include "headrace/state/key_group.h"
#include "headrace/state/operator_state.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// How far event time and the firing of windows came, through checkpoints and rescaling.
///
/// The watermark is kept with the state, so that a restored operator judges lateness as the first
/// run did, and fires no window twice. Operator state, one item a subtask (given to all), drawn in
/// window_progress.cc.
///
/// Former subtasks agree on the watermark but where idle inputs woke up in another order. Then
/// lateness goes by the latest, and windows between are fired only for the key groups that had not
/// fired them.
/// Threading: owned by one task thread.
class WindowProgress {
 public:
  /// kCorruption when an item is malformed.
  Status Restore(const OperatorState& state, const KeyGroupRange& own);
  void Snapshot(const KeyGroupRange& own, OperatorState* state) const;

  /// Rows are judged late by this.
  TimestampMs watermark() const { return watermark_; }
  /// Windows with max timestamp up to here were fired for all keys.
  TimestampMs fired_through() const { return fired_through_; }
  /// True when the windows with this max timestamp were fired for keys of the group.
  bool Fired(int key_group, TimestampMs max_timestamp) const {
    if (max_timestamp <= fired_through_) return true;
    return !fired_by_group_.empty() &&
           max_timestamp <= fired_by_group_[static_cast<size_t>(key_group - first_group_)];
  }
  /// True while Fired() depends on the key group.
  bool uneven() const { return !fired_by_group_.empty(); }

  /// All windows with max timestamp up to `time` are fired.
  void SetFiredThrough(TimestampMs time) {
    if (time > fired_through_) fired_through_ = time;
  }
  /// Rows this subtask took in since the start of the stream: orders first and last. At another
  /// parallelism it goes on from the largest.
  int64_t rows_seen() const { return rows_seen_; }
  void AddRows(int64_t rows) { rows_seen_ += rows; }

  /// The watermark advanced and everything it makes due is done.
  void Advance(TimestampMs watermark);

 private:
  TimestampMs watermark_ = kMinWatermark;
  TimestampMs fired_through_ = kMinWatermark;
  int64_t rows_seen_ = 0;
  int first_group_ = 0;
  std::vector<TimestampMs> fired_by_group_;
};

}  // namespace headrace
