#include "headrace/operators/widened_state.h"

#include <gtest/gtest.h>

#include "headrace/state/keyed_state_migration.h"
#include "state/snapshot_store.h"

namespace headrace {
namespace {

using testing::SnapshotStore;

TEST(WidenedStateTest, NumbersMayOnlyBecomeWider) {
  EXPECT_TRUE(OnlyWidens("sum(int32), count(*)", "sum(int64), count(*)"));
  EXPECT_TRUE(
      OnlyWidens("tumbling(5): min(int8), max(int64)", "tumbling(5): min(int16), max(int64)"));
  EXPECT_TRUE(OnlyWidens("value<f0: int16, f1: float32, >", "value<f0: int32, f1: float64, >"));
  EXPECT_FALSE(OnlyWidens("sum(int64)", "sum(int32)"));
  EXPECT_FALSE(OnlyWidens("sum(int64)", "sum(float64)"));
  EXPECT_FALSE(OnlyWidens("sum(int32)", "avg(int32)"));
  EXPECT_FALSE(OnlyWidens("sum(int32)", "sum(int64), count(*)"));
  EXPECT_FALSE(OnlyWidens("sum(int32), count(*)", "sum(int64)"));
  EXPECT_FALSE(OnlyWidens("max(string)", "max(int64)"));
  EXPECT_FALSE(OnlyWidens("value<int32: string, >", "value<int64: string, >")) << "a field's name";
}

TEST(WidenedStateTest, RestoredAccumulatorsAreTakenOverAsTheyAre) {
  constexpr int kKeys = 100;
  const auto make = [] { return KeyedState(KeyGroupRange{0, 127}, 128, 1 << 30); };
  SnapshotStore store;
  {
    KeyedState state = make();
    SliceTable* slice = (*state.RegisterSlices("sums", "sum(int32)", 8))->FindOrCreate(0);
    for (int i = 0; i < kKeys; ++i) {
      const KeyId id = slice->keys().LookupOrInsertInt(i);
      slice->accumulators().EnsureSize(id + 1);
      *reinterpret_cast<int64_t*>(slice->accumulators().MutableRow(id)) = i;
    }
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  }
  KeyedState refused = make();
  ASSERT_TRUE(refused.Restore(store.AsSame()).ok());
  AdoptWidened(&refused, "sums", "sum(int16)");
  const auto registered = refused.RegisterSlices("sums", "sum(int16)", 8);
  ASSERT_FALSE(registered.ok());
  EXPECT_NE(registered.status().message().find("sum(int32)"), std::string::npos);

  KeyedState state = make();
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  AdoptWidened(&state, "sums", "sum(int64)");
  const auto sums = state.RegisterSlices("sums", "sum(int64)", 8);
  ASSERT_TRUE(sums.ok()) << sums.status().ToString();
  SliceTable* slice = (*sums)->Find(0);
  ASSERT_NE(slice, nullptr);
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = slice->keys().Lookup(Key::OfInt(i));
    ASSERT_NE(id, kNoKey);
    EXPECT_EQ(*reinterpret_cast<const int64_t*>(slice->accumulators().Row(id)), i);
  }
  // What is stored from now on says so.
  ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  KeyedState again = make();
  ASSERT_TRUE(again.Restore(store.AsSame()).ok());
  EXPECT_EQ(FindUnclaimed(again, "sums").fingerprint, "sum(int64)");
}

}  // namespace
}  // namespace headrace
