#include "headrace/base/status.h"

#include <gtest/gtest.h>

#include "headrace/base/check.h"

namespace headrace {
namespace {

struct TracebackPayload : StatusPayload {};

Result<int> Half(int value) {
  if (value % 2 != 0) return Status::InvalidArgument(std::to_string(value) + " is odd");
  return value / 2;
}

Status HalfTwice(int value, int* out) {
  HR_ASSIGN_OR_RETURN(const int half, Half(value));
  HR_ASSIGN_OR_RETURN(*out, Half(half));
  return Status::Ok();
}

TEST(StatusTest, OkHasNoMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.payload(), nullptr);
  EXPECT_EQ(status.ToString(), "Ok");
  EXPECT_TRUE(status.WithContext("x").ok());
  EXPECT_TRUE(Status(StatusCode::kOk, "ignored").ok());
}

TEST(StatusTest, ContextGoesInFrontAndKeepsCodeAndPayload) {
  const auto payload = std::make_shared<TracebackPayload>();
  const Status status = Status::UserError("boom", payload).WithContext("map").WithContext("job");
  EXPECT_EQ(status.code(), StatusCode::kUserError);
  EXPECT_EQ(status.message(), "job: map: boom");
  EXPECT_EQ(status.payload(), payload);
  EXPECT_EQ(status.ToString(), "UserError: job: map: boom");
}

TEST(StatusTest, EveryCodeHasAName) {
  for (int code = 0; code <= static_cast<int>(StatusCode::kInternal); ++code) {
    EXPECT_NE(StatusCodeName(static_cast<StatusCode>(code)), "Unknown") << code;
  }
}

TEST(StatusTest, ResultHoldsValueOrFailure) {
  EXPECT_EQ(*Half(4), 2);
  EXPECT_TRUE(Half(4).status().ok());
  EXPECT_EQ(Half(3).status().message(), "3 is odd");
}

TEST(StatusTest, MacrosReturnTheFirstFailure) {
  int out = 0;
  EXPECT_TRUE(HalfTwice(12, &out).ok());
  EXPECT_EQ(out, 3);
  EXPECT_EQ(HalfTwice(6, &out).message(), "3 is odd");
}

TEST(CheckDeathTest, PrintsBothValuesAndAborts) {
  EXPECT_DEATH(HR_CHECK_EQ(1 + 1, 3), "status_test.cc:[0-9]+: check failed: .*2 vs 3");
  EXPECT_DEATH(HR_CHECK(false), "check failed: false");
}

}  // namespace
}  // namespace headrace
