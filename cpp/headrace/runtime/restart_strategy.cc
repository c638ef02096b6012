#include "headrace/runtime/restart_strategy.h"

#include <algorithm>

namespace headrace {

namespace {

constexpr int kDefaultAttempts = 3;

bool IsTransient(const Status& failure) { return failure.code() == StatusCode::kIoError; }

}  // namespace

std::optional<int64_t> RestartStrategy::OnFailure(const Status& failure, int64_t now_ms) {
  // Neither a wish to stop, damaged state nor a successor that took over gets better by trying
  // again.
  if (failure.code() == StatusCode::kCancelled || failure.code() == StatusCode::kCorruption ||
      failure.code() == StatusCode::kFailedPrecondition) {
    return std::nullopt;
  }
  if (spec_.kind == RestartSpec::Kind::kFailureRate) return OnFailureByRate(now_ms);
  const bool exponential = spec_.kind == RestartSpec::Kind::kDefault ||
                           spec_.kind == RestartSpec::Kind::kExponentialDelay;
  if (exponential && failures_ > 0 && now_ms - last_failure_ms_ >= spec_.reset_after_ms) {
    failures_ = 0;
  }
  last_failure_ms_ = now_ms;
  ++failures_;
  int attempts = spec_.attempts;
  switch (spec_.kind) {
    case RestartSpec::Kind::kNone:
      return std::nullopt;
    case RestartSpec::Kind::kDefault:
      if (!IsTransient(failure)) return std::nullopt;
      attempts = kDefaultAttempts;
      break;
    case RestartSpec::Kind::kFixedDelay:
    case RestartSpec::Kind::kExponentialDelay:
    case RestartSpec::Kind::kFailureRate:
      break;
  }
  if (attempts >= 0 && failures_ > attempts) return std::nullopt;
  if (!exponential) return spec_.delay_ms;
  if (failures_ == 1) {
    delay_ms_ = spec_.delay_ms;
  } else {
    const double next = static_cast<double>(delay_ms_) * spec_.backoff_multiplier;
    delay_ms_ = static_cast<int64_t>(std::min(next, static_cast<double>(spec_.max_delay_ms)));
  }
  return std::min(delay_ms_, spec_.max_delay_ms);
}

// As in Flink: the job fails once there were more failures than allowed, this one among them, in an
// interval that ends now.
std::optional<int64_t> RestartStrategy::OnFailureByRate(int64_t now_ms) {
  failure_times_ms_.push_back(now_ms);
  while (now_ms - failure_times_ms_.front() > spec_.interval_ms) failure_times_ms_.pop_front();
  if (static_cast<int64_t>(failure_times_ms_.size()) > spec_.attempts) return std::nullopt;
  return spec_.delay_ms;
}

}  // namespace headrace
