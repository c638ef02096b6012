#include <gtest/gtest.h>

#include "headrace/runtime/rate_limiter.h"
#include "headrace/runtime/split_watermarks.h"

namespace headrace {
namespace {

TEST(RateLimiterTest, IsNeverAheadOfTheScheduleAndCatchesUp) {
  RateLimiter limiter(1000);
  EXPECT_EQ(limiter.Allowed(5'000), 0);
  EXPECT_EQ(limiter.NextDueNs(), 5'000 + 20'000'000);
  EXPECT_EQ(limiter.Allowed(5'000 + 19'000'000), 0);
  EXPECT_EQ(limiter.Allowed(5'000 + 20'000'000), 20);
  limiter.Take(20);
  EXPECT_EQ(limiter.Allowed(5'000 + 20'000'000), 0);
  EXPECT_EQ(limiter.Allowed(5'000 + 1'000'000'000), 980);
}

TEST(RateLimiterTest, SlowSourcesGetOneRowAtATime) {
  RateLimiter limiter(2);
  EXPECT_EQ(limiter.Allowed(0), 0);
  EXPECT_EQ(limiter.NextDueNs(), 500'000'000);
  EXPECT_EQ(limiter.Allowed(500'000'000), 1);
}

TEST(WatermarkStrideTest, IsThePowerOfTwoBelowAFifthOfTheRate) {
  EXPECT_EQ(WatermarkStrideRows(0), 1024);
  EXPECT_EQ(WatermarkStrideRows(3), 1);
  EXPECT_EQ(WatermarkStrideRows(100), 16);
  EXPECT_EQ(WatermarkStrideRows(1e6), 1024);
}

class SplitWatermarksTest : public testing::Test {
 protected:
  static WatermarkSpec Spec(int64_t stride_rows, int64_t idle_timeout_ms = 0) {
    WatermarkSpec spec;
    spec.kind = WatermarkSpec::Kind::kMonotonous;
    spec.stride_rows = stride_rows;
    spec.idle_timeout_ms = idle_timeout_ms;
    return spec;
  }
  // Feeds one row.
  static bool Row(SplitWatermarks* time, int split, TimestampMs timestamp) {
    bool advanced = false;
    EXPECT_EQ(time->Observe(split, &timestamp, 1, &advanced), 1);
    return advanced;
  }
};

TEST_F(SplitWatermarksTest, UnreadSplitHoldsTimeBackUnlessTimeOrdered) {
  for (const bool ordered : {false, true}) {
    SplitWatermarks time(Spec(1), ordered);
    ASSERT_TRUE(time.AddSplit("", false).ok());
    ASSERT_TRUE(time.AddSplit("", false).ok());
    EXPECT_EQ(Row(&time, 0, 100), ordered);
    EXPECT_EQ(time.watermark(), ordered ? 99 : kMinWatermark);
  }
}

TEST_F(SplitWatermarksTest, CutsBatchesExactlyWhereTheWatermarkAdvances) {
  SplitWatermarks time(Spec(4), false);
  ASSERT_TRUE(time.AddSplit("", false).ok());
  const TimestampMs rows[] = {1, 2, 3, 4, 4, 4, 4, 4, 9, 9, 9, 9, 9};
  bool advanced = false;
  EXPECT_EQ(time.Observe(0, rows, 13, &advanced), 4);
  EXPECT_TRUE(advanced);
  // Rows 5 to 8 bring nothing new, so the cut comes at row 12.
  EXPECT_EQ(time.Observe(0, rows + 4, 9, &advanced), 8);
  EXPECT_EQ(time.watermark(), 8);
  EXPECT_EQ(time.Observe(0, rows + 12, 1, &advanced), 1);
  EXPECT_FALSE(advanced);
}

TEST_F(SplitWatermarksTest, RestoredGeneratorContinuesAtTheSameRows) {
  SplitWatermarks first(Spec(4), false);
  ASSERT_TRUE(first.AddSplit("", false).ok());
  for (const TimestampMs t : {10, 20, 30, 40, 50, 60}) Row(&first, 0, t);
  SplitWatermarks second(Spec(4), false);
  ASSERT_TRUE(second.AddSplit(first.Snapshot(0), false).ok());
  second.Start();
  EXPECT_EQ(second.watermark(), 39);
  EXPECT_FALSE(Row(&second, 0, 70));
  EXPECT_TRUE(Row(&second, 0, 80));
  EXPECT_EQ(second.watermark(), 79);
}

TEST_F(SplitWatermarksTest, RestoredSplitsAreCombinedOnceAllAreThere) {
  SplitWatermarks ahead(Spec(1), false);
  SplitWatermarks behind(Spec(1), false);
  ASSERT_TRUE(ahead.AddSplit("", false).ok());
  ASSERT_TRUE(behind.AddSplit("", false).ok());
  Row(&ahead, 0, 1000);
  Row(&behind, 0, 10);
  SplitWatermarks both(Spec(1), false);
  ASSERT_TRUE(both.AddSplit(ahead.Snapshot(0), false).ok());
  ASSERT_TRUE(both.AddSplit(behind.Snapshot(0), false).ok());
  both.Start();
  EXPECT_EQ(both.watermark(), 9);
}

TEST_F(SplitWatermarksTest, SilentSplitBecomesIdleAndComesBack) {
  SplitWatermarks time(Spec(1, 100), false);
  ASSERT_TRUE(time.AddSplit("", false).ok());
  ASSERT_TRUE(time.AddSplit("", false).ok());
  Row(&time, 0, 50);
  EXPECT_FALSE(time.OnQuiet(99'000'000));
  Row(&time, 0, 60);
  EXPECT_TRUE(time.OnQuiet(1'000'000));  // split 1 has been silent for 100 ms
  EXPECT_EQ(time.watermark(), 59);
  EXPECT_FALSE(time.idle());
  EXPECT_TRUE(time.OnQuiet(100'000'000));
  EXPECT_TRUE(time.idle());
  Row(&time, 1, 5);
  EXPECT_FALSE(time.idle());
  EXPECT_EQ(time.watermark(), 59) << "never goes back";
}

TEST_F(SplitWatermarksTest, FinishedSplitSaysItsLastWordAndIsIgnoredAfterwards) {
  SplitWatermarks time(Spec(8), false);
  ASSERT_TRUE(time.AddSplit("", false).ok());
  Row(&time, 0, 70);
  EXPECT_TRUE(time.OnFinished(0));
  EXPECT_EQ(time.watermark(), 69);
}

}  // namespace
}  // namespace headrace
