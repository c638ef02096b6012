#include "headrace/runtime/split_watermarks.h"

#include <algorithm>

#include "headrace/base/planted_bug.h"

namespace headrace {

Status SplitWatermarks::AddSplit(const std::string& snapshot, bool finished) {
  Split split{WatermarkGenerator(spec_)};
  const bool forgets = Planted(PlantedBug::kWatermarksForgotten) && splits_.size() > 2;
  if (!snapshot.empty() && !forgets) {
    ByteReader in(snapshot);
    HR_RETURN_IF_ERROR(in.Fixed(&split.emitted));
    HR_RETURN_IF_ERROR(split.generator.Restore(&in));
  }
  split.finished = finished;
  splits_.push_back(std::move(split));
  return Status::Ok();
}

void SplitWatermarks::Start() { Combine(); }

// Event time of a split, as it stands in a checkpoint behind the split's ordinal
// (source_driver.cc):
//
//   8 bytes  the watermark it has sent, in ms, little-endian
//            its generator (watermark_generator.cc)
std::string SplitWatermarks::Snapshot(int split) const {
  ByteWriter out;
  out.Fixed(splits_[split].emitted);
  splits_[split].generator.Snapshot(&out);
  return out.Take();
}

int64_t SplitWatermarks::Observe(int index, const TimestampMs* timestamps, int64_t count,
                                 bool* advanced) {
  *advanced = false;
  Split& split = splits_[index];
  split.quiet_ns = 0;
  split.idle = false;
  idle_ = false;
  int64_t done = 0;
  while (done < count && !*advanced) {
    const int64_t rows = std::min(count - done, split.generator.RowsUntilEmission());
    if (split.generator.Observe(timestamps + done, rows)) {
      split.emitted = std::max(split.emitted, split.generator.Current());
      *advanced = Combine();
    }
    done += rows;
  }
  return done;
}

bool SplitWatermarks::OnFinished(int split) {
  // Its own last word first: with no other split left there is no minimum to take it from.
  splits_[split].emitted = std::max(splits_[split].emitted, splits_[split].generator.Current());
  const bool advanced = Combine();
  splits_[split].finished = true;
  return Combine() || advanced;
}

bool SplitWatermarks::OnQuiet(int64_t elapsed_ns) {
  if (spec_.idle_timeout_ms <= 0) return false;
  const bool was_idle = idle_;
  for (Split& split : splits_) {
    if (split.finished) continue;
    split.quiet_ns += elapsed_ns;
    split.idle = split.quiet_ns >= spec_.idle_timeout_ms * 1'000'000;
  }
  const bool advanced = Combine();
  return advanced || idle_ != was_idle;
}

bool SplitWatermarks::CatchUp() {
  for (Split& split : splits_) {
    split.emitted = std::max(split.emitted, split.generator.Current());
  }
  return Combine();
}

bool SplitWatermarks::Combine() {
  TimestampMs combined = kMaxWatermark;
  bool any_active = false;
  bool any_unfinished = false;
  for (const Split& split : splits_) {
    if (split.finished) continue;
    any_unfinished = true;
    if (split.idle) continue;
    if (time_ordered_ && split.generator.rows() == 0) continue;
    any_active = true;
    combined = std::min(combined, split.emitted);
  }
  idle_ = any_unfinished && std::all_of(splits_.begin(), splits_.end(), [](const Split& split) {
            return split.finished || split.idle;
          });
  if (!any_active || combined <= watermark_) return false;
  watermark_ = combined;
  return true;
}

int64_t WatermarkStrideRows(double rows_per_second) {
  int64_t stride = 1024;
  if (rows_per_second <= 0) return stride;
  while (stride > 1 && static_cast<double>(stride) > rows_per_second / 5) stride /= 2;
  return stride;
}

}  // namespace headrace
