#include "golden_file.h"
#include "headrace/connectors/batch_list_source.h"
#include "headrace/connectors/collect_sink.h"
#include "headrace/connectors/file_sink.h"
#include "headrace/connectors/number_sequence_source.h"
#include "testing/operator_harness.h"
#include "testing/sim_env.h"
#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch Line(const std::string& line) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kScalar,
                                                std::vector<Field>{{"value", StringType(), true}});
  batch.num_rows = 1;
  batch.columns = {Strings({line})};
  return batch;
}

std::string StateText(OperatorHarness* harness) {
  OperatorState state;
  EXPECT_TRUE(harness->op().Snapshot(1, &state).ok());
  std::string text;
  for (const auto& [name, list] : state.lists()) {
    text += name + "\n";
    for (const std::string& item : list.items) text += item;
  }
  return text;
}

TEST(ConnectorFormats, FileSinkStateIsTheGoldenFile) {
  SimEnv env(1);  // the names of its parts are random, from this seed
  OperatorHarness::Options options;
  options.keyed = false;
  options.env = &env;
  FileSinkSpec spec;
  spec.directory = "/out/lines";
  spec.suffix = ".txt";
  OperatorHarness harness(FileSink(spec), options);
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Line("a")).ok());
  ExpectGolden("connectors/golden/file_sink_state.bin", StateText(&harness));
}

TEST(ConnectorFormats, CollectSinkStateIsTheGoldenFile) {
  OperatorHarness::Options options;
  options.keyed = false;
  OperatorHarness harness(CollectSink(std::make_shared<CollectBuffer>(true, 0)), options);
  ASSERT_TRUE(harness.Open().ok());
  ExpectGolden("connectors/golden/collect_sink_state.bin", StateText(&harness));
}

// Splits and positions are text.
TEST(ConnectorFormats, PositionsOfSourcesAreFrozen) {
  auto numbers = NumberSequenceSource(-50, 77);
  const SplitState range = numbers->PlanSplits(2).value()[0];
  EXPECT_EQ(range.id, "range:-50-13");
  auto reader = numbers->Make(0).value();
  ASSERT_TRUE(reader->AddSplit(range).ok());
  ASSERT_TRUE(reader->Poll(10).ok());
  EXPECT_EQ(reader->Positions().value(), std::vector<std::string>{"-40"});
  while (reader->Poll(100).value().kind == PollResult::Kind::kBatch) {
  }
  EXPECT_EQ(reader->Positions().value(), std::vector<std::string>{"end"});

  auto batches = BatchListSource(Line("a").schema, {Line("a"), Line("b"), Line("c")});
  const SplitState rows = batches->PlanSplits(1).value()[0];
  EXPECT_EQ(rows.id, "rows:0-3");
  auto batch_reader = batches->Make(0).value();
  ASSERT_TRUE(batch_reader->AddSplit(rows).ok());
  ASSERT_TRUE(batch_reader->Poll(1).ok());
  EXPECT_EQ(batch_reader->Positions().value(), std::vector<std::string>{"1"});
}

}  // namespace
}  // namespace headrace
