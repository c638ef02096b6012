#include "headrace/windows/general_window_operator.h"

#include <gtest/gtest.h>

#include "headrace/windows/window_rows.h"
#include "testing/operator_harness.h"
#include "windows/window_oracle.h"

namespace headrace {
namespace {

/// Sum, count and first value of column 0, kept as an encoded row; blocks while the output is full.
class SumFunction final : public WindowFunction {
 public:
  explicit SumFunction(KeyKind kind) : kind_(kind) {}

  Status Open(const OperatorContext& context, const TimestampMs* watermark) override {
    (void)watermark;
    state_ = context.keyed_state;
    HR_ASSIGN_OR_RETURN(rows_, state_->RegisterRows("contents", "sum"));
    const std::vector<AggregateSpec> specs = {
        {"sum", 0, "total"}, {"count", -1, "n"}, {"first", 0, "first"}};
    HR_ASSIGN_OR_RETURN(aggregates_, AggregateRow::Make(specs, *ValueSchema()));
    HR_ASSIGN_OR_RETURN(SchemaPtr schema, WindowRowsSchema(KeyFields(kind_), *aggregates_));
    HR_ASSIGN_OR_RETURN(results_,
                        WindowRows::Make(schema, KeyFields(kind_), nullptr, aggregates_.get()));
    return Status::Ok();
  }

  Status Add(const WindowGroup& group, const RecordBatch& batch, int64_t row) override {
    std::vector<int64_t> accumulators = Load(group);
    char* at = reinterpret_cast<char*>(accumulators.data());
    const auto picked = static_cast<int32_t>(row);
    HR_RETURN_IF_ERROR(aggregates_->Update(batch, &picked, &at, 1));
    rows_->Put(group.key, group.ns, {}, {at, accumulators.size() * sizeof(int64_t)});
    return Status::Ok();
  }

  Result<Progress> Fire(const WindowGroup& group, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    const std::vector<int64_t> accumulators = Load(group);
    HR_RETURN_IF_ERROR(results_->Append(state_->keys(), group.key, group.window,
                                        reinterpret_cast<const char*>(accumulators.data())));
    out.Emit(results_->Finish());
    return Progress::kDone;
  }

  Status Clear(const WindowGroup& group) override {
    rows_->Clear(group.key, group.ns);
    return Status::Ok();
  }

 private:
  std::vector<int64_t> Load(const WindowGroup& group) {
    std::vector<int64_t> accumulators(static_cast<size_t>(aggregates_->row_bytes()) / 8);
    std::string_view stored;
    if (rows_->Get(group.key, group.ns, {}, &stored)) {
      std::memcpy(accumulators.data(), stored.data(), stored.size());
    } else {
      aggregates_->Init(reinterpret_cast<char*>(accumulators.data()));
    }
    return accumulators;
  }

  const KeyKind kind_;
  KeyedState* state_ = nullptr;
  RowState* rows_ = nullptr;
  std::unique_ptr<AggregateRow> aggregates_;
  std::unique_ptr<WindowRows> results_;
};

OperatorFactoryPtr SumWindow(const WindowSpec& spec, KeyKind kind) {
  return GeneralWindow(
      spec,
      [kind](int) -> Result<std::unique_ptr<WindowFunction>> {
        return std::unique_ptr<WindowFunction>(std::make_unique<SumFunction>(kind));
      },
      /*calls_python=*/false);
}

void CompareWithOracle(const WindowSpec& window, KeyKind kind, uint64_t seed, bool restore,
                       int64_t room_rows_max) {
  OperatorHarness::Options options;
  options.seed = seed;
  options.restore_after_each = restore;
  options.room_rows_max = room_rows_max;
  options.side_readers = {"late"};
  OperatorHarness harness(SumWindow(window, kind), options);
  ASSERT_TRUE(harness.Open().ok());
  WindowOracle oracle(window);
  std::mt19937_64 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(limit));
  };
  const auto compare_fired = [&](const std::vector<std::string>& expected) {
    auto got = harness.OutputText();
    std::erase_if(got, [](const std::string& row) { return row.starts_with("Watermark"); });
    std::sort(got.begin(), got.end());
    ASSERT_EQ(got, expected);
  };
  TimestampMs now = -20;
  TimestampMs watermark = kMinWatermark;
  int64_t late_rows = 0;
  for (int step = 0; step < 25; ++step) {
    SCOPED_TRACE(step);
    harness.ClearOutput();
    if (below(3) == 0) {
      now += below(20);
      watermark = std::max(watermark, now - below(20));
      ASSERT_TRUE(harness.Watermark(watermark).ok());
      compare_fired(oracle.Watermark(watermark));
      continue;
    }
    std::vector<int64_t> keys, values;
    std::vector<TimestampMs> times;
    for (int64_t i = 1 + below(20); i > 0; --i) {
      keys.push_back(below(6));
      values.push_back(below(100));
      times.push_back(now + below(50) - 25);
    }
    std::vector<TestRow> rows;
    const Status status = harness.Process(KeyedBatch(kind, keys, values, times, &rows));
    ASSERT_TRUE(status.ok()) << status.ToString();
    std::vector<std::string> expected;
    for (const TestRow& row : rows) {
      for (std::string& text : oracle.Row(row)) expected.push_back(std::move(text));
    }
    ASSERT_EQ(harness.OutputText(), expected);
    late_rows += static_cast<int64_t>(harness.SideText("late").size());
    ASSERT_EQ(late_rows, oracle.late());
  }
  harness.ClearOutput();
  ASSERT_TRUE(harness.Finish().ok());
  compare_fired(oracle.Watermark(kMaxWatermark));
  EXPECT_EQ(harness.keyed_state().timers().count(TimeDomain::kEventTime), 0);
  for (const StateRegistration& state : harness.keyed_state().Registry()) {
    if (state.name == "contents") {
      EXPECT_EQ(state.rows, 0);
    }
  }
  EXPECT_EQ(harness.metrics().late_rows.value(), oracle.late());
}

TEST(GeneralWindowOperator, AgreesWithOracle) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    WindowSpec window = seed % 3 == 0   ? WindowSpec::Sliding(12, 4, 1)
                        : seed % 3 == 1 ? WindowSpec::Tumbling(10)
                                        : WindowSpec::Sliding(4, 10);
    window.allowed_lateness_ms = seed % 4 == 0 ? 0 : 8;
    window.late_tag = "late";
    CompareWithOracle(window, kKeyKinds[seed % std::size(kKeyKinds)], seed, seed % 2 == 0,
                      seed % 5 == 0 ? 2 : 0);
  }
}

TEST(GeneralWindowOperator, FiresInOrderOfTimeThenKeyWhateverTheOrderOfRows) {
  OperatorHarness harness(SumWindow(WindowSpec::Tumbling(10), KeyKind::kInt64), {});
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(
      harness.Process(KeyedBatch(KeyKind::kInt64, {9, 3, 5}, {1, 1, 1}, {12, 13, 1}, nullptr))
          .ok());
  ASSERT_TRUE(harness.Watermark(30).ok());
  const auto got = harness.OutputText();
  ASSERT_EQ(got.size(), 4u);
  EXPECT_TRUE(got[0].starts_with("Row(k=5, window_start=0"));
  EXPECT_TRUE(got[1].starts_with("Row(k=3, window_start=10"));
  EXPECT_TRUE(got[2].starts_with("Row(k=9, window_start=10"));
}

TEST(GeneralWindowOperator, SaysWhatToCallWhenRowsHaveNoEventTime) {
  OperatorHarness harness(SumWindow(WindowSpec::Tumbling(10), KeyKind::kInt64), {});
  ASSERT_TRUE(harness.Open().ok());
  RecordBatch batch = KeyedBatch(KeyKind::kInt64, {1}, {1}, {1}, nullptr);
  batch.timestamps = nullptr;
  const Status status = harness.Process(batch);
  EXPECT_NE(status.message().find("call assign_timestamps_and_watermarks"), std::string::npos);
}

TEST(GeneralWindowOperator, TakesEventTimesUpToTheLimitsAndNoFurther) {
  const auto processed = [](TimestampMs time) {
    OperatorHarness harness(SumWindow(WindowSpec::Tumbling(10), KeyKind::kInt64), {});
    EXPECT_TRUE(harness.Open().ok());
    return harness.Process(KeyedBatch(KeyKind::kInt64, {1}, {1}, {time}, nullptr)).code();
  };
  EXPECT_EQ(processed(kEventTimeLimitMs), StatusCode::kOk);
  EXPECT_EQ(processed(-kEventTimeLimitMs), StatusCode::kOk);
  EXPECT_EQ(processed(kEventTimeLimitMs + 1), StatusCode::kInvalidArgument);
  EXPECT_EQ(processed(-kEventTimeLimitMs - 1), StatusCode::kInvalidArgument);
}

TEST(TimeWindow, NamespacesSortAsWindowsDo) {
  const std::vector<TimeWindow> windows = {{-100, -50}, {-1, 9}, {0, 5}, {0, 10}, {7, 8}};
  for (size_t i = 0; i < windows.size(); ++i) {
    EXPECT_EQ(DecodeWindow(EncodeWindow(windows[i])).value(), windows[i]);
    if (i > 0) {
      EXPECT_LT(EncodeWindow(windows[i - 1]), EncodeWindow(windows[i]));
    }
  }
  EXPECT_EQ(DecodeWindow("short").status().code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace headrace
