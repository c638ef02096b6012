#include "headrace/checkpoint/read_ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "testing/sim_env.h"

namespace headrace {
namespace {

using Payloads = ReadAhead::Payloads;

constexpr uint32_t kPartitions = 200;

// Partition i is its number, as text, once or twice; every 64th cannot be read.
Payloads PartitionOf(uint32_t index) {
  if (index % 64 == 50) return Status::Corruption("partition " + std::to_string(index));
  return std::vector<std::string>(1 + index % 2, std::to_string(index));
}

void ExpectPartition(uint32_t index, const Payloads& taken) {
  const Payloads expected = PartitionOf(index);
  ASSERT_EQ(taken.status().ToString(), expected.status().ToString());
  if (expected.ok()) {
    EXPECT_EQ(*taken, *expected);
  }
}

ReadAhead::Source SourceOf(std::atomic<int>* reads, uint64_t bytes_each) {
  return {.count = kPartitions,
          .read =
              [reads](uint32_t index) {
                ++*reads;
                return PartitionOf(index);
              },
          .memory_bytes = [bytes_each](uint32_t) { return bytes_each; }};
}

class ReadAheadTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ReadAheadTest, each_partition_is_read_once_and_given_in_its_turn) {
  std::atomic<int> reads{0};
  ReadAhead ahead(&RealEnv(), SourceOf(&reads, GetParam()));
  for (uint32_t index = 0; index < kPartitions; ++index) ExpectPartition(index, ahead.Take(index));
  EXPECT_EQ(reads, static_cast<int>(kPartitions));
}

TEST_P(ReadAheadTest, any_order_gives_the_same_partitions) {
  std::atomic<int> reads{0};
  ReadAhead ahead(&RealEnv(), SourceOf(&reads, GetParam()));
  for (const uint32_t index : {5, 0, 1, 2, 9, 3, 4, 4, 199, 0, 5, 6, 50, 7}) {
    ExpectPartition(index, ahead.Take(index));
  }
}

TEST_P(ReadAheadTest, it_may_go_at_any_time) {
  for (uint32_t taken = 0; taken < 40; ++taken) {
    std::atomic<int> reads{0};
    ReadAhead ahead(&RealEnv(), SourceOf(&reads, GetParam()));
    for (uint32_t index = 0; index < taken; ++index) ExpectPartition(index, ahead.Take(index));
  }
}

INSTANTIATE_TEST_SUITE_P(BytesEach, ReadAheadTest, ::testing::Values(1, 64 << 10, 100 << 20));

// Waits in the second partition until the owner says so.
TEST(ReadAheadThreadTest, reads_while_the_owner_works_and_not_without_bound) {
  std::mutex mutex;
  std::condition_variable changed;
  int read = 0;
  ReadAhead ahead(&RealEnv(), {.count = kPartitions,
                               .read =
                                   [&](uint32_t index) {
                                     const std::lock_guard<std::mutex> guard(mutex);
                                     ++read;
                                     changed.notify_all();
                                     return PartitionOf(index);
                                   },
                               .memory_bytes = [](uint32_t) { return uint64_t{1} << 20; }});
  ExpectPartition(0, ahead.Take(0));
  {
    std::unique_lock<std::mutex> guard(mutex);
    // Nobody asked for these.
    changed.wait(guard, [&] { return read >= 4; });
  }
  ExpectPartition(1, ahead.Take(1));
  ExpectPartition(2, ahead.Take(2));
  const std::lock_guard<std::mutex> guard(mutex);
  EXPECT_LE(read, 3 + 4) << "4 MiB wait at most";
}

TEST(ReadAheadThreadTest, simulation_reads_what_is_asked_for_in_order) {
  SimEnv env(1);
  std::vector<uint32_t> order;
  {
    ReadAhead ahead(&env, {.count = 20,
                           .read =
                               [&](uint32_t index) {
                                 order.push_back(index);
                                 return PartitionOf(index);
                               },
                           .memory_bytes = [](uint32_t) { return uint64_t{1}; }});
    for (uint32_t index = 0; index < 10; ++index) ExpectPartition(index, ahead.Take(index));
    EXPECT_EQ(order, (std::vector<uint32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  env.RunAllBackground();
  EXPECT_EQ(order.size(), 10u) << "what came too late reads nothing";
}

}  // namespace
}  // namespace headrace
