#include "headrace/state/keyed_state.h"

#include <gtest/gtest.h>

#include <string>

#include "state/snapshot_store.h"

namespace headrace {
namespace {

using testing::SnapshotStore;

constexpr int64_t kNoBudget = int64_t{1} << 40;

bool Mentions(const Status& status, std::string_view text) {
  return status.message().find(text) != std::string::npos;
}

TEST(KeyedStateTest, registering_twice_gives_the_same_state_and_another_type_is_refused) {
  KeyedState state({0, 127}, 128, kNoBudget);
  auto first = state.RegisterFixed("count", "value<int64>", 8);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(*first, *state.RegisterFixed("count", "value<int64>", 8));
  const Status refused = state.RegisterRows("count", "value<str>").status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Mentions(refused, "'count'"));
  EXPECT_TRUE(Mentions(refused, "value<int64>"));
  EXPECT_TRUE(Mentions(refused, "value<str>"));
  EXPECT_FALSE(state.RegisterFixed("odd", "value<x>", 3).ok());
}

// An index that grows by doubling passes here or there; the sizes lie all over a doubling.
TEST(KeyedStateTest, counter_by_int64_key_takes_at_most_64_bytes_a_key) {
  KeyedState state({0, 127}, 128, kNoBudget);
  FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
  int64_t keys = 0;
  for (const int64_t wanted :
       {250'000, 300'000, 400'000, 500'000, 600'000, 800'000, 1'000'000, 1'250'000, 1'500'000}) {
    for (; keys < wanted; ++keys) {
      count->Set<int64_t>(state.keys().LookupOrInsertInt(keys * 1000003), keys);
    }
    EXPECT_LE(state.memory_bytes(), 64 * keys) << keys << " keys";
  }
}

TEST(KeyedStateTest, registry_shows_size_and_rows_of_each_state) {
  KeyedState state({0, 127}, 128, kNoBudget);
  FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
  for (int64_t key = 0; key < 1000; ++key) {
    count->Set<int64_t>(state.keys().LookupOrInsertInt(key), key);
  }
  const std::vector<StateRegistration> registry = state.Registry();
  ASSERT_EQ(registry.size(), 2u);
  EXPECT_EQ(registry[0].name, "count");
  EXPECT_EQ(registry[0].rows, 1000);
  EXPECT_GE(registry[0].bytes, 8000);
  EXPECT_EQ(registry[1].name, "keys");
}

TEST(KeyedStateTest, budget_error_names_the_largest_state_and_the_setting) {
  KeyedState state({0, 127}, 128, 1 << 20);
  RowState* rows = *state.RegisterRows("basket", "list<str>");
  ASSERT_TRUE(state.RegisterFixed("count", "value<int64>", 8).ok());
  EXPECT_TRUE(state.CheckBudget().ok());
  for (int64_t key = 0; key < 1000; ++key) {
    rows->Put(state.keys().LookupOrInsertInt(key), "", "", std::string(2000, 'x'));
  }
  const Status over = state.CheckBudget();
  EXPECT_EQ(over.code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(Mentions(over, "'basket'")) << over.ToString();
  EXPECT_TRUE(Mentions(over, "state.memory-budget (1.0 MiB)")) << over.ToString();
  for (int64_t key = 0; key < 1000; ++key) {
    rows->Clear(state.keys().LookupOrInsertInt(key), "");
  }
  EXPECT_TRUE(state.CheckBudget().ok());
}

TEST(KeyedStateTest, registry_of_an_unused_state_is_empty) {
  const KeyedState state({0, 127}, 128, kNoBudget);
  EXPECT_TRUE(state.Registry().empty());
}

TEST(KeyedStateTest, accumulators_without_bytes_are_refused) {
  KeyedState state({0, 127}, 128, kNoBudget);
  EXPECT_EQ(state.RegisterSlices("none", "sum", 0).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(state.RegisterSlices("some", "sum", 8).ok());
}

TEST(KeyedStateTest, state_may_fill_its_budget_and_not_go_over_it) {
  const auto checked = [](int64_t budget, int64_t* bytes) {
    KeyedState state({0, 127}, 128, budget);
    for (int64_t key = 0; key < 100; ++key) state.keys().LookupOrInsertInt(key);
    *bytes = state.memory_bytes();
    return state.CheckBudget();
  };
  int64_t bytes = 0;
  ASSERT_TRUE(checked(kNoBudget, &bytes).ok());
  EXPECT_TRUE(checked(bytes, &bytes).ok());
  EXPECT_EQ(checked(bytes - 1, &bytes).code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(Mentions(checked(1023, &bytes), "(1023 B)"));
  EXPECT_TRUE(Mentions(checked(1024, &bytes), "(1.0 KiB)"));
}

TEST(KeyedStateTest, page_copies_of_an_open_snapshot_count_against_the_budget) {
  KeyedState state({0, 127}, 128, kNoBudget);
  FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
  for (int64_t key = 0; key < 20'000; ++key) {
    count->Set<int64_t>(state.keys().LookupOrInsertInt(key), key);
  }
  const int64_t before = state.memory_bytes();
  {
    const KeyedStateSnapshot snapshot = state.Snapshot();
    for (KeyId id = 0; id < 20'000; ++id) count->Set<int64_t>(id, 1);
    EXPECT_GE(state.memory_bytes(), before + 20'000 * 8);
  }
  EXPECT_LT(state.memory_bytes(), before + 8192);
}

TEST(KeyedStateTest, states_not_registered_again_are_carried_through_snapshots) {
  SnapshotStore store;
  {
    KeyedState state({0, 127}, 128, kNoBudget);
    FixedValueState* old = *state.RegisterFixed("old", "value<int64>", 8);
    old->Set<int64_t>(state.keys().LookupOrInsertString("a"), 42);
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  }
  for (int generation = 0; generation < 3; ++generation) {
    KeyedState state({0, 127}, 128, kNoBudget);
    ASSERT_TRUE(state.Restore(store.AsSame()).ok());
    ASSERT_TRUE(state.RegisterRows("new", "value<str>").ok());
    ASSERT_EQ(state.Registry()[1].name, "old");
    state.keys().LookupOrInsertString("b");
    store = SnapshotStore();
    state.RequireFullSnapshot();
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  }
  KeyedState state({0, 127}, 128, kNoBudget);
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  const Status refused = state.RegisterFixed("old", "value<float>", 8).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Mentions(refused, "value<int64>") && Mentions(refused, "value<float>"));
  FixedValueState* old = *state.RegisterFixed("old", "value<int64>", 8);
  EXPECT_EQ(old->Get<int64_t>(state.keys().LookupOrInsertString("a")), 42);
}

TEST(KeyedStateTest, stored_state_of_another_type_fails_the_restore_when_registered_before) {
  SnapshotStore store;
  {
    KeyedState state({0, 127}, 128, kNoBudget);
    ASSERT_TRUE(state.RegisterFixed("count", "value<int64>", 8).ok());
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  }
  KeyedState state({0, 127}, 128, kNoBudget);
  ASSERT_TRUE(state.RegisterFixed("count", "value<float>", 8).ok());
  const Status refused = state.Restore(store.AsSame());
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Mentions(refused, "value<int64>") && Mentions(refused, "value<float>"));
}

TEST(KeyedStateTest, states_named_like_our_tables_do_not_meet_them) {
  SnapshotStore store;
  const char* names[] = {"keys", "timers", "slices/total/1", "state/keys"};
  {
    KeyedState state({0, 127}, 128, kNoBudget);
    const KeyId id = state.keys().LookupOrInsertInt(1);
    for (const char* name : names) {
      (*state.RegisterFixed(name, "value<int64>", 8))->Set<int64_t>(id, name[0]);
    }
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
    EXPECT_EQ(store.tables().size(), 6u);
  }
  KeyedState state({0, 127}, 128, kNoBudget);
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  for (const char* name : names) {
    EXPECT_EQ((*state.RegisterFixed(name, "value<int64>", 8))->Get<int64_t>(0), name[0]);
  }
}

TEST(KeyedStateTest, dropped_slices_are_reported_until_a_checkpoint_without_them_is_complete) {
  KeyedState state({0, 127}, 128, kNoBudget);
  SliceStore* slices = *state.RegisterSlices("total", "sum", 8);
  slices->FindOrCreate(1000);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  EXPECT_EQ(store.tables().count("slices/total/1000"), 1u);
  slices->Drop(1000);
  const std::vector<std::string> dropped = {"slices/total/1000", "slices/total/1000/keys"};
  EXPECT_EQ(state.Snapshot().dropped, dropped);  // abandoned
  KeyedStateSnapshot snapshot = state.Snapshot();
  EXPECT_EQ(snapshot.dropped, dropped);
  ASSERT_TRUE(SnapshotStore().Write(std::move(snapshot)).ok());
  state.OnCheckpointComplete(3);
  EXPECT_TRUE(state.Snapshot().dropped.empty());
}

TEST(KeyedStateTest,
     dropped_slice_is_reported_no_more_when_the_checkpoint_that_said_so_is_complete) {
  KeyedState state({0, 127}, 128, kNoBudget);
  SliceStore* slices = *state.RegisterSlices("total", "sum", 8);
  slices->FindOrCreate(1000);
  const uint64_t stored = state.Snapshot().number;
  slices->Drop(1000);
  KeyedStateSnapshot snapshot = state.Snapshot();
  EXPECT_FALSE(snapshot.dropped.empty());
  const uint64_t number = snapshot.number;
  ASSERT_TRUE(SnapshotStore().Write(std::move(snapshot)).ok());
  state.OnCheckpointComplete(stored);
  state.OnCheckpointComplete(number);
  EXPECT_TRUE(state.Snapshot().dropped.empty());
}

TEST(KeyedStateTest, a_slice_made_anew_is_not_reported_as_dropped) {
  KeyedState state({0, 127}, 128, kNoBudget);
  SliceStore* slices = *state.RegisterSlices("total", "sum", 8);
  slices->FindOrCreate(1000);
  state.Snapshot();
  slices->Drop(1000);
  state.Snapshot();
  slices->FindOrCreate(1000);
  EXPECT_TRUE(state.Snapshot().dropped.empty());
}

TEST(KeyedStateTest, a_rescaled_subtask_has_only_slices_in_which_it_has_keys) {
  SnapshotStore store;
  int group = 0;
  {
    KeyedState state({0, 127}, 128, kNoBudget);
    SliceTable* slice = (*state.RegisterSlices("total", "sum", 8))->FindOrCreate(1000);
    const KeyId id = slice->keys().LookupOrInsertInt(1);
    group = slice->keys().KeyGroupOf(id);
    slice->accumulators().EnsureSize(1);
    slice->accumulators().MutableRow(id);
    ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  }
  for (const bool ours : {false, true}) {
    const int mine = ours ? group : (group + 1) % 128;
    KeyedState state({mine, mine}, 128, kNoBudget);
    StoredKeyedState stored = store.AsSame();
    stored.same_parallelism = false;
    ASSERT_TRUE(state.Restore(std::move(stored)).ok());
    EXPECT_EQ((*state.RegisterSlices("total", "sum", 8))->Find(1000) != nullptr, ours);
  }
}

TEST(KeyedStateTest, unused_keys_get_a_tombstone_at_the_barrier_and_reuse_waits) {
  KeyedState state({0, 127}, 128, kNoBudget);
  FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
  const KeyId id = state.keys().LookupOrInsertInt(1);
  count->Set<int64_t>(id, 1);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  count->Clear(id);
  ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  EXPECT_EQ(state.keys().live_keys(), 0);
  state.OnCheckpointComplete();  // the first one: does not hold the tombstone
  EXPECT_NE(state.keys().LookupOrInsertInt(2), id);
  state.OnCheckpointComplete();
  EXPECT_EQ(state.keys().LookupOrInsertInt(3), id);
}

TEST(KeyedStateTest, maintain_keeps_up_with_keys_that_come_and_go) {
  KeyedState state({0, 127}, 128, kNoBudget);
  FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
  for (int64_t batch = 0; batch < 200; ++batch) {
    for (int64_t row = 0; row < 1000; ++row) {
      const KeyId id = state.keys().LookupOrInsertInt(batch * 1000 + row);
      count->Set<int64_t>(id, 1);
      count->Clear(id);
    }
    state.Maintain();
  }
  EXPECT_LT(state.keys().live_keys(), 7000);
  EXPECT_LT(state.keys().size(), 8000u);
}

}  // namespace
}  // namespace headrace
