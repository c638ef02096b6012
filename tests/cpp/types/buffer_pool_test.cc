#include "headrace/types/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "headrace/types/column.h"

namespace headrace {
namespace {

TEST(BufferPool, CapacityCoversTheRequestAndWastesLessThanHalf) {
  for (size_t size = 0; size < 100'000; size += 7) {
    const size_t capacity = BufferPool::CapacityOf(size);
    ASSERT_GE(capacity, size);
    ASSERT_EQ(capacity % BufferPool::kAlignment, 0u);
    if (size > 64) {
      ASSERT_LE(capacity, size * 2) << size;
    }
  }
  EXPECT_EQ(BufferPool::CapacityOf(BufferPool::kPooledBytesMax), BufferPool::kPooledBytesMax);
  EXPECT_EQ(BufferPool::CapacityOf(0), 64u);
}

TEST(BufferPool, BlocksAreAlignedAndWritableInFull) {
  BufferPool pool;
  for (size_t size : {size_t{0}, size_t{1}, size_t{65}, size_t{5000}, size_t{17} << 20}) {
    void* block = pool.Allocate(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    std::memset(block, 0xab, BufferPool::CapacityOf(size));
    pool.Free(block, size);
  }
}

TEST(BufferPool, FreedBlockIsHandedOutAgainWhenTheSizeClassIsTheSame) {
  BufferPool pool;
  void* first = pool.Allocate(8000);
  pool.Free(first, 8000);
  EXPECT_EQ(pool.idle_bytes(), BufferPool::CapacityOf(8000));
  void* second = pool.Allocate(7000);
  EXPECT_EQ(second, first);
  EXPECT_EQ(pool.idle_bytes(), 0u);
  pool.Free(second, 7000);
}

TEST(BufferPool, BlocksGoBackToTheSystemWhenTheCapIsReached) {
  BufferPool pool(1024);
  void* a = pool.Allocate(1024);
  void* b = pool.Allocate(1024);
  pool.Free(a, 1024);
  pool.Free(b, 1024);
  EXPECT_EQ(pool.idle_bytes(), 1024u);
}

TEST(BufferPool, BuffersMayBeFreedByOtherThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (size_t i = 0; i < 2000; ++i) {
        auto buffer = Buffer::Allocate(i * 13 % 9000);
        std::memset(buffer->mutable_data(), 1, buffer->size_bytes());
        if (i % 500 == 0) std::thread([moved = std::move(buffer)] {}).join();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(BufferPool::Shared().idle_bytes(), BufferPool::kIdleBytesMax);
}

}  // namespace
}  // namespace headrace
