#include "headrace/windows/window_spec.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(WindowSpec, SizesSlidesAndOffsetsUpToTheirLimits) {
  EXPECT_TRUE(WindowSpec::Tumbling(1).Validate().ok());
  EXPECT_FALSE(WindowSpec::Tumbling(0).Validate().ok());
  EXPECT_TRUE(WindowSpec::Tumbling(kWindowSizeMaxMs).Validate().ok());
  EXPECT_FALSE(WindowSpec::Tumbling(kWindowSizeMaxMs + 1).Validate().ok());

  EXPECT_TRUE(WindowSpec::Sliding(10, 1).Validate().ok());
  EXPECT_TRUE(WindowSpec::Sliding(10, 0).Validate().message().starts_with("window slide"));
  EXPECT_TRUE(WindowSpec::Sliding(10, kWindowSizeMaxMs).Validate().ok());
  EXPECT_FALSE(WindowSpec::Sliding(10, kWindowSizeMaxMs + 1).Validate().ok());

  EXPECT_TRUE(WindowSpec::Sliding(10, 5, 4).Validate().ok());
  EXPECT_FALSE(WindowSpec::Sliding(10, 5, 5).Validate().ok());
  EXPECT_TRUE(WindowSpec::Sliding(10, 5, -4).Validate().ok());
  EXPECT_FALSE(WindowSpec::Sliding(10, 5, -5).Validate().ok());
}

TEST(WindowSpec, LatenessMayBeZeroAndNotNegative) {
  WindowSpec spec = WindowSpec::Tumbling(10);
  EXPECT_TRUE(spec.Validate().ok());
  spec.allowed_lateness_ms = -1;
  EXPECT_NE(spec.Validate().message().find("allowed lateness"), std::string::npos);
}

TEST(WindowSpec, TextSaysWhatDiffersFromTheSimplest) {
  EXPECT_EQ(WindowSpec::Tumbling(10).ToString(), "tumbling(10)");
  EXPECT_EQ(WindowSpec::Tumbling(10, 3).ToString(), "tumbling(10, offset 3)");
  EXPECT_EQ(WindowSpec::Sliding(10, 5, -1).ToString(), "sliding(10, 5, offset -1)");
}

}  // namespace
}  // namespace headrace
