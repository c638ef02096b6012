#include "headrace/runtime/exchange_writer.h"

#include <gtest/gtest.h>

#include <map>

#include "headrace/state/key_group.h"
#include "headrace/types/key_codec.h"
#include "testing/test_rows.h"

namespace headrace {
namespace {

class ExchangeWriterTest : public testing::Test {
 protected:
  ExchangeWriter Make(Partitioning partitioning, int consumers, int64_t timeout_ms = 100) {
    for (int i = 0; i < consumers; ++i) {
      channels_.push_back(std::make_shared<Channel>(1000, 1 << 20));
    }
    ExchangeWriter::Options options;
    options.partitioning = partitioning;
    options.batch_rows = 32;  // 8 go out
    options.buffer_timeout_ms = timeout_ms;
    return ExchangeWriter(options, channels_);
  }
  static RecordBatch Keys(int64_t from, int64_t to) {
    std::vector<TestRow> rows;
    for (int64_t key = from; key < to; ++key) rows.push_back({0, key, 0, 0, key});
    return MakeTestBatch(rows, 1);
  }
  // Keys in the channel, batch by batch.
  std::vector<std::vector<int64_t>> Drain(int consumer) {
    std::vector<std::vector<int64_t>> batches;
    StreamElement element;
    while (channels_[consumer]->Pop(&element)) {
      if (!element.parts.empty()) {
        const auto taken = TakeParts(element.parts);
        EXPECT_EQ(taken->size(), 1);
        element.batch = (*taken)[0];
      }
      std::vector<int64_t> keys;
      for (int64_t i = 0; i < element.batch.num_rows; ++i) {
        const TestRow row = TestRowAt(element.batch, i);
        EXPECT_EQ(row.time, row.key);
        EXPECT_EQ(element.batch.key, element.batch.columns[1]);
        keys.push_back(row.key);
      }
      batches.push_back(keys);
    }
    return batches;
  }

  std::vector<std::shared_ptr<Channel>> channels_;
};

TEST_F(ExchangeWriterTest, HashSendsEachKeyToTheOwnerOfItsGroupInOrder) {
  ExchangeWriter writer = Make(Partitioning::kHash, 3);
  ASSERT_TRUE(writer.Write(Keys(0, 50), 0).ok());
  ASSERT_TRUE(writer.Write(Keys(50, 60), 0).ok());
  writer.Flush();
  int64_t rows = 0;
  for (int consumer = 0; consumer < 3; ++consumer) {
    int64_t last = -1;
    for (const auto& batch : Drain(consumer)) {
      for (const int64_t key : batch) {
        const int group = KeyGroupOfInt(key, kDefaultMaxParallelism);
        EXPECT_EQ(SubtaskOfKeyGroup(group, 3, kDefaultMaxParallelism), consumer);
        EXPECT_GT(key, last);
        last = key;
        ++rows;
      }
    }
  }
  EXPECT_EQ(rows, 60);
}

TEST_F(ExchangeWriterTest, GatheredRowsGoOutWhenDueBeforeControlAndWhenFull) {
  ExchangeWriter writer = Make(Partitioning::kHash, 2, 5);
  ASSERT_TRUE(writer.Write(Keys(0, 3), 1'000).ok());
  EXPECT_TRUE(channels_[0]->empty() && channels_[1]->empty());
  EXPECT_EQ(writer.flush_due_ns(), 5'001'000);
  writer.FlushIfDue(5'000'999);
  EXPECT_TRUE(channels_[0]->empty() && channels_[1]->empty());
  writer.FlushIfDue(5'001'000);
  EXPECT_EQ(channels_[0]->queued_rows() + channels_[1]->queued_rows(), 3);
  ASSERT_TRUE(writer.Write(Keys(0, 3), 0).ok());
  writer.WriteControl(StreamElement::Barrier(1));
  EXPECT_EQ(channels_[0]->queued_rows() + channels_[1]->queued_rows(), 6);
  ASSERT_TRUE(writer.Write(Keys(0, 40), 0).ok());
  EXPECT_EQ(channels_[0]->queued_rows() + channels_[1]->queued_rows(), 46);
}

TEST_F(ExchangeWriterTest, TimeoutZeroSendsEveryBatchAtOnce) {
  ExchangeWriter writer = Make(Partitioning::kHash, 2, 0);
  ASSERT_TRUE(writer.Write(Keys(0, 1), 0).ok());
  EXPECT_EQ(channels_[0]->queued_rows() + channels_[1]->queued_rows(), 1);
}

TEST_F(ExchangeWriterTest, RebalanceTakesTurnsAndBroadcastRepeats) {
  {
    ExchangeWriter writer = Make(Partitioning::kRebalance, 2);
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(writer.Write(Keys(i, i + 1), 0).ok());
    EXPECT_EQ(Drain(0), (std::vector<std::vector<int64_t>>{{0}, {2}}));
    EXPECT_EQ(Drain(1), (std::vector<std::vector<int64_t>>{{1}, {3}}));
    channels_.clear();
  }
  ExchangeWriter writer = Make(Partitioning::kBroadcast, 2);
  ASSERT_TRUE(writer.Write(Keys(0, 2), 0).ok());
  EXPECT_EQ(Drain(0), (std::vector<std::vector<int64_t>>{{0, 1}}));
  EXPECT_EQ(Drain(1), (std::vector<std::vector<int64_t>>{{0, 1}}));
}

TEST_F(ExchangeWriterTest, IsFullWhenOneConsumerIs) {
  ExchangeWriter writer = Make(Partitioning::kRebalance, 2);
  EXPECT_TRUE(writer.HasRoom());
  ASSERT_TRUE(writer.Write(Keys(0, 1000), 0).ok());
  EXPECT_FALSE(writer.HasRoom());
}

}  // namespace
}  // namespace headrace
