#include "headrace/state/record_cache.h"

#include <utility>

namespace headrace {

namespace {

// Of list and hash table for each entry, with what the allocator adds.
constexpr int64_t kBytesBesideValue = 144;
// A value that would push out more than this part of the cache is not worth it.
constexpr int64_t kLargestShare = 8;

}  // namespace

int64_t RecordCache::BytesOf(const Entry& entry) {
  return kBytesBesideValue + static_cast<int64_t>(entry.value.size());
}

bool RecordCache::Get(const RecordPlace& place, std::string* value) {
  const std::lock_guard lock(mutex_);
  const auto found = by_place_.find(NumberOf(place));
  if (found == by_place_.end()) {
    misses_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  hits_.fetch_add(1, std::memory_order_relaxed);
  entries_.splice(entries_.begin(), entries_, found->second);
  *value = found->second->value;
  return true;
}

void RecordCache::Put(const RecordPlace& place, std::string_view value, int64_t bytes_max) {
  const int64_t bytes = kBytesBesideValue + static_cast<int64_t>(value.size());
  const std::lock_guard lock(mutex_);
  if (bytes > bytes_max / kLargestShare) return;
  DropUntil(bytes_max - bytes);
  const auto [at, is_new] = by_place_.try_emplace(NumberOf(place));
  if (!is_new) return;
  entries_.push_front({NumberOf(place), std::string(value)});
  at->second = entries_.begin();
  bytes_ += bytes;
}

void RecordCache::Shrink(int64_t bytes_max) {
  const std::lock_guard lock(mutex_);
  DropUntil(bytes_max);
}

void RecordCache::DropUntil(int64_t bytes_max) {
  while (!entries_.empty() && bytes_ > bytes_max) Drop(std::prev(entries_.end()));
}

void RecordCache::Erase(const RecordPlace& place) {
  const std::lock_guard lock(mutex_);
  const auto found = by_place_.find(NumberOf(place));
  if (found != by_place_.end()) Drop(found->second);
}

void RecordCache::Drop(std::list<Entry>::iterator entry) {
  bytes_ -= BytesOf(*entry);
  by_place_.erase(entry->place);
  entries_.erase(entry);
}

}  // namespace headrace
