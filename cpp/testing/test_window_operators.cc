#include "testing/test_window_operators.h"

#include <map>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/windows/general_window_operator.h"
#include "headrace/windows/slicing_window_operator.h"
#include "testing/test_operators.h"

namespace headrace {

namespace {

constexpr int kKeyColumn = 1;
constexpr int kXColumn = 2;

// Count and sum of the rows of one window.
struct Sum {
  int64_t count = 0;
  int64_t total = 0;
};

class SumFunction final : public WindowFunction {
 public:
  explicit SumFunction(int64_t step) : step_(step) {}

  Status Open(const OperatorContext& context, const TimestampMs*) override {
    state_ = context.keyed_state;
    HR_ASSIGN_OR_RETURN(sums_, state_->RegisterRows("sums", "count and sum"));
    return Status::Ok();
  }

  Status Add(const WindowGroup& group, const RecordBatch& batch, int64_t row) override {
    Sum sum;
    HR_RETURN_IF_ERROR(Load(group, &sum));
    ++sum.count;
    sum.total += TestRowAt(batch, row).x;
    ByteWriter out;
    out.Fixed(sum.count);
    out.Fixed(sum.total);
    sums_->Put(group.key, group.ns, "", out.view());
    return Status::Ok();
  }

  Result<Progress> Fire(const WindowGroup& group, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    Sum sum;
    HR_RETURN_IF_ERROR(Load(group, &sum));
    if (sum.count == 0) return Status::Internal("a window fires that has no rows");
    out.Emit(MakeTestBatch({{step_ * 10 + 2, state_->keys().IntOf(group.key), sum.count, sum.total,
                             group.window.max_timestamp()}}));
    return Progress::kDone;
  }

  Status Clear(const WindowGroup& group) override {
    sums_->Clear(group.key, group.ns);
    return Status::Ok();
  }

 private:
  Status Load(const WindowGroup& group, Sum* sum) const {
    std::string_view stored;
    if (!sums_->Get(group.key, group.ns, "", &stored)) return Status::Ok();
    ByteReader in(stored);
    HR_RETURN_IF_ERROR(in.Fixed(&sum->count));
    return in.Fixed(&sum->total);
  }

  const int64_t step_;
  KeyedState* state_ = nullptr;
  RowState* sums_ = nullptr;
};

SlicingWindowSpec SlicingSpec(const WindowSpec& window) {
  SlicingWindowSpec spec;
  spec.window = window;
  spec.key_fields = {{"key", Int64Type()}};
  spec.aggregates = {{"count", -1, "count"}, {"sum", kXColumn, "total"}};
  spec.input_schema = TestRowSchema();
  return spec;
}

}  // namespace

OperatorFactoryPtr TestWindow(int64_t step, const WindowSpec& window) {
  return GeneralWindow(
      window,
      [step](int) -> Result<std::unique_ptr<WindowFunction>> {
        return std::unique_ptr<WindowFunction>(std::make_unique<SumFunction>(step));
      },
      /*calls_python=*/false);
}

OperatorFactoryPtr TestSlicingWindow(const WindowSpec& window) {
  return SlicingWindow(SlicingSpec(window));
}

SchemaPtr TestSlicingWindowSchema(const WindowSpec& window) {
  const Result<SchemaPtr> schema = SlicingWindowSchema(SlicingSpec(window));
  HR_CHECK(schema.ok());
  return *schema;
}

OperatorFactoryPtr TestWindowRows(int64_t step) {
  // Columns: key, window_start, window_end, count, total.
  return TestEachRow([step](const RecordBatch& batch, int64_t row) {
    const auto at = [&](int column) { return batch.columns[column]->Values<int64_t>()[row]; };
    return TestRow{step * 10 + 2, at(0), at(3), at(4), at(2) - 1};
  });
}

std::vector<TestRow> TestWindowOracle(int64_t step, const WindowSpec& window,
                                      const std::vector<TestRow>& input) {
  std::map<std::pair<int64_t, TimestampMs>, Sum> sums;
  for (const TestRow& row : input) {
    TimestampMs start = row.time / window.slide_ms * window.slide_ms;
    if (start > row.time) start -= window.slide_ms;
    for (; start > row.time - window.size_ms; start -= window.slide_ms) {
      Sum& sum = sums[{row.key, start}];
      ++sum.count;
      sum.total += row.x;
    }
  }
  std::vector<TestRow> out;
  for (const auto& [group, sum] : sums) {
    out.push_back(
        {step * 10 + 2, group.first, sum.count, sum.total, group.second + window.size_ms - 1});
  }
  return out;
}

}  // namespace headrace
