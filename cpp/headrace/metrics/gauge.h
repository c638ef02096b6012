#pragma once

#include <atomic>
#include <cstdint>

namespace headrace {

/// A value that is as large as it was last set: a watermark, a queue's length.
/// Threading: thread-safe; the last Set() wins.
class Gauge {
 public:
  explicit Gauge(int64_t start = 0) : value_(start) {}

  void Set(int64_t value) { value_.store(value, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_;
};

}  // namespace headrace
