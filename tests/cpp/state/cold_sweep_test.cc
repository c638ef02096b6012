// Rows that are over leave the store of a row cache too, though no key of theirs is ever used
// again.
#include "headrace/state/cold_sweep.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "headrace/state/keyed_state.h"
#include "headrace/state/ttl_rows.h"
#include "state/snapshot_store.h"
#include "testing/memory_cold_store.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

using testing::SnapshotStore;
using Layout = TtlRows::Layout;

constexpr int64_t kTtlMs = 100;
constexpr int kKeys = 3000;

class ColdSweepTest : public ::testing::Test {
 protected:
  std::unique_ptr<KeyedState> NewCache() {
    ColdStoreOptions options;
    options.directory = "store-" + std::to_string(++stores_);
    auto state = std::make_unique<KeyedState>(KeyGroupRange{0, 127}, 128, int64_t{1} << 30,
                                              factory_.Open(nullptr, options).value());
    // Nothing stays in memory between elements.
    state->LimitCache(0);
    return state;
  }
  TtlRows Timed(KeyedState* state, TimeToLive spec, Layout layout = Layout::kValues) {
    RowState* rows = *state->RegisterRows("timed", "ttl<test>");
    return {rows, spec, layout, &env_, ColdSweep::Make(state, rows)};
  }
  KeyId Key(int64_t number) { return state_->keys().LookupOrInsertInt(number); }
  void Pass(int64_t ms) { env_.clock().AdvanceMs(ms); }
  // Accesses of one key that has nothing, until `count` rows could have been looked at.
  void Use(TtlRows* rows, int64_t count, int64_t sweep_rows) {
    std::string value;
    for (int64_t looks = 0; looks < count; looks += sweep_rows) {
      EXPECT_FALSE(rows->Get(Key(kKeys + 1), {}, {}, &value));
      rows->CleanUp(1);
      state_->Maintain();
    }
  }
  int64_t StoredRows() const { return state_->ColdStatistics().at("rows"); }

  SimEnv env_{1};
  MemoryColdStoreFactory factory_;
  int stores_ = 0;
  std::unique_ptr<KeyedState> state_ = NewCache();
};

TEST_F(ColdSweepTest, ThereIsNoneWhereAllRowsAreInMemory) {
  KeyedState state(KeyGroupRange{0, 127}, 128, 1 << 30);
  EXPECT_EQ(ColdSweep::Make(&state, *state.RegisterRows("timed", "ttl<test>")), nullptr);
}

TEST_F(ColdSweepTest, LooksAtAsManyRowsAsItIsAllowed) {
  RowState* rows = *state_->RegisterRows("timed", "ttl<test>");
  const std::unique_ptr<ColdSweep> sweep = ColdSweep::Make(state_.get(), rows);
  EXPECT_FALSE(sweep->any());
  for (int key = 0; key < 10; ++key) rows->Put(Key(key), {}, {}, "value");
  state_->Maintain();
  ASSERT_EQ(StoredRows(), 10);
  EXPECT_TRUE(sweep->any());
  const auto all = [](std::string_view) { return true; };
  EXPECT_EQ(sweep->Next(1, all).size(), 1u);
  EXPECT_EQ(sweep->Next(3, all).size(), 3u);
}

TEST_F(ColdSweepTest, ValuesThatAreOverLeaveTheStoreAndCheckpoints) {
  TtlRows rows = Timed(state_.get(), {.ttl_ms = kTtlMs, .sweep_rows = 10});
  // Other states of the same keys stay.
  RowState* others = *state_->RegisterRows("others", "test");
  FixedValueState* numbers = *state_->RegisterFixed("numbers", "value<int64>", 8);
  for (int key = 0; key < kKeys; ++key) {
    rows.Put(Key(key), {}, {}, "plain");
    rows.Put(Key(key), "window", "sub", "in a window");
    others->Put(Key(key), {}, {}, "other");
    numbers->Set<int64_t>(Key(key), key);
    state_->Maintain();
  }
  ASSERT_EQ(StoredRows(), 4 * kKeys);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state_->Snapshot()).ok());
  Pass(kTtlMs / 2);
  for (int key = 0; key < kKeys; key += 100) {
    rows.Put(Key(key), {}, {}, "used");
    state_->Maintain();
  }
  Use(&rows, 50 * kKeys, 10);
  EXPECT_EQ(StoredRows(), 4 * kKeys) << "nothing is over";
  Pass(kTtlMs / 2);
  Use(&rows, 50 * kKeys, 10);
  EXPECT_EQ(StoredRows(), 2 * kKeys + kKeys / 100);
  ASSERT_TRUE(state_->cold_status().ok());

  ASSERT_TRUE(store.Write(state_->Snapshot()).ok());
  KeyedState restored(KeyGroupRange{0, 127}, 128, int64_t{1} << 30);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  RowState* stored = *restored.RegisterRows("timed", "ttl<test>");
  EXPECT_EQ(stored->rows(), kKeys / 100);
  EXPECT_EQ((*restored.RegisterRows("others", "test"))->rows(), kKeys);
  for (int key = 0; key < kKeys; key += 100) {
    std::string value;
    TtlRows again(stored, {.ttl_ms = kTtlMs}, Layout::kValues, &env_);
    ASSERT_TRUE(again.Get(restored.keys().LookupOrInsertInt(key), {}, {}, &value));
    EXPECT_EQ(value, "used");
  }
}

TEST_F(ColdSweepTest, ElementsThatAreOverLeaveListsInTheStore) {
  TtlRows lists = Timed(state_.get(), {.ttl_ms = kTtlMs, .sweep_rows = 10}, Layout::kLists);
  constexpr int kLists = 300;
  const std::vector<std::string> first(30, std::string(100, 'f'));  // some segments
  for (int key = 0; key < kLists; ++key) {
    lists.Append(Key(key), {}, first);
    state_->Maintain();
  }
  Pass(kTtlMs / 2);
  for (int key = 0; key < kLists; key += 2) {
    lists.Append(Key(key), {}, {"second"});
    state_->Maintain();
  }
  Pass(kTtlMs / 2);
  Use(&lists, 100 * kLists, 10);
  EXPECT_EQ(StoredRows(), kLists / 2);
  for (int key = 0; key < kLists; ++key) {
    const std::vector<std::string> left = lists.ReadList(Key(key), {});
    EXPECT_EQ(left, key % 2 == 0 ? std::vector<std::string>{"second"} : std::vector<std::string>());
    state_->Maintain();
  }
}

TEST_F(ColdSweepTest, WholeImagesLackRowsOfTheStoreThatAreOverWhenAskedFor) {
  TtlRows rows =
      Timed(state_.get(), {.ttl_ms = kTtlMs, .sweep_rows = 0, .leave_out_of_images = true});
  for (int key = 0; key < kKeys; ++key) {
    rows.Put(Key(key), {}, {}, "old");
    state_->Maintain();
  }
  Pass(kTtlMs);
  for (int key = 0; key < 100; ++key) rows.Put(Key(key), {}, {}, "young");
  rows.BeforeSnapshot();
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state_->Snapshot()).ok());
  state_->Maintain();
  EXPECT_EQ(StoredRows(), kKeys) << "the store itself keeps them";
  // Deltas go on from there.
  rows.Remove(Key(kKeys - 1), {}, {});
  rows.Put(Key(kKeys - 2), {}, {}, "again");
  rows.BeforeSnapshot();
  ASSERT_TRUE(store.Write(state_->Snapshot()).ok());
  KeyedState restored(KeyGroupRange{0, 127}, 128, int64_t{1} << 30);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  EXPECT_EQ((*restored.RegisterRows("timed", "ttl<test>"))->rows(), 101);
}

}  // namespace
}  // namespace headrace
