#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "headrace/base/status.h"
#include "headrace/checkpoint/key_erasure.h"

namespace headrace {

/// A key that somebody wants a running job to forget, and how that ended.
/// Threading: thread-safe.
class ErasureRequest {
 public:
  explicit ErasureRequest(KeyErasure erasure) : erasure_(std::move(erasure)) {}

  const KeyErasure& erasure() const { return erasure_; }

  /// What was erased, or why nothing was. The first call counts.
  void Resolve(Result<ErasureReport> outcome);
  bool resolved() const;
  /// True when resolved within `timeout_ms`.
  bool WaitFor(int64_t timeout_ms);
  /// REQUIRES: resolved.
  Result<ErasureReport> outcome() const;

 private:
  const KeyErasure erasure_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Result<ErasureReport>> outcome_;  // guarded by `mutex_`
};
using ErasureRequestPtr = std::shared_ptr<ErasureRequest>;

}  // namespace headrace
