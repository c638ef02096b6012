#include "headrace/runtime/barrier_aligner.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

using Outcome = BarrierAligner::Outcome;

TEST(BarrierAlignerTest, BlocksAChannelUntilAllDelivered) {
  BarrierAligner aligner(3);
  EXPECT_EQ(aligner.OnBarrier(1, 5), Outcome::kNothing);
  EXPECT_TRUE(aligner.blocked(1));
  EXPECT_FALSE(aligner.blocked(0));
  EXPECT_EQ(aligner.OnBarrier(0, 5), Outcome::kNothing);
  EXPECT_EQ(aligner.OnBarrier(2, 5), Outcome::kAligned);
  EXPECT_EQ(aligner.checkpoint(), 5u);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(aligner.blocked(i));
}

TEST(BarrierAlignerTest, EndedChannelsCountAsAligned) {
  BarrierAligner aligner(2);
  EXPECT_EQ(aligner.OnEnd(0), Outcome::kNothing);
  EXPECT_EQ(aligner.OnBarrier(1, 1), Outcome::kAligned);
  BarrierAligner waiting(2);
  EXPECT_EQ(waiting.OnBarrier(0, 1), Outcome::kNothing);
  EXPECT_EQ(waiting.OnEnd(1), Outcome::kAligned);
  EXPECT_EQ(waiting.OnEnd(0), Outcome::kNothing);
  EXPECT_TRUE(waiting.all_ended());
}

TEST(BarrierAlignerTest, NewerBarrierGivesUpTheOlderAndOlderIsIgnored) {
  BarrierAligner aligner(2);
  aligner.OnBarrier(0, 1);
  EXPECT_EQ(aligner.OnBarrier(1, 2), Outcome::kNothing);
  EXPECT_FALSE(aligner.blocked(0));
  EXPECT_TRUE(aligner.blocked(1));
  EXPECT_EQ(aligner.OnBarrier(0, 1), Outcome::kNothing);
  EXPECT_EQ(aligner.OnBarrier(0, 2), Outcome::kAligned);
}

TEST(BarrierAlignerTest, AtLeastOnceAlignsWithoutBlockingAnybody) {
  BarrierAligner aligner(2, /*at_least_once=*/true);
  EXPECT_EQ(aligner.OnBarrier(0, 1), Outcome::kNothing);
  EXPECT_FALSE(aligner.blocked(0));
  EXPECT_EQ(aligner.OnBarrier(1, 1), Outcome::kAligned);
  EXPECT_EQ(aligner.OnBarrier(0, 2), Outcome::kNothing);
  EXPECT_EQ(aligner.OnEnd(0), Outcome::kNothing) << "a channel that is not held back may end";
  EXPECT_EQ(aligner.OnBarrier(1, 2), Outcome::kAligned);
  EXPECT_EQ(aligner.OnBarrier(1, 3), Outcome::kAligned);
  BarrierAligner ends(2, /*at_least_once=*/true);
  EXPECT_EQ(ends.OnBarrier(0, 1), Outcome::kNothing);
  EXPECT_EQ(ends.OnEnd(0), Outcome::kNothing);
  EXPECT_EQ(ends.OnEnd(1), Outcome::kAligned);
  EXPECT_TRUE(ends.all_ended());
}

}  // namespace
}  // namespace headrace
