#include "headrace/state/block_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace headrace {
namespace {

TEST(BlockPoolTest, block_given_up_is_the_next_of_its_size) {
  BlockPool pool;
  void* block = pool.Allocate(40);
  pool.Free(block, 40);
  EXPECT_NE(pool.Allocate(80), block);
  EXPECT_EQ(pool.Allocate(33), block);  // 33 and 40 bytes are the same step
}

TEST(BlockPoolTest, largest_pooled_block_given_up_is_the_next_of_its_size) {
  BlockPool pool;
  void* block = pool.Allocate(BlockPool::kPooledBytes);
  pool.Free(block, BlockPool::kPooledBytes);
  EXPECT_EQ(pool.Allocate(BlockPool::kPooledBytes), block);
}

TEST(BlockPoolTest, held_block_keeps_its_content_behind_the_first_eight_bytes) {
  for (const size_t size : {size_t{24}, BlockPool::kPooledBytes, 3 * BlockPool::kPooledBytes}) {
    BlockPool pool;
    char* block = static_cast<char*>(pool.Allocate(size));
    std::memset(block, 'a', size);
    pool.Hold(block, size);
    EXPECT_EQ(pool.held_bytes(), BlockPool::BlockBytes(size));
    EXPECT_NE(pool.Allocate(size), block);
    EXPECT_EQ(std::string(block + 8, size - 8), std::string(size - 8, 'a'));
    pool.FreeHeld();
    EXPECT_EQ(pool.held_bytes(), 0);
  }
}

TEST(BlockPoolTest, blocks_freed_after_holding_are_used_before_new_memory) {
  BlockPool pool;
  std::set<void*> held;
  for (int i = 0; i < 1000; ++i) held.insert(pool.Allocate(100));
  for (void* block : held) pool.Hold(block, 100);
  pool.FreeHeld();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(held.erase(pool.Allocate(100)), 1u);
}

TEST(BlockPoolTest, blocks_never_overlap) {
  BlockPool pool;
  std::mt19937 random(1);
  struct Live {
    char* block;
    char mark;
  };
  std::multimap<size_t, Live> live;
  for (int i = 0; i < 20'000; ++i) {
    if (random() % 1000 == 0) pool.FreeHeld();
    if (!live.empty() && random() % 2 == 0) {
      auto at = live.lower_bound(random() % 1500);
      if (at == live.end()) at = live.begin();
      const auto [size, one] = *at;
      ASSERT_EQ(std::string(one.block, size), std::string(size, one.mark));
      if (random() % 2 == 0) {
        pool.Free(one.block, size);
      } else {
        pool.Hold(one.block, size);
      }
      live.erase(at);
    } else {
      const size_t size = 1 + random() % 1500;
      auto* block = static_cast<char*>(pool.Allocate(size));
      const char mark = static_cast<char>('a' + random() % 26);
      std::memset(block, mark, size);
      live.emplace(size, Live{block, mark});
    }
  }
}

}  // namespace
}  // namespace headrace
