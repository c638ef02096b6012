#include "headrace/checkpoint/interval_policy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace headrace {
namespace {

IntervalPolicyOptions Options() {
  IntervalPolicyOptions options;
  options.enabled = true;
  options.min_ms = 100;
  options.max_ms = 600'000;
  return options;
}

// A job whose state of `state_bytes` changes uniformly at `change` of the rest a second.
struct Job {
  double state_bytes = 1e9;
  double change = 0.001;
  double fixed_s = 0.01;
  double bytes_per_second = 200e6;
  double rows_per_second = 1000;
  double top_rows_per_second = 1000;

  CheckpointCost After(double interval_s, int64_t at_ms) const {
    const double bytes = state_bytes * (1 - std::exp(-change * interval_s));
    return Cost(bytes, interval_s, rows_per_second * interval_s, at_ms);
  }
  CheckpointCost Full(int64_t at_ms) const {
    return Cost(state_bytes, 1, top_rows_per_second, at_ms);
  }

 private:
  CheckpointCost Cost(double bytes, double interval_s, double rows, int64_t at_ms) const {
    return {.ended_ms = at_ms,
            .interval_s = interval_s,
            .seconds = fixed_s + bytes / bytes_per_second,
            .bytes = bytes,
            .state_bytes = state_bytes,
            .rows = rows};
  }
};

// Runs the policy until it stands still.
std::vector<IntervalDecision> Decisions(const IntervalPolicyOptions& options, const Job& job,
                                        int checkpoints = 60) {
  IntervalPolicy policy(options);
  std::vector<IntervalDecision> decisions;
  int64_t at_ms = 0;
  decisions.push_back(policy.OnCheckpoint(job.Full(at_ms)));
  for (int i = 1; i < checkpoints; ++i) {
    const double interval_s = static_cast<double>(decisions.back().interval_ms) / 1000;
    at_ms += decisions.back().interval_ms;
    decisions.push_back(policy.OnCheckpoint(job.After(interval_s, at_ms)));
  }
  return decisions;
}

TEST(CostWindowTest, SlidingWindowRestsOnTheLastCheckpoints) {
  IntervalPolicyOptions options;
  options.last_checkpoints = 2;
  CostWindow window(options);
  for (const double bytes : {1000.0, 100.0, 300.0}) {
    window.Add({.ended_ms = 0, .interval_s = 2, .bytes = bytes, .rows = bytes / 10});
  }
  EXPECT_EQ(window.size(), 2u);
  EXPECT_DOUBLE_EQ(window.bytes(), 200);
  EXPECT_DOUBLE_EQ(window.change_rate(), 100);
  EXPECT_DOUBLE_EQ(window.rows_per_second(), 10);
}

TEST(CostWindowTest, TimeWindowRestsOnWhatEndedLatelyAndNeverOnNothing) {
  IntervalPolicyOptions options;
  options.estimate = EstimateOver::kTime;
  options.window_ms = 10'000;
  CostWindow window(options);
  int64_t at_ms = 0;
  for (const double bytes : {100.0, 200.0, 600.0}) {
    window.Add({.ended_ms = at_ms += 6000, .interval_s = 6, .bytes = bytes});
  }
  EXPECT_EQ(window.size(), 2u);
  EXPECT_DOUBLE_EQ(window.bytes(), 400);
  window.Add({.ended_ms = 1'000'000, .interval_s = 900, .bytes = 9});
  EXPECT_EQ(window.size(), 1u);
  EXPECT_DOUBLE_EQ(window.bytes(), 9);
}

TEST(CostWindowTest, TimeWindowHoldsWhatIsJustAsOldAsItIsLong) {
  IntervalPolicyOptions options;
  options.estimate = EstimateOver::kTime;
  options.window_ms = 10'000;
  CostWindow window(options);
  window.Add({.ended_ms = 5000, .interval_s = 1, .bytes = 1});
  window.Add({.ended_ms = 15'000, .interval_s = 1, .bytes = 1});
  EXPECT_EQ(window.size(), 2u);
  window.Add({.ended_ms = 15'001, .interval_s = 1, .bytes = 1});
  EXPECT_EQ(window.size(), 2u);
}

TEST(CostLineTest, TellsTheFixedPartFromTheSpeed) {
  CostLine line;
  EXPECT_EQ(line.fixed_s(), 0);
  line.Add(100, 1.5);
  EXPECT_DOUBLE_EQ(line.fixed_s(), 1.5) << "one checkpoint tells nothing of speed";
  for (const double bytes : {400.0, 1000.0, 250.0}) line.Add(bytes, 0.5 + bytes / 100);
  EXPECT_NEAR(line.fixed_s(), 0.5, 1e-9);
  EXPECT_NEAR(line.bytes_per_second(), 100, 1e-6);
}

TEST(IntervalPolicyTest, TheFirstDecisionIsBoundByNoneBefore) {
  const IntervalDecision first = Decisions(Options(), Job(), 1).front();
  EXPECT_EQ(first.why, "least overhead and replay");
  EXPECT_EQ(first.interval_ms, first.optimum_ms);
  EXPECT_GT(first.interval_ms, first.budget_ms);
}

TEST(IntervalPolicyTest, AJobThatDoesNothingHasTheShortest) {
  IntervalPolicy policy(Options());
  const IntervalDecision decision = policy.OnCheckpoint({.ended_ms = 0, .interval_s = 1});
  EXPECT_EQ(decision.why, "min");
  EXPECT_EQ(decision.interval_ms, Options().min_ms);
  EXPECT_EQ(decision.dirty_bytes, 0);
  EXPECT_EQ(decision.replay_share, 1) << "nothing is known of its speed";
}

TEST(IntervalPolicyTest, CheckpointsThatNoIntervalSustainsHaveTheLongest) {
  IntervalPolicyOptions options = Options();
  options.max_ms = 5000;
  IntervalPolicy policy(options);
  const IntervalDecision decision =
      policy.OnCheckpoint({.ended_ms = 0, .interval_s = 1, .seconds = 3600, .rows = 10});
  EXPECT_EQ(decision.why, "max");
  EXPECT_EQ(decision.interval_ms, 5000);
}

TEST(IntervalPolicyTest, NoTimeToRecoverIsATargetToo) {
  IntervalPolicyOptions options = Options();
  options.target_recovery_ms = 0;
  const IntervalDecision first = Decisions(options, Job(), 1).front();
  EXPECT_EQ(first.recovery_ms, 0);
  EXPECT_EQ(first.interval_ms, first.budget_ms);
  EXPECT_EQ(first.why, "byte budget, which rules the recovery target out");
}

TEST(IntervalPolicyTest, IsTheOptimumWhereTheBudgetAllowsIt) {
  Job job;
  job.change = 1e-6;
  IntervalPolicyOptions options = Options();
  options.failure_every_ms = 3'600'000;
  const IntervalDecision last = Decisions(options, job).back();
  // Young: sqrt(2 · cost · time between failures), as hardly anything changes.
  EXPECT_NEAR(static_cast<double>(last.interval_ms), std::sqrt(2 * 0.01 * 3600) * 1000, 500);
  EXPECT_EQ(last.why, "least overhead and replay");
  EXPECT_GE(last.interval_ms, last.budget_ms);
}

TEST(IntervalPolicyTest, NeverIsShorterThanTheByteBudgetSustains) {
  for (const double change : {1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0}) {
    Job job;
    job.change = change;
    IntervalPolicyOptions options = Options();
    options.failure_every_ms = 1000;  // replay costs so much that only the budget holds it back
    const IntervalDecision last = Decisions(options, job).back();
    const double interval_s = static_cast<double>(last.interval_ms) / 1000;
    const double seconds = job.After(interval_s, 0).seconds;
    EXPECT_LE(seconds, options.target_overhead * interval_s * 1.05) << change;
    // T = D / F, but for the fixed cost.
    EXPECT_GE(interval_s, 0.97 * last.dirty_bytes / last.budget_rate) << change;
  }
}

TEST(IntervalPolicyTest, KeepsToItsLimitsWhateverComes) {
  uint64_t state = 1;
  const auto random = [&state](double from, double to) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return from * std::pow(to / from, static_cast<double>(state >> 40) / (1 << 24));
  };
  for (int run = 0; run < 200; ++run) {
    IntervalPolicyOptions options = Options();
    options.max_ms = 5000;
    options.target_overhead = random(0.001, 1);
    if (run % 2 == 0) options.target_recovery_ms = static_cast<int64_t>(random(1, 1e6));
    if (run % 3 == 0) options.estimate = EstimateOver::kTime;
    IntervalPolicy policy(options);
    for (int i = 0; i < 30; ++i) {
      const IntervalDecision decision =
          policy.OnCheckpoint({.ended_ms = i * 1000,
                               .interval_s = run % 5 == 0 ? 0 : random(1e-3, 1e3),
                               .seconds = random(1e-4, 1e3),
                               .bytes = i % 7 == 0 ? 0 : random(1, 1e12),
                               .state_bytes = random(1, 1e12),
                               .rows = random(1, 1e9)});
      ASSERT_GE(decision.interval_ms, options.min_ms);
      ASSERT_LE(decision.interval_ms, options.max_ms);
      ASSERT_GE(decision.interval_ms, std::min(decision.budget_ms, options.max_ms));
      ASSERT_FALSE(decision.why.empty());
    }
  }
}

TEST(IntervalPolicyTest, MoreDirtyBytesNeverGiveAShorterInterval) {
  for (const int64_t failure_every_ms : {60'000, 3'600'000, 86'400'000}) {
    for (const EstimateOver estimate : {EstimateOver::kLastCheckpoints, EstimateOver::kTime}) {
      int64_t before = 0;
      for (double change = 1e-6; change < 10; change *= 3) {
        Job job;
        job.change = change;
        IntervalPolicyOptions options = Options();
        options.failure_every_ms = failure_every_ms;
        options.estimate = estimate;
        const int64_t interval_ms = Decisions(options, job, 100).back().interval_ms;
        EXPECT_GE(static_cast<double>(interval_ms), 0.97 * static_cast<double>(before)) << change;
        before = interval_ms;
      }
    }
  }
}

TEST(IntervalPolicyTest, ARecoveryTargetBoundsItUnlessTheBudgetForbids) {
  Job job;
  job.change = 1e-5;
  IntervalPolicyOptions options = Options();
  options.target_recovery_ms = 8000;
  const IntervalDecision bound = Decisions(options, job).back();
  EXPECT_EQ(bound.why, "recovery target");
  // 1 GB is restored in 3.3 s; the rest is for the replay, at the same speed as the first time.
  EXPECT_NEAR(static_cast<double>(bound.interval_ms), 4667, 50);
  job.change = 1;
  const IntervalDecision forbidden = Decisions(options, job).back();
  EXPECT_EQ(forbidden.why, "byte budget, which rules the recovery target out");
  EXPECT_GT(forbidden.interval_ms, bound.interval_ms);
}

TEST(IntervalPolicyTest, WhatIsReplayedFasterMayBeLostMore) {
  Job job;
  job.change = 1e-6;
  const int64_t at_full_speed = Decisions(Options(), job).back().interval_ms;
  job.top_rows_per_second = 100'000;
  const IntervalDecision last = Decisions(Options(), job).back();
  EXPECT_NEAR(last.replay_share, 0.01, 1e-3);
  EXPECT_GT(last.interval_ms, 5 * at_full_speed);
}

TEST(IntervalPolicyTest, ChangesByAFactorOfTwoAtMostButForTheBudget) {
  Job job;
  job.change = 1e-6;
  const std::vector<IntervalDecision> decisions = Decisions(Options(), job);
  for (size_t i = 1; i < decisions.size(); ++i) {
    EXPECT_LE(decisions[i].interval_ms, 2 * decisions[i - 1].interval_ms + 1);
    if (decisions[i].interval_ms == 2 * decisions[i - 1].interval_ms) {
      EXPECT_NE(decisions[i].why.find("twice the last"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace headrace
