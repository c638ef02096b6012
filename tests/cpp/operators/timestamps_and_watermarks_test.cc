#include "headrace/operators/timestamps_and_watermarks.h"

#include <gtest/gtest.h>

#include <random>

#include "testing/operator_harness.h"
#include "testing/sim_env.h"
#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch TimesBatch(const std::vector<int64_t>& times) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kScalar,
                                                std::vector<Field>{{"t", Int64Type(), true}});
  batch.num_rows = static_cast<int64_t>(times.size());
  batch.columns = {Int64s(std::vector<std::optional<int64_t>>(times.begin(), times.end()))};
  return batch;
}

WatermarkSpec Bounded(int64_t bound_ms, int64_t stride_rows) {
  WatermarkSpec spec;
  spec.kind = WatermarkSpec::Kind::kBoundedOutOfOrderness;
  spec.bound_ms = bound_ms;
  spec.stride_rows = stride_rows;
  return spec;
}

TEST(TimestampsAndWatermarks, CutsBatchesAtTheStride) {
  OperatorHarness::Options options;
  options.keyed = false;
  OperatorHarness harness(TimestampsAndWatermarks(0, Bounded(5, 2)), options);
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(TimesBatch({10, 20, 30, 25, 40})).ok());
  ASSERT_TRUE(harness.Watermark(1000).ok());
  ASSERT_TRUE(harness.Finish().ok());
  EXPECT_EQ(harness.OutputText(),
            (std::vector<std::string>{"10 @10", "20 @20", "Watermark(14)", "30 @30", "25 @25",
                                      "Watermark(24)", "40 @40",
                                      "Watermark(" + std::to_string(kMaxWatermark) + ")"}));
}

/// The same rows, cut into random batches, with restores and blocked outputs in between.
std::vector<std::string> RunCut(const std::vector<int64_t>& times, uint64_t seed, bool restore) {
  OperatorHarness::Options options;
  options.keyed = false;
  options.restore_after_each = restore;
  options.room_rows_max = 3;
  options.seed = seed;
  OperatorHarness harness(TimestampsAndWatermarks(0, Bounded(3, 4)), options);
  EXPECT_TRUE(harness.Open().ok());
  std::mt19937_64 random(seed);
  for (size_t at = 0; at < times.size();) {
    const size_t count = std::min<size_t>(1 + random() % 11, times.size() - at);
    EXPECT_TRUE(harness
                    .Process(TimesBatch({times.begin() + static_cast<ptrdiff_t>(at),
                                         times.begin() + static_cast<ptrdiff_t>(at + count)}))
                    .ok());
    at += count;
  }
  return harness.OutputText();
}

TEST(TimestampsAndWatermarks, PutsWatermarksBetweenTheSameRowsHoweverBatchesAreCut) {
  std::mt19937_64 random(3);
  std::vector<int64_t> times;
  for (int i = 0; i < 200; ++i) times.push_back(i + static_cast<int64_t>(random() % 9));
  const std::vector<std::string> reference = RunCut(times, 1, false);
  ASSERT_GT(reference.size(), 220u);
  for (uint64_t seed = 2; seed < 20; ++seed) EXPECT_EQ(RunCut(times, seed, false), reference);
}

TEST(TimestampsAndWatermarks, GoesOnWhereItWasAfterARestore) {
  std::vector<int64_t> times;
  for (int i = 0; i < 100; ++i) times.push_back(i);
  const std::vector<std::string> reference = RunCut(times, 1, false);
  for (uint64_t seed = 2; seed < 10; ++seed) EXPECT_EQ(RunCut(times, seed, true), reference);
}

TEST(TimestampsAndWatermarks, GoesOnFromTheSlowestSubtaskAfterARescale) {
  const auto state_after = [](int index, const std::vector<int64_t>& times) {
    OperatorState empty;
    OperatorContext context;
    context.subtask_index = index;
    context.parallelism = 2;
    context.operator_state = &empty;
    OperatorHarness::Options options;
    options.keyed = false;
    options.parallelism = 2;
    options.subtask_index = index;
    OperatorHarness harness(TimestampsAndWatermarks(0, Bounded(0, 1)), options);
    EXPECT_TRUE(harness.Open().ok());
    EXPECT_TRUE(harness.Process(TimesBatch(times)).ok());
    OperatorState state;
    EXPECT_TRUE(harness.op().Snapshot(1, &state).ok());
    return state;
  };
  OperatorState merged =
      OperatorState::Redistribute({state_after(0, {100, 200}), state_after(1, {50})}, 0, 1);
  auto op = TimestampsAndWatermarks(0, Bounded(0, 1))->Make(0).value();
  OperatorContext context;
  context.operator_state = &merged;
  ASSERT_TRUE(op->Open(context).ok());
  OperatorState again;
  ASSERT_TRUE(op->Snapshot(2, &again).ok());
  OperatorState slowest = state_after(1, {50});
  // Behind index and parallelism stands the generator's own state.
  EXPECT_EQ(again.Items("watermark-generator")[0].substr(2),
            slowest.Items("watermark-generator")[0].substr(2));
}

TEST(TimestampsAndWatermarks, NamesTheAssignerWhenRowsHaveNoTime) {
  OperatorHarness::Options options;
  options.keyed = false;
  OperatorHarness harness(TimestampsAndWatermarks(kTimestampsInBatch, Bounded(0, 1)), options);
  ASSERT_TRUE(harness.Open().ok());
  EXPECT_EQ(harness.Process(TimesBatch({1})).code(), StatusCode::kInvalidArgument);
}

TEST(TimestampsAndWatermarks, IsIdleAfterTheTimeoutAndActiveWithTheNextBatch) {
  SimEnv env(1);
  OperatorHarness::Options options;
  options.keyed = false;
  options.env = &env;
  WatermarkSpec spec = Bounded(0, 1);
  spec.idle_timeout_ms = 100;
  OperatorHarness harness(TimestampsAndWatermarks(0, spec), options);
  ASSERT_TRUE(harness.Open().ok());
  const int64_t start = env.NowMs();
  EXPECT_EQ(harness.op().OnQuiet(start), start + 100);
  EXPECT_EQ(harness.op().OnQuiet(start + 99), start + 100);
  EXPECT_FALSE(harness.op().ProducesIdle());
  EXPECT_EQ(harness.op().OnQuiet(start + 100), kMaxWatermark);
  EXPECT_TRUE(harness.op().ProducesIdle());
  ASSERT_TRUE(harness.Process(TimesBatch({1})).ok());
  EXPECT_FALSE(harness.op().ProducesIdle());
  // The silence is counted from its first moment, not from the last row.
  EXPECT_EQ(harness.op().OnQuiet(start + 500), start + 600);
}

TEST(TimestampsAndWatermarks, CatchesUpInQuietMomentsAtMostOnceAnInterval) {
  OperatorHarness::Options options;
  options.keyed = false;
  WatermarkSpec spec = Bounded(0, 1024);
  spec.catch_up_ms = 200;
  OperatorHarness harness(TimestampsAndWatermarks(0, spec), options);
  ASSERT_TRUE(harness.Open().ok());
  EXPECT_EQ(harness.op().OnQuiet(1000), kMaxWatermark) << "no row, no time to tell";
  ASSERT_TRUE(harness.Process(TimesBatch({10, 20})).ok());
  harness.op().OnQuiet(1000);
  EXPECT_EQ(harness.op().TakeProducedWatermark(), 19);
  ASSERT_TRUE(harness.Process(TimesBatch({30})).ok());
  EXPECT_EQ(harness.op().OnQuiet(1001), 1200);
  EXPECT_EQ(harness.op().TakeProducedWatermark(), kMinWatermark);
  EXPECT_EQ(harness.op().OnQuiet(1200), kMaxWatermark);
  EXPECT_EQ(harness.op().TakeProducedWatermark(), 29);
}

TEST(TimestampsAndWatermarks, WithoutCatchingUpWatermarksDependOnRowsAlone) {
  OperatorHarness::Options options;
  options.keyed = false;
  WatermarkSpec spec = Bounded(0, 1024);
  spec.catch_up_ms = 0;
  OperatorHarness harness(TimestampsAndWatermarks(0, spec), options);
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(TimesBatch({10, 20})).ok());
  EXPECT_EQ(harness.op().OnQuiet(1'000'000), kMaxWatermark);
  EXPECT_EQ(harness.op().TakeProducedWatermark(), kMinWatermark);
}

}  // namespace
}  // namespace headrace
