#include <benchmark/benchmark.h>

#include <random>

#include "headrace/windows/slicing_window_operator.h"

namespace headrace {
namespace {

constexpr int64_t kKeys = 10000;
constexpr int64_t kBatchRows = 4096;
constexpr int64_t kBatches = 512;
constexpr int64_t kDisorderMs = 2000;
constexpr int64_t kWindowMs = 10000;

class NullOutput final : public Output {
 public:
  int64_t RoomRows() const override { return kBatchRows; }
  void Emit(RecordBatch batch) override { rows += batch.num_rows; }
  void EmitSide(const std::string&, RecordBatch) override {}
  bool HasSideReader(const std::string&) const override { return false; }
  int64_t rows = 0;
};

ColumnPtr Int64Column(const std::vector<int64_t>& values) {
  auto buffer = Buffer::Allocate(values.size() * sizeof(int64_t));
  std::copy(values.begin(), values.end(), reinterpret_cast<int64_t*>(buffer->mutable_data()));
  return Column::OfFixed(Int64Type(), static_cast<int64_t>(values.size()), std::move(buffer));
}

/// 10 k keys, rows up to 2 s out of order, `rows_per_second` rows of event time a second.
std::vector<RecordBatch> MakeBatches(int64_t rows_per_second) {
  std::mt19937_64 random(1);
  const auto schema = std::make_shared<const Schema>(
      RecordShape::kRow, std::vector<Field>{{"k", Int64Type(), false}, {"v", Int64Type(), false}});
  std::vector<RecordBatch> batches;
  int64_t row = 0;
  for (int64_t b = 0; b < kBatches; ++b) {
    std::vector<int64_t> keys, values, times;
    for (int64_t i = 0; i < kBatchRows; ++i, ++row) {
      keys.push_back(static_cast<int64_t>(random() % kKeys));
      values.push_back(static_cast<int64_t>(random() % 1000));
      times.push_back(row * 1000 / rows_per_second + static_cast<int64_t>(random() % kDisorderMs));
    }
    RecordBatch batch;
    batch.schema = schema;
    batch.num_rows = kBatchRows;
    batch.columns = {Int64Column(keys), Int64Column(values)};
    batch.timestamps = Int64Column(times)->values;
    batch.key = batch.columns[0];
    batches.push_back(std::move(batch));
  }
  return batches;
}

/// Keyed tumbling sum + count, with the firing of windows: time per row is the counter ns_per_row.
void BM_TumblingSumCount(benchmark::State& state) {
  const std::vector<RecordBatch> batches = MakeBatches(state.range(0));
  SlicingWindowSpec spec;
  spec.window = WindowSpec::Tumbling(kWindowMs);
  if (state.range(1) != kWindowMs) spec.window = WindowSpec::Sliding(kWindowMs, state.range(1));
  spec.key_fields = {{"k", Int64Type(), false}};
  spec.aggregates = {{"sum", 1, "total"}, {"count", -1, "n"}};
  spec.input_schema = batches[0].schema;
  NullOutput out;
  for (auto _ : state) {
    KeyedState keyed(KeyGroupRangeOf(0, 1, 128), 128, int64_t{1} << 34);
    OperatorState operator_state;
    TaskMetrics metrics;
    OperatorContext context;
    context.keyed_state = &keyed;
    context.operator_state = &operator_state;
    context.metrics = &metrics;
    auto made = SlicingWindow(spec)->Make(0);
    Operator& op = **made;
    if (!op.Open(context).ok()) state.SkipWithError("open");
    for (const RecordBatch& batch : batches) {
      if (!op.Process(batch, 0, out).ok()) state.SkipWithError("process");
      const int64_t last = batch.Timestamps()[kBatchRows - 1];
      if (!op.OnWatermark(last - kDisorderMs - 1, out).ok()) state.SkipWithError("watermark");
    }
    if (!op.OnWatermark(kMaxWatermark, out).ok()) state.SkipWithError("finish");
  }
  state.SetItemsProcessed(state.iterations() * kBatches * kBatchRows);
  state.counters["ns_per_row"] =
      benchmark::Counter(static_cast<double>(state.iterations() * kBatches * kBatchRows) * 1e-9,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_TumblingSumCount)
    ->ArgNames({"rows_per_s", "slide_ms"})
    ->Args({10000, kWindowMs})
    ->Args({100000, kWindowMs})
    ->Args({100000, 2000})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headrace
