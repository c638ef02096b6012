#include "headrace/runtime/erasure_request.h"

#include <chrono>
#include <utility>

namespace headrace {

void ErasureRequest::Resolve(Result<ErasureReport> outcome) {
  const std::lock_guard<std::mutex> guard(mutex_);
  if (!outcome_) outcome_ = std::move(outcome);
  changed_.notify_all();
}

bool ErasureRequest::resolved() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return outcome_.has_value();
}

bool ErasureRequest::WaitFor(int64_t timeout_ms) {
  std::unique_lock<std::mutex> guard(mutex_);
  return changed_.wait_for(guard, std::chrono::milliseconds(timeout_ms),
                           [this] { return outcome_.has_value(); });
}

Result<ErasureReport> ErasureRequest::outcome() const {
  const std::lock_guard<std::mutex> guard(mutex_);
  return outcome_.value();
}

}  // namespace headrace
