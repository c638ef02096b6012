#include "headrace/checkpoint/interval_log.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "testing/failpoint_actions.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr char kPath[] = "/job/interval-decisions.jsonl";

IntervalLogEntry Entry(CheckpointId checkpoint) {
  IntervalLogEntry entry;
  entry.checkpoint = checkpoint;
  entry.run = 3;
  entry.decided_ms = 1700000000000;
  entry.cost.interval_s = 0.25;
  entry.cost.bytes = 1234567;
  entry.decision.interval_ms = 500;
  entry.decision.why = "the \"budget\"";
  entry.decision.budget_ms = 400;
  return entry;
}

TEST(IntervalLogTest, LineIsAJsonObject) {
  IntervalLogEntry entry = Entry(7);
  entry.decision.change_rate = std::numeric_limits<double>::infinity();
  EXPECT_EQ(IntervalLogLine(entry),
            "{\"checkpoint\": 7, \"run\": 3, \"decided_ms\": 1700000000000, \"interval_ms\": 500, "
            "\"why\": \"the \\\"budget\\\"\", \"interval_s\": 0.25, \"seconds\": 0, "
            "\"bytes\": 1.23457e+06, \"state_bytes\": 0, \"rows\": 0, \"change_rate\": null, "
            "\"dirty_bytes\": 0, \"budget_rate\": 0, \"fixed_s\": 0, \"replay_share\": 0, "
            "\"budget_ms\": 400, \"optimum_ms\": 0, \"recovery_ms\": -1}\n");
}

TEST(IntervalLogTest, OldestLinesGoWhereThereAreTooMany) {
  std::string log;
  for (size_t i = 0; i < kIntervalLogLinesMax + 5; ++i) {
    log = WithLine(std::move(log), std::to_string(i) + "\n");
  }
  EXPECT_TRUE(log.starts_with("5\n6\n"));
  EXPECT_TRUE(log.ends_with("\n" + std::to_string(kIntervalLogLinesMax + 4) + "\n"));
}

class IntervalLogFileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(env_.files().MakeDirectories("/job").ok()); }
  SimEnv env_{1};
};

TEST_F(IntervalLogFileTest, LinesOfEarlierRunsStayInFront) {
  for (CheckpointId run = 0; run < 3; ++run) {
    IntervalLog log(env_.files(), "/job", nullptr, /*secret=*/false);
    ASSERT_TRUE(log.Append(Entry(2 * run)).ok());
    ASSERT_TRUE(log.Append(Entry(2 * run + 1)).ok());
  }
  std::string expected;
  for (CheckpointId id = 0; id < 6; ++id) expected += IntervalLogLine(Entry(id));
  EXPECT_EQ(*env_.files().ReadAll(kPath), expected);
  EXPECT_EQ(env_.files().List("/job")->size(), 1u);
}

TEST_F(IntervalLogFileTest, WhatCannotBeWrittenComesWithTheNextLine) {
  IntervalLog log(env_.files(), "/job", nullptr, /*secret=*/true);
  std::string expected;
  int failed = 0;
  for (CheckpointId id = 1; id <= 8; ++id) {
    expected += IntervalLogLine(Entry(id));
    {
      ScopedFailpoints points;
      points.FailAt(id, Status::IoError("disk"));
      failed += !log.Append(Entry(id)).ok();
    }
    // The file is as it was or as it should be; the next line brings both.
    const auto before = env_.files().ReadAll(kPath);
    EXPECT_TRUE(!before.ok() || expected.starts_with(*before));
  }
  EXPECT_GE(failed, 4);
  ASSERT_TRUE(log.Append(Entry(9)).ok());
  EXPECT_EQ(*env_.files().ReadAll(kPath), expected + IntervalLogLine(Entry(9)));
}

}  // namespace
}  // namespace headrace
