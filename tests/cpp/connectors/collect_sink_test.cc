#include "headrace/connectors/collect_sink.h"

#include <gtest/gtest.h>

#include "testing/operator_harness.h"
#include "types/column_of.h"

namespace headrace {
namespace {

RecordBatch Values(const std::vector<int64_t>& values) {
  RecordBatch batch;
  batch.schema = std::make_shared<const Schema>(RecordShape::kScalar,
                                                std::vector<Field>{{"value", Int64Type(), true}});
  batch.num_rows = static_cast<int64_t>(values.size());
  batch.columns = {Int64s(std::vector<std::optional<int64_t>>(values.begin(), values.end()))};
  return batch;
}

std::vector<int64_t> TakeAll(CollectBuffer* buffer) {
  std::vector<int64_t> values;
  RecordBatch batch;
  while (buffer->Take(0, 2, &batch)) {
    EXPECT_LE(batch.num_rows, 2);
    for (int64_t i = 0; i < batch.num_rows; ++i) {
      values.push_back(batch.columns[0]->Values<int64_t>()[i]);
    }
  }
  return values;
}

OperatorHarness::Options Unkeyed() {
  OperatorHarness::Options options;
  options.keyed = false;
  return options;
}

TEST(CollectSink, HandsRowsOutAtOnceWithoutCheckpoints) {
  auto buffer = std::make_shared<CollectBuffer>(false, 0);
  OperatorHarness harness(CollectSink(buffer), Unkeyed());
  ASSERT_TRUE(harness.Open().ok());
  EXPECT_FALSE(buffer->handed_out());
  ASSERT_TRUE(harness.Process(Values({1, 2, 3})).ok());
  EXPECT_EQ(TakeAll(buffer.get()), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE(buffer->handed_out());
  EXPECT_FALSE(buffer->closed());
  buffer->Close(true);
  EXPECT_TRUE(buffer->closed());
}

TEST(CollectSink, HandsRowsOutWithTheCheckpointThatCoversThem) {
  auto buffer = std::make_shared<CollectBuffer>(true, 0);
  OperatorHarness harness(CollectSink(buffer), Unkeyed());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Values({1})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  ASSERT_TRUE(harness.Process(Values({2})).ok());
  EXPECT_TRUE(TakeAll(buffer.get()).empty());
  ASSERT_TRUE(harness.CompleteCheckpoint().ok());
  EXPECT_EQ(TakeAll(buffer.get()), (std::vector<int64_t>{1}));
  buffer->Close(true);
  EXPECT_EQ(TakeAll(buffer.get()), (std::vector<int64_t>{2}));
}

TEST(CollectSink, GivesRowsOnceWhenAnAttemptFails) {
  auto buffer = std::make_shared<CollectBuffer>(true, 0);
  OperatorHarness harness(CollectSink(buffer), Unkeyed());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Values({1})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  // Decided, but the attempt fails before the operator is told; 2 will be read again.
  ASSERT_TRUE(harness.Process(Values({2})).ok());
  ASSERT_TRUE(harness.Restore().ok());
  EXPECT_EQ(TakeAll(buffer.get()), (std::vector<int64_t>{1}));
  ASSERT_TRUE(harness.Process(Values({2})).ok());
  ASSERT_TRUE(harness.Snapshot().ok());
  ASSERT_TRUE(harness.CompleteCheckpoint().ok());
  EXPECT_EQ(TakeAll(buffer.get()), (std::vector<int64_t>{2}));
}

TEST(CollectSink, DropsWhatWaitsWhenTheJobFails) {
  auto buffer = std::make_shared<CollectBuffer>(true, 0);
  OperatorHarness harness(CollectSink(buffer), Unkeyed());
  ASSERT_TRUE(harness.Open().ok());
  ASSERT_TRUE(harness.Process(Values({1})).ok());
  buffer->Close(false);
  EXPECT_TRUE(buffer->closed());
}

TEST(CollectBuffer, HasNoRoomWhileTheReaderIsBehind) {
  CollectBuffer buffer(false, 3);
  buffer.Append(0, Values({1, 2}));
  EXPECT_TRUE(buffer.HasRoom());
  buffer.Append(1, Values({3, 4}));
  EXPECT_FALSE(buffer.HasRoom());
  RecordBatch batch;
  ASSERT_TRUE(buffer.Take(0, 0, &batch));
  EXPECT_TRUE(buffer.HasRoom());
}

}  // namespace
}  // namespace headrace
