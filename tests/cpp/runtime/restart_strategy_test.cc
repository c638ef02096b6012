#include "headrace/runtime/restart_strategy.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(RestartStrategyTest, DefaultRetriesIoErrorsThreeTimesAndUserErrorsNever) {
  RestartStrategy strategy{RestartSpec{}};
  const Status io = Status::IoError("disk");
  EXPECT_EQ(strategy.OnFailure(io, 0), 1000);
  EXPECT_EQ(strategy.OnFailure(io, 1), 1500);
  EXPECT_EQ(strategy.OnFailure(io, 2), 2250);
  EXPECT_EQ(strategy.OnFailure(io, 3), std::nullopt);
  RestartStrategy other{RestartSpec{}};
  EXPECT_EQ(other.OnFailure(Status::UserError("raised", nullptr), 0), std::nullopt);
}

TEST(RestartStrategyTest, FixedDelayCountsAttempts) {
  RestartSpec spec;
  spec.kind = RestartSpec::Kind::kFixedDelay;
  spec.attempts = 2;
  spec.delay_ms = 7;
  RestartStrategy strategy(spec);
  const Status user = Status::UserError("raised", nullptr);
  EXPECT_EQ(strategy.OnFailure(user, 0), 7);
  EXPECT_EQ(strategy.OnFailure(user, 0), 7);
  EXPECT_EQ(strategy.OnFailure(user, 0), std::nullopt);
}

TEST(RestartStrategyTest, AJobThatWasSucceededNeverTriesAgain) {
  RestartSpec spec;
  spec.kind = RestartSpec::Kind::kFixedDelay;
  spec.attempts = -1;
  RestartStrategy strategy(spec);
  EXPECT_EQ(strategy.OnFailure(Status::FailedPrecondition("run 1 was succeeded by run 2"), 0),
            std::nullopt);
}

TEST(RestartStrategyTest, ExponentialDelayIsCappedAndStartsOverAfterQuiet) {
  RestartSpec spec;
  spec.kind = RestartSpec::Kind::kExponentialDelay;
  spec.attempts = -1;
  spec.delay_ms = 100;
  spec.backoff_multiplier = 10;
  spec.max_delay_ms = 500;
  spec.reset_after_ms = 1000;
  RestartStrategy strategy(spec);
  const Status io = Status::IoError("disk");
  EXPECT_EQ(strategy.OnFailure(io, 0), 100);
  EXPECT_EQ(strategy.OnFailure(io, 10), 500);
  EXPECT_EQ(strategy.OnFailure(io, 20), 500);
  EXPECT_EQ(strategy.OnFailure(io, 2000), 100);
}

RestartStrategy AtMost(int failures, int64_t interval_ms, int64_t delay_ms) {
  RestartSpec spec;
  spec.kind = RestartSpec::Kind::kFailureRate;
  spec.attempts = failures;
  spec.interval_ms = interval_ms;
  spec.delay_ms = delay_ms;
  return RestartStrategy(spec);
}

TEST(RestartStrategyTest, FailureRateGivesUpWhenAnIntervalHoldsTooManyFailures) {
  RestartStrategy strategy = AtMost(2, /*interval_ms=*/100, /*delay_ms=*/5);
  const Status user = Status::UserError("raised", nullptr);
  EXPECT_EQ(strategy.OnFailure(user, 0), 5);
  EXPECT_EQ(strategy.OnFailure(user, 60), 5);
  EXPECT_EQ(strategy.OnFailure(user, 100), std::nullopt);
}

TEST(RestartStrategyTest, FailureRateForgetsFailuresOlderThanTheInterval) {
  RestartStrategy strategy = AtMost(2, /*interval_ms=*/100, /*delay_ms=*/5);
  const Status io = Status::IoError("disk");
  // A failure each 51 ms: never more than two in 100 ms, however many there are.
  for (int64_t now = 0; now < 51 * 1000; now += 51) EXPECT_EQ(strategy.OnFailure(io, now), 5);
}

TEST(RestartStrategyTest, FailureRateOfNoneAllowedIsNoRestart) {
  RestartStrategy strategy = AtMost(0, 100, 5);
  EXPECT_EQ(strategy.OnFailure(Status::IoError("disk"), 0), std::nullopt);
}

TEST(RestartStrategyTest, NeverRestartsAfterCancelOrDamage) {
  RestartSpec spec;
  spec.kind = RestartSpec::Kind::kExponentialDelay;
  spec.attempts = -1;
  RestartStrategy strategy(spec);
  EXPECT_EQ(strategy.OnFailure(Status::Cancelled("stop"), 0), std::nullopt);
  EXPECT_EQ(strategy.OnFailure(Status::Corruption("bits"), 0), std::nullopt);
}

}  // namespace
}  // namespace headrace
