#include "headrace/state/slice_store.h"

#include <gtest/gtest.h>

#include "headrace/state/paged_table_snapshot.h"

namespace headrace {
namespace {

TEST(SliceStoreTest, dropping_a_slice_gives_its_memory_back) {
  const auto meter = std::make_shared<MemoryMeter>();
  SliceStore store(16, 128, meter);
  for (int i = 0; i < 10'000; ++i) {
    SliceTable* slice = store.FindOrCreate(1000);
    const KeyId id = slice->keys().LookupOrInsertString("key-" + std::to_string(i));
    slice->accumulators().EnsureSize(slice->keys().size());
    slice->accumulators().MutableRow(id);
  }
  EXPECT_GT(meter->bytes(), 10'000 * 16);
  store.Drop(1000);
  EXPECT_EQ(store.Find(1000), nullptr);
  EXPECT_EQ(meter->bytes(), 0);
}

TEST(SliceStoreTest, a_small_slice_is_cheap) {
  const auto meter = std::make_shared<MemoryMeter>();
  SliceStore store(8, 128, meter);
  for (int start = 0; start < 1000; ++start) {
    SliceTable* slice = store.FindOrCreate(start);
    const KeyId id = slice->keys().LookupOrInsertString("a");
    slice->accumulators().EnsureSize(id + 1);
    slice->accumulators().MutableRow(id);
  }
  EXPECT_LT(meter->bytes() / 1000, 12 * 1024);
}

TEST(SliceStoreTest, only_slices_of_the_last_snapshot_are_reported_as_dropped) {
  SliceStore store(8, 128);
  store.FindOrCreate(1);
  store.FindOrCreate(2);
  store.FindOrCreate(3);
  EXPECT_TRUE(store.TakeDropped().empty());
  store.Drop(1);
  store.Drop(2);
  store.FindOrCreate(2);  // anew under the same name
  store.FindOrCreate(4);
  store.Drop(4);  // never stored
  EXPECT_EQ(store.TakeDropped(), std::vector<TimestampMs>{1});
  EXPECT_TRUE(store.TakeDropped().empty());
}

}  // namespace
}  // namespace headrace
