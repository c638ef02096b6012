#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "headrace/state/cold_index.h"

namespace headrace {

/// Values of records that were read lately, the longest unused ones dropped first. What is at a
/// place never changes, so nothing in here is ever stale.
/// Threading: thread-safe.
class RecordCache {
 public:
  /// Copies the value and counts a hit, or counts a miss.
  bool Get(const RecordPlace& place, std::string* value);
  /// Keeps the value, if the cache stays within `bytes_max` with it.
  void Put(const RecordPlace& place, std::string_view value, int64_t bytes_max);
  /// Drops what is over `bytes_max`.
  void Shrink(int64_t bytes_max);
  /// Nobody will ask for it again.
  void Erase(const RecordPlace& place);

  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  int64_t hits() const { return hits_.load(std::memory_order_relaxed); }
  int64_t misses() const { return misses_.load(std::memory_order_relaxed); }

 private:
  struct Entry {
    uint64_t place;
    std::string value;
  };

  static uint64_t NumberOf(const RecordPlace& place) {
    return uint64_t{place.segment} << 32 | place.offset;
  }
  static int64_t BytesOf(const Entry& entry);
  void DropUntil(int64_t bytes_max);
  void Drop(std::list<Entry>::iterator entry);

  std::mutex mutex_;          ///< guards the two below
  std::list<Entry> entries_;  ///< used last: first
  std::unordered_map<uint64_t, std::list<Entry>::iterator> by_place_;
  std::atomic<int64_t> bytes_{0};
  std::atomic<int64_t> hits_{0};
  std::atomic<int64_t> misses_{0};
};

}  // namespace headrace
