#include "headrace/windows/batch_slices.h"

#include <gtest/gtest.h>

#include <set>

#include "types/column_of.h"

namespace headrace {
namespace {

/// A batch of these times; the buffer goes on behind its last row with the time 7,777,777.
RecordBatch BatchOf(std::vector<TimestampMs> times) {
  RecordBatch batch;
  batch.num_rows = static_cast<int64_t>(times.size());
  times.push_back(7'777'777);
  batch.timestamps =
      Int64s(std::vector<std::optional<int64_t>>(times.begin(), times.end()))->values;
  return batch;
}

/// Rows must lie in the slices of their times; `starts` are all slices of the batch.
void ExpectSlices(int64_t slice_ms, const std::vector<TimestampMs>& times,
                  const std::vector<TimestampMs>& starts) {
  const SliceLayout layout(WindowSpec::Tumbling(slice_ms));
  BatchSlices slices(layout);
  ASSERT_TRUE(slices.Assign(BatchOf(times)).ok());
  ASSERT_EQ(slices.starts(), starts);
  for (size_t row = 0; starts.size() > 1 && row < times.size(); ++row) {
    EXPECT_EQ(starts[slices.slice_of_row()[row]], layout.SliceStart(times[row])) << times[row];
  }
}

TEST(BatchSlices, OneSliceAndTwo) {
  ExpectSlices(10, {10, 19, 12}, {10});
  ExpectSlices(10, {19, 10, 20, 29}, {10, 20});
}

TEST(BatchSlices, RowsAtTheEdgesOfSlicesWhoseLengthHasNoExactInverse) {
  // As doubles, 49 * (1 / 49) is less than 1.
  std::vector<TimestampMs> times, starts;
  for (TimestampMs start = -490; start <= 9'800; start += 49) {
    times.insert(times.end(), {start, start + 48});
    starts.push_back(start);
  }
  ExpectSlices(49, times, starts);
}

TEST(BatchSlices, FarApartOnesAreThoseThatHaveRows) {
  const TimestampMs far = int64_t{1} << 60;
  ExpectSlices(10, {far + 5, 3, -far, 100'003, 9}, {-far - 4, 0, 100'000, far + 4});
}

TEST(BatchSlices, TimesUpToTheLimitsAndNoFurther) {
  const SliceLayout layout(WindowSpec::Tumbling(10));
  BatchSlices slices(layout);
  const TimestampMs limit = kEventTimeLimitMs;
  EXPECT_TRUE(slices.Assign(BatchOf({-limit})).ok());
  EXPECT_TRUE(slices.Assign(BatchOf({limit})).ok());
  const auto named = [&](std::vector<TimestampMs> times, TimestampMs time) {
    const Status status = slices.Assign(BatchOf(std::move(times)));
    return status.code() == StatusCode::kInvalidArgument &&
           status.message().find(std::to_string(time)) != std::string::npos;
  };
  EXPECT_TRUE(named({0, -limit - 1}, -limit - 1));
  EXPECT_TRUE(named({0, limit + 1}, limit + 1));
  EXPECT_TRUE(named({-limit, limit + 1}, limit + 1));
}

}  // namespace
}  // namespace headrace
