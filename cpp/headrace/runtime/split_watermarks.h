#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/time/watermark_generator.h"

namespace headrace {

/// Event time of one source subtask: a generator for each split and their minimum.
///
/// A split that was not read yet holds event time back (it may bring any time) unless the source is
/// time-ordered; a finished or idle one does not. The combined watermark never goes back.
/// Threading: owned by one task thread.
class SplitWatermarks {
 public:
  SplitWatermarks(WatermarkSpec spec, bool time_ordered)
      : spec_(spec), time_ordered_(time_ordered) {}

  /// Adds a split in the order of the reader; `snapshot` as from Snapshot(), or empty.
  Status AddSplit(const std::string& snapshot, bool finished);
  /// All splits are added: only now is their minimum one.
  void Start();

  bool enabled() const { return spec_.kind != WatermarkSpec::Kind::kNone; }
  /// Observes rows from `timestamps` until an emission point that advances the combined watermark,
  /// at most `count`. Returns how many; `*advanced` tells whether the watermark goes out after
  /// them.
  int64_t Observe(int split, const TimestampMs* timestamps, int64_t count, bool* advanced);
  /// True when the combined watermark advanced.
  bool OnFinished(int split);
  /// Time passed while nothing could be read; true when the watermark advanced or the subtask
  /// became idle.
  bool OnQuiet(int64_t elapsed_ns);
  /// Takes what every generator knows, between its emission points: for live sources that have
  /// nothing to read.
  bool CatchUp();

  TimestampMs watermark() const { return watermark_; }
  bool idle() const { return idle_; }
  std::string Snapshot(int split) const;

 private:
  struct Split {
    WatermarkGenerator generator;
    TimestampMs emitted = kMinWatermark;
    int64_t quiet_ns = 0;
    bool finished = false;
    bool idle = false;
  };
  bool Combine();

  WatermarkSpec spec_;
  bool time_ordered_;
  std::vector<Split> splits_;
  TimestampMs watermark_ = kMinWatermark;
  bool idle_ = false;
};

/// Rows between watermarks of a source that is slowed to `rows_per_second`: the power of two next
/// below a fifth of it, 1 to 1,024, so that a slow source still advances about five times a second.
/// 0 = not slowed.
int64_t WatermarkStrideRows(double rows_per_second);

}  // namespace headrace
