#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace headrace {

/// Bytes held by one registered state, added up by all its tables (a window state has two a slice),
/// so that asking costs one load whatever their number.
/// Threading: thread-safe.
class MemoryMeter {
 public:
  void Add(int64_t bytes) { bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  int64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> bytes_{0};
};
using MemoryMeterPtr = std::shared_ptr<MemoryMeter>;

}  // namespace headrace
