#include "headrace/state/chunked_array.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

constexpr size_t kChunk = 4096;

TEST(ChunkedArrayTest, elements_are_zero_until_written_on_both_sides_of_a_chunks_edge) {
  ChunkedArray<int> array;
  EXPECT_EQ(array.Get(0), 0);
  EXPECT_EQ(array.Find(0), nullptr);
  array[kChunk - 1] = 7;
  EXPECT_EQ(array.Get(kChunk - 1), 7);
  EXPECT_EQ(array.Get(kChunk), 0);
  EXPECT_EQ(array.Find(kChunk), nullptr);
  array[kChunk] = 8;
  EXPECT_EQ(array.Get(kChunk), 8);
  EXPECT_EQ(*array.Find(kChunk - 1), 7);
}

TEST(ChunkedArrayTest, visits_every_element_of_the_chunks_that_were_written) {
  ChunkedArray<int> array;
  array[kChunk - 1] = 1;
  array[2 * kChunk] = 2;
  size_t visited = 0;
  int sum = 0;
  array.ForEach([&](int value) {
    ++visited;
    sum += value;
  });
  EXPECT_EQ(visited, 2 * kChunk);
  EXPECT_EQ(sum, 3);
}

}  // namespace
}  // namespace headrace
