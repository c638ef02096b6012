#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "headrace/base/status.h"

namespace headrace {

/// Which failures restart a job, how often and when. Plain data.
struct RestartSpec {
  enum class Kind : uint8_t {
    kDefault,  ///< user errors fail at once; I/O errors are retried 3 times with exponential delay
    kNone,
    kFixedDelay,
    kExponentialDelay,
    kFailureRate,  ///< as long as no more than `attempts` failures fall into one `interval_ms`
  };
  Kind kind = Kind::kDefault;
  int attempts = 1;         ///< kFixedDelay, kFailureRate; kExponentialDelay: -1 = for ever
  int64_t delay_ms = 1000;  ///< kFixedDelay, kFailureRate; first delay of kExponentialDelay
  double backoff_multiplier = 1.5;
  int64_t max_delay_ms = 60000;
  int64_t reset_after_ms = 3600000;  ///< quiet time after which the delay starts over
  int64_t interval_ms = 60000;       ///< kFailureRate
};

/// Pure decisions of one job's restarts. Threading: owned by the job loop.
class RestartStrategy {
 public:
  explicit RestartStrategy(const RestartSpec& spec) : spec_(spec) {}
  /// Delay before the next attempt, or nullopt to give up.
  std::optional<int64_t> OnFailure(const Status& failure, int64_t now_ms);

 private:
  std::optional<int64_t> OnFailureByRate(int64_t now_ms);

  RestartSpec spec_;
  int failures_ = 0;
  int64_t delay_ms_ = 0;
  int64_t last_failure_ms_ = 0;
  std::deque<int64_t> failure_times_ms_;  // of kFailureRate, within the interval
};

}  // namespace headrace
