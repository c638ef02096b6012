// Restored state that becomes a state of another type before it is registered.
#include "headrace/state/keyed_state_migration.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "state/snapshot_store.h"

namespace headrace {
namespace {

using testing::SnapshotStore;

constexpr int kKeys = 2000;

KeyedState NewState() { return KeyedState(KeyGroupRange{0, 127}, 128, 1 << 30); }

// Of each key: a native number, and a row in two namespaces.
void Store(SnapshotStore* store) {
  KeyedState state = NewState();
  FixedValueState* numbers = *state.RegisterFixed("number", "value<int32>", 4);
  RowState* rows = *state.RegisterRows("row", "value<former>");
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = state.keys().LookupOrInsertInt(i);
    if (i % 3 != 0) numbers->Set<int32_t>(id, -i);
    rows->Put(id, "", "", "plain " + std::to_string(i));
    rows->Put(id, "window", "sub", "window " + std::to_string(i));
  }
  ASSERT_TRUE(store->Write(state.Snapshot()).ok());
}

void Widen(const char* from, char* to) {
  int32_t narrow = 0;
  std::memcpy(&narrow, from, sizeof narrow);
  const int64_t wide = narrow;
  std::memcpy(to, &wide, sizeof wide);
}

Status Migrate(KeyedState* state) {
  EXPECT_EQ(FindUnclaimed(*state, "number").fingerprint, "value<int32>");
  EXPECT_EQ(FindUnclaimed(*state, "row").fingerprint, "value<former>");
  MigrateFixed(state, "number", "value<int64>", 8, Widen);
  return MigrateRows(state, "row", "value<new>", [](std::string_view value, ByteWriter* out) {
    out->Raw("migrated ");
    out->Raw(value);
    return Status::Ok();
  });
}

void Check(KeyedState* state) {
  FixedValueState* numbers = *state->RegisterFixed("number", "value<int64>", 8);
  RowState* rows = *state->RegisterRows("row", "value<new>");
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = state->keys().Lookup(Key::OfInt(i));
    ASSERT_NE(id, kNoKey);
    ASSERT_EQ(numbers->Has(id), i % 3 != 0);
    if (i % 3 != 0) ASSERT_EQ(numbers->Get<int64_t>(id), -i);
    std::string_view value;
    ASSERT_TRUE(rows->Get(id, "", "", &value));
    ASSERT_EQ(value, "migrated plain " + std::to_string(i));
    ASSERT_TRUE(rows->Get(id, "window", "sub", &value));
    ASSERT_EQ(value, "migrated window " + std::to_string(i));
  }
}

TEST(KeyedStateMigrationTest, EveryValueIsOfTheNewTypeAndSoIsTheNextSnapshot) {
  SnapshotStore store;
  Store(&store);
  KeyedState state = NewState();
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  const Status migrated = Migrate(&state);
  ASSERT_TRUE(migrated.ok()) << migrated.ToString();
  Check(&state);
  EXPECT_EQ(FindUnclaimed(state, "row").fingerprint, "") << "it is registered by now";

  KeyedStateSnapshot snapshot = state.Snapshot();
  for (const auto& table : snapshot.tables) {
    const bool of_ours = table->meta().name == "number" || table->meta().name == "row";
    EXPECT_EQ(table->full(), of_ours) << table->meta().name;
  }
  ASSERT_TRUE(store.Write(std::move(snapshot)).ok());
  KeyedState again = NewState();
  ASSERT_TRUE(again.Restore(store.AsSame()).ok());
  EXPECT_EQ(FindUnclaimed(again, "number").fingerprint, "value<int64>");
  Check(&again);
}

TEST(KeyedStateMigrationTest, KeysAreReleasedWithWhatWasMigrated) {
  SnapshotStore store;
  Store(&store);
  KeyedState state = NewState();
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  ASSERT_TRUE(Migrate(&state).ok());
  FixedValueState* numbers = *state.RegisterFixed("number", "value<int64>", 8);
  RowState* rows = *state.RegisterRows("row", "value<new>");
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = state.keys().Lookup(Key::OfInt(i));
    numbers->Clear(id);
    rows->Clear(id, "");
    rows->Clear(id, "window");
  }
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  EXPECT_EQ(state.keys().live_keys(), 0);
}

TEST(KeyedStateMigrationTest, TellsKindAndFailure) {
  SnapshotStore store;
  Store(&store);
  KeyedState state = NewState();
  EXPECT_EQ(FindUnclaimed(state, "number").fingerprint, "");
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  EXPECT_EQ(FindUnclaimed(state, "number").kind, TableKind::kFixedValue);
  EXPECT_EQ(FindUnclaimed(state, "row").kind, TableKind::kRows);
  const Status failed = MigrateRows(&state, "row", "value<new>", [](std::string_view, ByteWriter*) {
    return Status::Corruption("no row");
  });
  EXPECT_EQ(failed.code(), StatusCode::kCorruption);
  EXPECT_NE(failed.message().find("state 'row'"), std::string::npos);
}

}  // namespace
}  // namespace headrace
