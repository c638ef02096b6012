#include <gtest/gtest.h>

#include <random>

#include "headrace/connectors/batch_list_source.h"
#include "headrace/connectors/number_sequence_source.h"
#include "types/column_of.h"

namespace headrace {
namespace {

/// All int64 values of column 0, read with restarts of the reader after every `restart_every` polls
/// (0 = none).
std::vector<int64_t> ReadAll(SourceFactory* factory, std::vector<SplitState> splits,
                             int64_t max_rows, int restart_every) {
  std::vector<int64_t> values;
  int polls = 0;
  while (true) {
    auto reader = factory->Make(0).value();
    EXPECT_TRUE(reader->Open(OperatorContext()).ok());
    for (const SplitState& split : splits) EXPECT_TRUE(reader->AddSplit(split).ok());
    while (true) {
      const PollResult result = reader->Poll(max_rows).value();
      if (result.kind == PollResult::Kind::kFinished) return values;
      EXPECT_LE(result.batch.num_rows, max_rows);
      for (int64_t row = 0; row < result.batch.num_rows; ++row) {
        values.push_back(result.batch.columns[0]->Values<int64_t>()[row]);
      }
      if (result.split_finished) splits[static_cast<size_t>(result.split)].finished = true;
      if (restart_every > 0 && ++polls % restart_every == 0) break;
    }
    const auto positions = reader->Positions().value();
    for (size_t i = 0; i < splits.size(); ++i) splits[i].position = positions[i];
  }
}

TEST(NumberSequenceSource, GivesEachNumberOnceWhateverTheSplitsAndRestarts) {
  for (const int parallelism : {1, 3, 8, 200}) {
    for (const int restart_every : {0, 1, 3}) {
      auto factory = NumberSequenceSource(-50, 77);
      const auto splits = factory->PlanSplits(parallelism).value();
      EXPECT_EQ(splits.size(), static_cast<size_t>(std::min(parallelism, 128)));
      const auto values = ReadAll(factory.get(), splits, 7, restart_every);
      ASSERT_EQ(values.size(), 128u);
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(values[i], static_cast<int64_t>(i) - 50);
      }
    }
  }
}

TEST(NumberSequenceSource, ReachesTheEndsOfInt64) {
  auto all = NumberSequenceSource(INT64_MIN, INT64_MAX);
  ASSERT_EQ(all->PlanSplits(1).value().size(), 1u);
  EXPECT_EQ(all->PlanSplits(1).value()[0].id,
            "range:" + std::to_string(INT64_MIN) + "-" + std::to_string(INT64_MAX));
  EXPECT_EQ(all->PlanSplits(2).value()[1].id, "range:0-" + std::to_string(INT64_MAX));
  auto end = NumberSequenceSource(INT64_MAX - 2, INT64_MAX);
  EXPECT_EQ(ReadAll(end.get(), end->PlanSplits(1).value(), 2, 1),
            (std::vector<int64_t>{INT64_MAX - 2, INT64_MAX - 1, INT64_MAX}));
  EXPECT_TRUE(NumberSequenceSource(5, 4)->PlanSplits(2).value().empty());
}

TEST(NumberSequenceSource, RefusesForeignSplits) {
  auto reader = NumberSequenceSource(0, 9)->Make(0).value();
  for (const char* id : {"range:", "range:1", "rows:0-5", "range:a-b", "range:1-2x"}) {
    SplitState split;
    split.id = id;
    EXPECT_EQ(reader->AddSplit(split).code(), StatusCode::kCorruption) << id;
  }
  SplitState split;
  split.id = "range:0-9";
  split.position = "11";
  EXPECT_EQ(reader->AddSplit(split).code(), StatusCode::kCorruption);
}

std::vector<RecordBatch> Batches(const SchemaPtr& schema) {
  std::vector<RecordBatch> batches;
  int64_t next = 0;
  for (const int64_t rows : {5, 0, 1, 12}) {
    std::vector<std::optional<int64_t>> values;
    for (int64_t i = 0; i < rows; ++i) values.push_back(next++);
    RecordBatch batch;
    batch.schema = schema;
    batch.num_rows = rows;
    batch.columns = {Int64s(values)};
    batches.push_back(std::move(batch));
  }
  return batches;
}

SchemaPtr ValueSchema() {
  return std::make_shared<const Schema>(RecordShape::kScalar,
                                        std::vector<Field>{{"value", Int64Type(), true}});
}

TEST(BatchListSource, GivesEachRowOnceWhateverTheSplitsAndRestarts) {
  const SchemaPtr schema = ValueSchema();
  for (const int count : {1, 2, 5, 40}) {
    for (const int restart_every : {0, 1, 2}) {
      auto factory = BatchListSource(schema, Batches(schema), count);
      const auto splits = factory->PlanSplits(1).value();
      EXPECT_EQ(splits.size(), static_cast<size_t>(std::min(count, 18)));
      const auto values = ReadAll(factory.get(), splits, 4, restart_every);
      ASSERT_EQ(values.size(), 18u);
      for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<int64_t>(i));
    }
  }
}

TEST(BatchListSource, CopiesNothing) {
  const SchemaPtr schema = ValueSchema();
  const auto batches = Batches(schema);
  auto reader = BatchListSource(schema, batches)->Make(0).value();
  SplitState split;
  split.id = "rows:0-18";
  split.position = "2";
  ASSERT_TRUE(reader->AddSplit(split).ok());
  const PollResult result = reader->Poll(100).value();
  EXPECT_EQ(result.batch.num_rows, 3);
  EXPECT_EQ(result.batch.columns[0]->values, batches[0].columns[0]->values);
}

TEST(BatchListSource, SaysSoWhenTheDataShrankSinceTheCheckpoint) {
  const SchemaPtr schema = ValueSchema();
  auto reader = BatchListSource(schema, Batches(schema))->Make(0).value();
  SplitState split;
  split.id = "rows:0-19";
  const Status status = reader->AddSplit(split);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("now has 18"), std::string::npos);
}

}  // namespace
}  // namespace headrace
