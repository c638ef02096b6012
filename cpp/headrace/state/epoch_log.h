#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace headrace {

/// Rows of one table that changed in an epoch and cannot be found by a walk over the memory at its
/// end: those that left it, and those that were removed. By row key (cold_key.h); what is added
/// last counts.
/// Threading: owned by one thread; handed to the snapshot's with the barrier.
class EpochLog {
 public:
  struct Entry {
    std::string_view row_key;
    std::optional<std::string_view> value;  ///< none: removed
  };

  void Add(std::string_view row_key, std::optional<std::string_view> value);
  bool empty() const { return entries_.empty(); }
  int64_t memory_bytes() const { return memory_bytes_; }
  /// Valid as long as the log.
  const std::vector<Entry>& entries() const { return entries_; }
  /// Sorts the entries and leaves the last one of each key.
  void Sort();

 private:
  std::string_view Keep(std::string_view bytes);

  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t free_bytes_ = 0;
  int64_t memory_bytes_ = 0;
};

}  // namespace headrace
