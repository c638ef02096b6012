#include "golden_file.h"
#include "headrace/operators/timestamps_and_watermarks.h"
#include "testing/operator_harness.h"
#include "types/column_of.h"

namespace headrace {
namespace {

TEST(OperatorFormats, TimestampsAndWatermarksIsTheGoldenFile) {
  WatermarkSpec spec;
  spec.kind = WatermarkSpec::Kind::kMonotonous;
  OperatorHarness::Options options;
  options.keyed = false;
  options.subtask_index = 2;
  options.parallelism = 3;
  OperatorHarness harness(TimestampsAndWatermarks(0, spec), options);
  ASSERT_TRUE(harness.Open().ok());
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kScalar,
                                                std::vector<Field>{{"t", Int64Type(), true}});
  batch.num_rows = 2;
  batch.columns = {Int64s({1'357'034'400'123, 7})};
  ASSERT_TRUE(harness.Process(batch).ok());
  OperatorState state;
  ASSERT_TRUE(harness.op().Snapshot(1, &state).ok());
  ASSERT_EQ(state.lists().size(), 1u);
  const auto& [name, list] = *state.lists().begin();
  ASSERT_EQ(list.items.size(), 1u);
  ExpectGolden("operators/golden/timestamps_and_watermarks.bin", name + "\n" + list.items[0]);
}

}  // namespace
}  // namespace headrace
