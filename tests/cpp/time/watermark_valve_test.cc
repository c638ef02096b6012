#include "headrace/time/watermark_valve.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace headrace {
namespace {

TEST(WatermarkValve, ResultIsTheMinimumOfActiveInputs) {
  WatermarkValve valve(3);
  EXPECT_FALSE(valve.OnWatermark(0, 10).watermark_advanced);
  EXPECT_FALSE(valve.OnWatermark(1, 20).watermark_advanced);
  EXPECT_TRUE(valve.OnWatermark(2, 5).watermark_advanced);
  EXPECT_EQ(valve.watermark(), 5);
  EXPECT_TRUE(valve.OnWatermark(2, 30).watermark_advanced);
  EXPECT_EQ(valve.watermark(), 10);
}

TEST(WatermarkValve, IdleInputDoesNotHoldTheResultBack) {
  WatermarkValve valve(2);
  valve.OnWatermark(0, 10);
  const auto change = valve.OnIdle(1);
  EXPECT_TRUE(change.watermark_advanced);
  EXPECT_FALSE(change.idle_changed);
  EXPECT_EQ(valve.watermark(), 10);
}

TEST(WatermarkValve, WatermarkMakesAnIdleInputActiveAndNeverGoesBack) {
  WatermarkValve valve(2);
  valve.OnWatermark(0, 100);
  valve.OnIdle(1);
  EXPECT_EQ(valve.watermark(), 100);
  EXPECT_FALSE(valve.OnWatermark(1, 50).watermark_advanced);
  EXPECT_EQ(valve.watermark(), 100);
  // It is active and behind: the result waits for it.
  EXPECT_FALSE(valve.OnWatermark(0, 200).watermark_advanced);
  EXPECT_TRUE(valve.OnWatermark(1, 150).watermark_advanced);
  EXPECT_EQ(valve.watermark(), 150);
}

TEST(WatermarkValve, AllIdleStandsAtTheLargestWatermarkInAnyOrder) {
  for (int first : {0, 1}) {
    WatermarkValve valve(2);
    valve.OnWatermark(0, 10);
    valve.OnWatermark(1, 20);
    EXPECT_FALSE(valve.OnIdle(first).idle_changed);
    EXPECT_TRUE(valve.OnIdle(1 - first).idle_changed);
    EXPECT_TRUE(valve.idle());
    EXPECT_EQ(valve.watermark(), 20);
    EXPECT_TRUE(valve.OnActive(0).idle_changed);
    EXPECT_FALSE(valve.idle());
    EXPECT_EQ(valve.watermark(), 20);
  }
}

TEST(WatermarkValve, EndedInputCountsAsTheEndOfTime) {
  WatermarkValve valve(2);
  valve.OnWatermark(0, 10);
  EXPECT_TRUE(valve.OnEnd(1).watermark_advanced);
  EXPECT_EQ(valve.watermark(), 10);
  EXPECT_TRUE(valve.OnEnd(0).watermark_advanced);
  EXPECT_EQ(valve.watermark(), kMaxWatermark);
  EXPECT_FALSE(valve.idle());
}

TEST(WatermarkValve, EndOfOneInputDoesNotFireEverythingWhileTheOtherIsIdle) {
  WatermarkValve valve(2);
  valve.OnWatermark(0, 10);
  valve.OnIdle(0);
  const auto change = valve.OnEnd(1);
  EXPECT_TRUE(change.idle_changed);
  EXPECT_TRUE(valve.idle());
  EXPECT_EQ(valve.watermark(), 10);
  EXPECT_TRUE(valve.OnEnd(0).idle_changed);
  EXPECT_EQ(valve.watermark(), kMaxWatermark);
}

TEST(WatermarkValve, WatermarksAfterTheEndAreIgnored) {
  WatermarkValve valve(2);
  valve.OnEnd(0);
  EXPECT_FALSE(valve.OnWatermark(0, 5).watermark_advanced);
  valve.OnWatermark(1, 7);
  EXPECT_EQ(valve.watermark(), 7);
}

TEST(WatermarkValve, ResultNeverGoesBackUnderRandomEvents) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    WatermarkValve valve(4);
    TimestampMs last = kMinWatermark;
    bool idle = false;
    for (int step = 0; step < 200; ++step) {
      const int input = static_cast<int>(random() % 4);
      WatermarkValve::Change change;
      switch (random() % 20) {
        case 0:
          change = valve.OnIdle(input);
          break;
        case 1:
          change = valve.OnActive(input);
          break;
        case 2:
          if (random() % 8 == 0) change = valve.OnEnd(input);
          break;
        default:
          change = valve.OnWatermark(input, step * 10 - static_cast<int>(random() % 300));
      }
      ASSERT_EQ(change.watermark_advanced, valve.watermark() > last);
      ASSERT_EQ(change.idle_changed, valve.idle() != idle);
      ASSERT_GE(valve.watermark(), last);
      last = valve.watermark();
      idle = valve.idle();
    }
  }
}

}  // namespace
}  // namespace headrace
