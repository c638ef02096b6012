#include "headrace/windows/slicing_window_operator.h"

#include <gtest/gtest.h>

#include "testing/operator_harness.h"
#include "testing/test_objects.h"
#include "windows/window_oracle.h"

namespace headrace {
namespace {

SlicingWindowSpec SumSpec(WindowSpec window, KeyKind kind) {
  SlicingWindowSpec spec;
  spec.window = std::move(window);
  spec.key_fields = KeyFields(kind);
  spec.aggregates = {{"sum", 0, "total"}, {"count", -1, "n"}, {"first", 0, "first"}};
  spec.input_schema = ValueSchema();
  return spec;
}

WindowSpec WithLateness(WindowSpec spec, int64_t lateness_ms) {
  spec.allowed_lateness_ms = lateness_ms;
  spec.late_tag = "late";
  return spec;
}

std::vector<std::string> Without(std::vector<std::string> rows, const std::string& prefix) {
  std::erase_if(rows, [&](const std::string& row) { return row.starts_with(prefix); });
  return rows;
}

/// Random rows, batches and watermarks through the operator and the oracle; both must agree after
/// each.
void CompareWithOracle(const WindowSpec& window, KeyKind kind, uint64_t seed, bool restore,
                       int64_t room_rows_max, int64_t time_span) {
  OperatorHarness::Options options;
  options.seed = seed;
  options.restore_after_each = restore;
  options.room_rows_max = room_rows_max;
  options.side_readers = {"late"};
  OperatorHarness harness(SlicingWindow(SumSpec(window, kind)), options);
  ASSERT_TRUE(harness.Open().ok());
  WindowOracle oracle(window);
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
  };
  TimestampMs now = -time_span / 2;
  TimestampMs watermark = kMinWatermark;
  int64_t late_rows = 0;
  for (int step = 0; step < 30; ++step) {
    harness.ClearOutput();
    if (below(3) > 0) {
      std::vector<int64_t> keys, values;
      std::vector<TimestampMs> times;
      for (int64_t i = 1 + below(40); i > 0; --i) {
        keys.push_back(below(12));
        values.push_back(below(1000) - 300);
        times.push_back(now + below(time_span) - time_span / 2);
      }
      std::vector<TestRow> rows;
      const Status status = harness.Process(KeyedBatch(kind, keys, values, times, &rows));
      ASSERT_TRUE(status.ok()) << status.ToString();
      std::vector<std::string> expected;
      for (const TestRow& row : rows) {
        for (std::string& text : oracle.Row(row)) expected.push_back(std::move(text));
      }
      ASSERT_EQ(harness.OutputText(), expected) << "step " << step;
      late_rows += static_cast<int64_t>(harness.SideText("late").size());
      ASSERT_EQ(late_rows, oracle.late()) << "step " << step;
    } else {
      now += below(time_span / 2);
      watermark = std::max(watermark, now - below(time_span / 2));
      const Status status = harness.Watermark(watermark);
      ASSERT_TRUE(status.ok()) << status.ToString();
      auto got = harness.OutputText();
      ASSERT_EQ(got.back(), "Watermark(" + std::to_string(watermark) + ")");
      got = Without(got, "Watermark");
      std::sort(got.begin(), got.end());
      ASSERT_EQ(got, oracle.Watermark(watermark)) << "step " << step;
    }
  }
  harness.ClearOutput();
  ASSERT_TRUE(harness.Finish().ok());
  auto got = Without(harness.OutputText(), "Watermark");
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, oracle.Watermark(kMaxWatermark));
  EXPECT_EQ(harness.metrics().late_rows.value(), oracle.late());
}

TEST(SlicingWindowOperator, AgreesWithOracleForTumblingWindows) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    CompareWithOracle(WithLateness(WindowSpec::Tumbling(10), 0), KeyKind::kInt64, seed,
                      seed % 2 == 0, seed % 3 == 0 ? 5 : 0, 40);
  }
}

TEST(SlicingWindowOperator, AgreesWithOracleForSlidingWindows) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    CompareWithOracle(WithLateness(WindowSpec::Sliding(12, 4), 0), KeyKind::kInt64, seed,
                      seed % 2 == 0, seed % 3 == 0 ? 5 : 0, 40);
    CompareWithOracle(WithLateness(WindowSpec::Sliding(10, 4, -3), 0), KeyKind::kString, seed,
                      seed % 2 == 1, seed % 3 == 0 ? 3 : 0, 30);
  }
}

TEST(SlicingWindowOperator, AgreesWithOracleWhenLateRowsFireWindowsAgain) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    CompareWithOracle(WithLateness(WindowSpec::Tumbling(10, 3), 15), KeyKind::kInt64, seed,
                      seed % 2 == 0, seed % 3 == 0 ? 2 : 0, 60);
    CompareWithOracle(WithLateness(WindowSpec::Sliding(12, 4), 9), KeyKind::kStruct, seed,
                      seed % 2 == 1, seed % 3 == 0 ? 2 : 0, 60);
  }
}

TEST(SlicingWindowOperator, AgreesWithOracleWhenSlidesLeaveGaps) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    CompareWithOracle(WithLateness(WindowSpec::Sliding(4, 10), 3), KeyKind::kInt64, seed,
                      seed % 2 == 0, 0, 60);
  }
}

TEST(SlicingWindowOperator, AgreesWithOracleForEveryKindOfKey) {
  for (const KeyKind kind : kKeyKinds) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      SCOPED_TRACE(std::to_string(static_cast<int>(kind)) + " " + std::to_string(seed));
      CompareWithOracle(WithLateness(WindowSpec::Sliding(20, 10), 5), kind, seed, seed % 2 == 0,
                        seed % 3 == 0 ? 4 : 0, 60);
    }
  }
}

TEST(SlicingWindowOperator, AgreesWithOracleWhenABatchSpansThousandsOfSlices) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    CompareWithOracle(WithLateness(WindowSpec::Tumbling(7), 100), KeyKind::kInt64, seed,
                      seed % 2 == 0, 0, 100000);
  }
}

RecordBatch OneRow(int64_t key, int64_t value, TimestampMs time) {
  return KeyedBatch(KeyKind::kInt64, {key}, {value}, {time}, nullptr);
}

TEST(SlicingWindowOperator, LateRowGoesToSideOutputWhenItsWindowHasFired) {
  OperatorHarness::Options options;
  options.restore_after_each = true;
  options.side_readers = {"late"};
  OperatorHarness harness(
      SlicingWindow(SumSpec(WithLateness(WindowSpec::Tumbling(10), 0), KeyKind::kInt64)), options);
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(OneRow(7, 1, 3)).ok());
  // 9 is the last timestamp of [0, 10): fires.
  ASSERT_TRUE(harness.Watermark(9).ok());
  ASSERT_TRUE(harness.Process(OneRow(7, 5, 9)).ok());
  EXPECT_EQ(
      harness.OutputText(),
      (std::vector<std::string>{"Row(k=7, window_start=0, window_end=10, total=1, n=1, first=1) @9",
                                "Watermark(9)"}));
  EXPECT_EQ(harness.SideText("late"), (std::vector<std::string>{"Row(value=5) @9"}));
}

TEST(SlicingWindowOperator, DropsSlicesWhenTheirLastWindowIsOver) {
  OperatorHarness harness(SlicingWindow(SumSpec(WindowSpec::Sliding(10, 5), KeyKind::kInt64)), {});
  ASSERT_TRUE(harness.Open().ok());
  const int64_t empty_bytes = harness.keyed_state().memory_bytes();
  ASSERT_TRUE(harness.Process(OneRow(1, 1, 2)).ok());
  const int64_t full_bytes = harness.keyed_state().memory_bytes();
  ASSERT_GT(full_bytes, empty_bytes);
  // [-5, 5) fires; [0, 10) still needs the slice.
  ASSERT_TRUE(harness.Watermark(4).ok());
  EXPECT_EQ(harness.keyed_state().memory_bytes(), full_bytes);
  ASSERT_TRUE(harness.Watermark(9).ok());
  EXPECT_EQ(harness.keyed_state().memory_bytes(), empty_bytes);
}

TEST(SlicingWindowOperator, MakesNoSlicesBetweenThoseOfTheRowsOfABatch) {
  OperatorHarness harness(SlicingWindow(SumSpec(WindowSpec::Tumbling(10), KeyKind::kInt64)), {});
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(KeyedBatch(KeyKind::kInt64, {1, 1}, {1, 1}, {5, 95}, nullptr)).ok());
  // Keys and timers of the operator, keys and accumulators of two slices.
  EXPECT_EQ(harness.keyed_state().Snapshot().tables.size(), 6u);
}

TEST(SlicingWindowOperator, BatchesOfResultsKeepToTheRoom) {
  OperatorHarness::Options options;
  options.room_rows_max = 1;
  OperatorHarness harness(
      SlicingWindow(SumSpec(WithLateness(WindowSpec::Tumbling(10), 50), KeyKind::kInt64)), options);
  ASSERT_TRUE(harness.Open().ok());
  const RecordBatch rows = KeyedBatch(KeyKind::kInt64, {1, 2, 3}, {1, 1, 1}, {1, 2, 3}, nullptr);
  ASSERT_TRUE(harness.Process(rows).ok());
  ASSERT_TRUE(harness.Watermark(20).ok());  // fires
  ASSERT_TRUE(harness.Process(rows).ok());  // each row fires again
  int results = 0;
  for (const auto& element : harness.output()) {
    EXPECT_LE(element.batch.num_rows, 1);
    results += static_cast<int>(element.batch.num_rows);
  }
  EXPECT_EQ(results, 6);
}

TEST(SlicingWindowOperator, SaysWhatToCallWhenRowsHaveNoEventTime) {
  OperatorHarness harness(SlicingWindow(SumSpec(WindowSpec::Tumbling(10), KeyKind::kInt64)), {});
  ASSERT_TRUE(harness.Open().ok());
  RecordBatch batch = OneRow(1, 1, 1);
  batch.timestamps = nullptr;
  const Status none = harness.Process(batch);
  EXPECT_EQ(none.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(none.message().find("call assign_timestamps_and_watermarks"), std::string::npos);
}

TEST(SlicingWindowOperator, RefusesEventTimesThatAreOutOfRange) {
  OperatorHarness harness(SlicingWindow(SumSpec(WindowSpec::Tumbling(10), KeyKind::kInt64)), {});
  ASSERT_TRUE(harness.Open().ok());
  EXPECT_EQ(harness.Process(OneRow(1, 1, kNoTimestamp)).code(), StatusCode::kInvalidArgument);
  OperatorHarness other(SlicingWindow(SumSpec(WindowSpec::Tumbling(10), KeyKind::kInt64)), {});
  ASSERT_TRUE(other.Open().ok());
  EXPECT_EQ(other.Process(OneRow(1, 1, int64_t{1} << 62)).code(), StatusCode::kInvalidArgument);
}

TEST(SlicingWindowOperator, RebuildsObjectKeysThroughTheirHooks) {
  TestObjects objects;
  TestObjects::HostLock lock(&objects);
  SlicingWindowSpec spec = SumSpec(WindowSpec::Tumbling(10), KeyKind::kInt64);
  spec.key_fields = {{"key", ObjectType(), true}};
  spec.hooks = &objects;
  OperatorHarness::Options options;
  options.restore_after_each = true;
  OperatorHarness harness(SlicingWindow(spec), options);
  ASSERT_TRUE(harness.Open().ok());
  {
    RecordBatch batch = KeyedBatch(KeyKind::kInt64, {0, 0, 0}, {1, 2, 4}, {1, 2, 3}, nullptr);
    batch.key = Column::OfObjects(std::make_shared<ObjectBlock>(
        &objects, std::vector<Object>{objects.Str("a"), objects.Int(7), objects.Str("a")}));
    ASSERT_TRUE(harness.Process(batch).ok());
  }
  ASSERT_TRUE(harness.Watermark(9).ok());
  ASSERT_EQ(harness.output().size(), 2u);
  const RecordBatch& fired = harness.output()[0].batch;
  ASSERT_EQ(fired.num_rows, 2);
  EXPECT_EQ(objects.Text(fired.columns[0]->ObjectAt(0)), "'a'");
  EXPECT_EQ(objects.Text(fired.columns[0]->ObjectAt(1)), "7");
  EXPECT_EQ(fired.columns[3]->Values<int64_t>()[0], 5);
  EXPECT_EQ(fired.key, fired.columns[0]);
  harness.ClearOutput();
}

TEST(SlicingWindowSchema, NamesWhatIsWrong) {
  SlicingWindowSpec spec = SumSpec(WindowSpec::Tumbling(0), KeyKind::kInt64);
  EXPECT_NE(SlicingWindowSchema(spec).status().message().find("size"), std::string::npos);
  spec.window = WindowSpec::Tumbling(10, 10);
  EXPECT_NE(SlicingWindowSchema(spec).status().message().find("offset"), std::string::npos);
  spec.window = WindowSpec::Sliding(10, -1);
  EXPECT_NE(SlicingWindowSchema(spec).status().message().find("slide"), std::string::npos);
  spec.window = WindowSpec::Tumbling(10);
  spec.aggregates[0].output_name = "k";
  EXPECT_NE(SlicingWindowSchema(spec).status().message().find("'k'"), std::string::npos);
}

}  // namespace
}  // namespace headrace
