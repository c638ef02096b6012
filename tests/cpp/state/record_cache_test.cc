#include "headrace/state/record_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace {
namespace {

RecordPlace PlaceOf(uint32_t i) { return {i / 1000, i % 1000, 10}; }

TEST(RecordCacheTest, value_put_in_is_found_by_its_place) {
  RecordCache cache;
  std::string value;
  EXPECT_FALSE(cache.Get(PlaceOf(1), &value));
  cache.Put(PlaceOf(1), "one", 10'000);
  cache.Put(PlaceOf(1001), "other segment", 10'000);
  ASSERT_TRUE(cache.Get(PlaceOf(1), &value));
  EXPECT_EQ(value, "one");
  ASSERT_TRUE(cache.Get(PlaceOf(1001), &value));
  EXPECT_EQ(value, "other segment");
  cache.Erase(PlaceOf(1));
  EXPECT_FALSE(cache.Get(PlaceOf(1), &value));
  EXPECT_EQ(cache.hits(), 2);
  EXPECT_EQ(cache.misses(), 2);
}

TEST(RecordCacheTest, longest_unused_values_go_first) {
  RecordCache cache;
  std::string value;
  constexpr int64_t kBytes = 20'000;
  for (uint32_t i = 0; i < 1000; ++i) {
    cache.Put(PlaceOf(i), std::string(100, 'v'), kBytes);
    EXPECT_LE(cache.bytes(), kBytes);
    EXPECT_TRUE(cache.Get(PlaceOf(0), &value));  // always in use
  }
  EXPECT_GE(cache.bytes(), kBytes * 9 / 10);
  EXPECT_TRUE(cache.Get(PlaceOf(999), &value));
  EXPECT_FALSE(cache.Get(PlaceOf(500), &value));
}

TEST(RecordCacheTest, large_value_does_not_push_out_the_others) {
  RecordCache cache;
  std::string value;
  cache.Put(PlaceOf(1), "small", 10'000);
  cache.Put(PlaceOf(2), std::string(5'000, 'v'), 10'000);
  EXPECT_FALSE(cache.Get(PlaceOf(2), &value));
  EXPECT_TRUE(cache.Get(PlaceOf(1), &value));
}

TEST(RecordCacheTest, shrunk_to_nothing_it_holds_nothing) {
  RecordCache cache;
  for (uint32_t i = 0; i < 100; ++i) cache.Put(PlaceOf(i), "value", 1 << 20);
  cache.Shrink(5'000);
  EXPECT_LE(cache.bytes(), 5'000);
  EXPECT_GT(cache.bytes(), 4'000);
  cache.Shrink(0);
  EXPECT_EQ(cache.bytes(), 0);
}

}  // namespace
}  // namespace headrace
