#include "headrace/runtime/channel.h"

#include <gtest/gtest.h>

#include "testing/test_rows.h"

namespace headrace {
namespace {

StreamElement Rows(int count) {
  return StreamElement::Batch(MakeTestBatch(std::vector<TestRow>(count)));
}

TEST(ChannelTest, IsFullByRowsAndTakesControlElementsAllTheSame) {
  Channel channel(10, 1 << 20);
  channel.Push(Rows(9));
  EXPECT_TRUE(channel.HasRoom());
  channel.Push(Rows(9));
  EXPECT_FALSE(channel.HasRoom());
  EXPECT_EQ(channel.queued_rows(), 18);
  channel.Push(StreamElement::Barrier(1));
  StreamElement element;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(channel.Pop(&element));
  EXPECT_EQ(element.kind, StreamElement::Kind::kBarrier);
  EXPECT_FALSE(channel.Pop(&element));
}

TEST(ChannelTest, IsFullByBytesAndByWatermarks) {
  Channel bytes(1000, 100);
  bytes.Push(Rows(10));
  EXPECT_FALSE(bytes.HasRoom());
  Channel elements(1000, 1 << 20);
  for (int i = 0; i < 1024; ++i) elements.Push(StreamElement::Watermark(i));
  EXPECT_FALSE(elements.HasRoom());
}

TEST(ChannelTest, WakesTheConsumerOnceAndTheProducerAtHalf) {
  Channel channel(10, 1 << 20);
  int consumer = 0;
  int producer = 0;
  channel.SetWakers([&] { ++consumer; }, [&] { ++producer; });
  channel.Push(Rows(6));
  channel.Push(Rows(4));
  EXPECT_EQ(consumer, 1);
  StreamElement element;
  channel.Pop(&element);
  EXPECT_EQ(producer, 0) << "nobody was told that there is no room";
  channel.Push(Rows(6));
  ASSERT_FALSE(channel.HasRoom());
  channel.Pop(&element);
  EXPECT_EQ(producer, 0) << "6 of 10 rows are left";
  channel.Pop(&element);
  EXPECT_EQ(producer, 1);
}

TEST(ChannelTest, DropsEverythingOnceClosed) {
  Channel channel(1, 1);
  channel.Push(Rows(5));
  channel.Close();
  EXPECT_TRUE(channel.HasRoom());
  channel.Push(Rows(5));
  EXPECT_TRUE(channel.empty());
}

}  // namespace
}  // namespace headrace
