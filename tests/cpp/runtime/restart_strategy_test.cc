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
