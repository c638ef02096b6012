#include "headrace/state/epoch_log.h"

#include <algorithm>
#include <cstring>

namespace headrace {
namespace {

constexpr int64_t kBlockBytesMin = 1024;
constexpr int64_t kBlockBytesMax = 64 * 1024;

}  // namespace

std::string_view EpochLog::Keep(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (bytes.size() > free_bytes_) {
    const int64_t usual = std::clamp(memory_bytes_, kBlockBytesMin, kBlockBytesMax);
    const size_t block_bytes = std::max(bytes.size(), static_cast<size_t>(usual));
    blocks_.push_back(std::make_unique_for_overwrite<char[]>(block_bytes));
    memory_bytes_ += static_cast<int64_t>(block_bytes);
    free_ = blocks_.back().get();
    free_bytes_ = block_bytes;
  }
  std::memcpy(free_, bytes.data(), bytes.size());
  const std::string_view kept(free_, bytes.size());
  free_ += bytes.size();
  free_bytes_ -= bytes.size();
  return kept;
}

void EpochLog::Add(std::string_view row_key, std::optional<std::string_view> value) {
  Entry entry{Keep(row_key), std::nullopt};
  if (value) entry.value = Keep(*value);
  entries_.push_back(entry);
  memory_bytes_ += static_cast<int64_t>(sizeof(Entry));
}

void EpochLog::Sort() {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.row_key < b.row_key; });
  size_t kept = 0;
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (i + 1 < entries_.size() && entries_[i].row_key == entries_[i + 1].row_key) continue;
    entries_[kept++] = entries_[i];
  }
  entries_.resize(kept);
}

}  // namespace headrace
