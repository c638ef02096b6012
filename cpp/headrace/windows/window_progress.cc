#include "headrace/windows/window_progress.h"

#include <algorithm>

#include "headrace/base/bytes.h"

namespace headrace {
namespace {

constexpr char kStateName[] = "window-watermark";

}  // namespace

Status WindowProgress::Restore(const OperatorState& state, const KeyGroupRange& own) {
  first_group_ = own.first;
  std::vector<TimestampMs> by_group(static_cast<size_t>(std::max(own.size(), 0)), kMinWatermark);
  for (const std::string& item : state.Items(kStateName)) {
    ByteReader in(item);
    uint64_t first = 0;
    uint64_t last = 0;
    TimestampMs watermark = 0;
    HR_RETURN_IF_ERROR(in.Varint(&first));
    HR_RETURN_IF_ERROR(in.Varint(&last));
    uint64_t rows_seen = 0;
    HR_RETURN_IF_ERROR(in.Fixed(&watermark));
    HR_RETURN_IF_ERROR(in.Varint(&rows_seen));
    HR_RETURN_IF_ERROR(in.ExpectDone());
    if (first > last || last >= static_cast<uint64_t>(kMaxParallelismLimit)) {
      return Status::Corruption("window state of key groups " + std::to_string(first) + " to " +
                                std::to_string(last));
    }
    rows_seen_ = std::max(rows_seen_, static_cast<int64_t>(rows_seen));
    const int end = std::min(static_cast<int>(last), own.last);
    for (int group = std::max(static_cast<int>(first), own.first); group <= end; ++group) {
      by_group[static_cast<size_t>(group - own.first)] = watermark;
    }
  }
  if (by_group.empty()) return Status::Ok();
  watermark_ = *std::max_element(by_group.begin(), by_group.end());
  fired_through_ = *std::min_element(by_group.begin(), by_group.end());
  if (fired_through_ < watermark_) fired_by_group_ = std::move(by_group);
  return Status::Ok();
}

// The item of operator state, one for the subtask, or for each key group while they differ:
//
//   varint   first key group
//   varint   last key group
//   8 bytes  watermark in ms, little-endian
//   varint   rows seen
void WindowProgress::Snapshot(const KeyGroupRange& own, OperatorState* state) const {
  if (own.size() <= 0) return;
  std::vector<std::string> items;
  const auto add = [&items, this](int first, int last, TimestampMs watermark) {
    ByteWriter item;
    item.Varint(static_cast<uint64_t>(first));
    item.Varint(static_cast<uint64_t>(last));
    item.Fixed(watermark);
    item.Varint(static_cast<uint64_t>(rows_seen_));
    items.push_back(item.Take());
  };
  if (!uneven()) {
    add(own.first, own.last, watermark_);
  } else {
    for (int group = own.first; group <= own.last; ++group) {
      add(group, group, fired_by_group_[static_cast<size_t>(group - first_group_)]);
    }
  }
  state->Set(kStateName, Redistribution::kUnion, std::move(items));
}

void WindowProgress::Advance(TimestampMs watermark) {
  watermark_ = std::max(watermark_, watermark);
  fired_through_ = watermark_;
  fired_by_group_.clear();
}

}  // namespace headrace
