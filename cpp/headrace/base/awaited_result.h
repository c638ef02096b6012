#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "headrace/base/status.h"

namespace headrace {

/// How something that was asked for ended: told once, waited for by anybody.
/// Threading: thread-safe.
template <typename T>
class AwaitedResult {
 public:
  /// The first call counts.
  void Resolve(Result<T> outcome) {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!outcome_) outcome_ = std::move(outcome);
    changed_.notify_all();
  }
  bool resolved() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return outcome_.has_value();
  }
  /// True when resolved within `timeout_ms`.
  bool WaitFor(int64_t timeout_ms) {
    std::unique_lock<std::mutex> guard(mutex_);
    return changed_.wait_for(guard, std::chrono::milliseconds(timeout_ms),
                             [this] { return outcome_.has_value(); });
  }
  /// REQUIRES: resolved.
  Result<T> outcome() const {
    const std::lock_guard<std::mutex> guard(mutex_);
    return outcome_.value();
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<T>> outcome_;  // guarded by `mutex_`
};

}  // namespace headrace
