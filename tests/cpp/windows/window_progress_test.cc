#include "headrace/windows/window_progress.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

OperatorState StateAt(const KeyGroupRange& range, TimestampMs watermark) {
  WindowProgress progress;
  progress.Advance(watermark);
  OperatorState state;
  progress.Snapshot(range, &state);
  return state;
}

TEST(WindowProgress, ComesBackAtTheSameWatermark) {
  WindowProgress progress;
  ASSERT_TRUE(progress.Restore(StateAt({0, 127}, 42), {0, 127}).ok());
  EXPECT_EQ(progress.watermark(), 42);
  EXPECT_EQ(progress.fired_through(), 42);
  EXPECT_FALSE(progress.uneven());
}

TEST(WindowProgress, KnowsPerKeyGroupWhatFormerSubtasksFired) {
  const OperatorState merged =
      OperatorState::Redistribute({StateAt({0, 63}, 10), StateAt({64, 127}, 30)}, 0, 1);
  WindowProgress progress;
  ASSERT_TRUE(progress.Restore(merged, {0, 127}).ok());
  EXPECT_EQ(progress.watermark(), 30);
  EXPECT_EQ(progress.fired_through(), 10);
  EXPECT_FALSE(progress.Fired(0, 20));
  EXPECT_TRUE(progress.Fired(64, 20));
  EXPECT_TRUE(progress.Fired(64, 30));
  EXPECT_FALSE(progress.Fired(64, 31));
  EXPECT_TRUE(progress.Fired(0, 10));
  // A second restore from its own snapshot changes nothing.
  OperatorState again;
  progress.Snapshot({0, 127}, &again);
  WindowProgress other;
  ASSERT_TRUE(other.Restore(again, {0, 127}).ok());
  EXPECT_FALSE(other.Fired(63, 20));
  EXPECT_TRUE(other.Fired(127, 20));
  EXPECT_TRUE(other.Fired(64, 20));
  other.Advance(31);
  EXPECT_FALSE(other.uneven());
  EXPECT_TRUE(other.Fired(0, 31));
}

TEST(WindowProgress, ASubtaskWithoutKeyGroupsHasNothingToKeep) {
  EXPECT_TRUE(StateAt({5, 4}, 42).Items("window-watermark").empty());
}

TEST(WindowProgress, RefusesKeyGroupsThatCannotBe) {
  const auto restored = [](const KeyGroupRange& range) {
    WindowProgress progress;
    return progress.Restore(StateAt(range, 42), {0, 127}).code();
  };
  EXPECT_EQ(restored({7, 7}), StatusCode::kOk);
  EXPECT_EQ(restored({0, kMaxParallelismLimit - 1}), StatusCode::kOk);
  EXPECT_EQ(restored({0, kMaxParallelismLimit}), StatusCode::kCorruption);
}

TEST(WindowProgress, RefusesDamagedItems) {
  OperatorState state;
  state.Set("window-watermark", Redistribution::kUnion, {"x"});
  WindowProgress progress;
  EXPECT_EQ(progress.Restore(state, {0, 127}).code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace headrace
