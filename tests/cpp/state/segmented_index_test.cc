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

TEST(SegmentedIndexTest, expected_entries_are_found_and_take_no_more_room) {
  const auto hash = [](uint32_t value) { return static_cast<uint32_t>(MixInt64(value) >> 32); };
  // More, as many, and fewer than there will be; said before the first one and after some.
  for (const int64_t expected : {100'000, 400'000, 900'000}) {
    for (const uint32_t before : {0, 7'000}) {
      MemoryMeterPtr meter = std::make_shared<MemoryMeter>();
      {
        Index index(meter);
        for (uint32_t value = 0; value < before; ++value) index.Insert({hash(value), value});
        index.Expect(expected);
        ASSERT_EQ(index.size(), before);
        ASSERT_EQ(Find(index, hash(500'000), 500'000), nullptr);
        for (uint32_t value = before; value < 400'000; ++value) index.Insert({hash(value), value});
        ASSERT_EQ(index.size(), 400'000);
        for (uint32_t value = 0; value < 400'000; ++value) {
          ASSERT_NE(Find(index, hash(value), value), nullptr) << value;
        }
        size_t visited = 0;
        index.ForEach([&](const Entry&) { ++visited; });
        EXPECT_EQ(visited, 400'000u);
        if (expected == 400'000) {
          const auto room = static_cast<double>(index.memory_bytes()) / sizeof(Entry);
          EXPECT_GT(400'000 / room, 0.34) << "said after " << before;
        }
        for (uint32_t value = 0; value < 400'000; value += 3) {
          index.Erase(Find(index, hash(value), value));
        }
        EXPECT_EQ(Find(index, hash(3), 3), nullptr);
        EXPECT_NE(Find(index, hash(4), 4), nullptr);
        EXPECT_EQ(meter->bytes(), index.memory_bytes());
      }
      EXPECT_EQ(meter->bytes(), 0);
    }
  }
}

TEST(SegmentedIndexTest, what_was_expected_takes_memory_when_it_is_there) {
  Index index;
  index.Expect(100'000'000);
  EXPECT_LT(index.memory_bytes(), 2 << 20);
  EXPECT_EQ(Find(index, 1, 1), nullptr);
  index.Insert({1, 1});
  EXPECT_NE(Find(index, 1, 1), nullptr);
  Index few;
  few.Expect(100);
  EXPECT_EQ(few.memory_bytes(), 0);
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
