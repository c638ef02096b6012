#pragma once

#include <atomic>
#include <cstdint>

namespace headrace {

/// A sum that one task adds to and anyone may read. An addition is a plain load and store, no
/// locked instruction, so a second writer would lose counts.
/// Threading: Add() by the owning task thread only; value() by any thread, at most a moment old.
class Counter {
 public:
  void Add(int64_t amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void Increment() { Add(1); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

}  // namespace headrace
