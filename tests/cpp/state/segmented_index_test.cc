#include "headrace/state/segmented_index.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

#include "headrace/base/hash.h"

namespace headrace {
namespace {

struct Entry {
  uint32_t hash;
  uint32_t value;
};
struct Traits {
  static Entry Empty() { return {0, 0xffffffff}; }
  static bool IsEmpty(const Entry& entry) { return entry.value == 0xffffffff; }
  static uint32_t Hash(const Entry& entry) { return entry.hash; }
};
using Index = SegmentedIndex<Entry, Traits>;

Entry* Find(const Index& index, uint32_t hash, uint32_t value) {
  return index.Find(hash, [&](const Entry& entry) { return entry.value == value; });
}

TEST(SegmentedIndexTest, equals_a_map_under_random_inserts_and_erases) {
  std::mt19937 random(1);
  Index index;
  std::unordered_map<uint32_t, bool> model;
  const auto hash = [](uint32_t value) { return static_cast<uint32_t>(MixInt64(value) >> 32); };
  for (int step = 0; step < 400'000; ++step) {
    const uint32_t value = random() % 60'000;
    Entry* found = Find(index, hash(value), value);
    ASSERT_EQ(found != nullptr, model.count(value) == 1) << "step " << step;
    if (found == nullptr) {
      index.Insert({hash(value), value});
      model[value] = true;
    } else if (random() % 2) {
      index.Erase(found);
      model.erase(value);
    }
  }
  ASSERT_EQ(index.size(), static_cast<int64_t>(model.size()));
  size_t visited = 0;
  index.ForEach([&](const Entry& entry) { visited += model.count(entry.value); });
  EXPECT_EQ(visited, model.size());
}

TEST(SegmentedIndexTest, equal_hashes_do_not_grow_the_directory) {
  MemoryMeterPtr meter = std::make_shared<MemoryMeter>();
  {
    Index index(meter);
    for (uint32_t value = 0; value < 20'000; ++value) index.Insert({0x12345678, value});
    for (uint32_t value = 0; value < 20'000; value += 997) {
      EXPECT_NE(Find(index, 0x12345678, value), nullptr);
    }
    for (uint32_t value = 0; value < 30'000; ++value) {
      index.Insert({value * 2654435761u, 100'000 + value});
    }
    EXPECT_NE(Find(index, 7 * 2654435761u, 100'007), nullptr);
    EXPECT_LT(index.memory_bytes(), 4'000'000);
    EXPECT_EQ(meter->bytes(), index.memory_bytes());
  }
  EXPECT_EQ(meter->bytes(), 0);
}

TEST(SegmentedIndexTest, large_index_is_three_eighths_full_at_every_size) {
  Index index;
  for (uint32_t value = 0; value < 1'000'000; ++value) {
    index.Insert({static_cast<uint32_t>(MixInt64(value) >> 32), value});
    // A segment that was just split may be emptier than its neighbours.
    if (value < 200'000 || value % 1000 != 0) continue;
    const auto room = static_cast<double>(index.memory_bytes()) / sizeof(Entry);
    ASSERT_GT(static_cast<double>(index.size()) / room, 0.36) << index.size() << " entries";
  }
}

TEST(SegmentedIndexTest, empty_index_takes_no_memory_and_a_small_one_little) {
  Index index;
  EXPECT_EQ(index.memory_bytes(), 0);
  EXPECT_EQ(Find(index, 1, 1), nullptr);
  index.Insert({1, 1});
  EXPECT_LT(index.memory_bytes(), 512);
}

}  // namespace
}  // namespace headrace
