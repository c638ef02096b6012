// Restored state that becomes a state of another type before it is registered.
#include "headrace/state/keyed_state_migration.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "state/snapshot_store.h"
#include "testing/memory_cold_store.h"

namespace headrace {
namespace {

using testing::SnapshotStore;

constexpr int kKeys = 2000;

KeyedState NewState() { return KeyedState(KeyGroupRange{0, 127}, 128, 1 << 30); }

// With a row cache that holds nothing between elements.
std::unique_ptr<KeyedState> NewCache(MemoryColdStoreFactory* factory) {
  ColdStoreOptions options;
  options.directory = "store";
  auto state = std::make_unique<KeyedState>(KeyGroupRange{0, 127}, 128, 1 << 30,
                                            factory->Open(nullptr, options).value());
  state->LimitCache(0);
  return state;
}

// Of each key: a native number, and a row in two namespaces; of some, a timer.
void Store(SnapshotStore* store, KeyedState* cache = nullptr) {
  KeyedState in_memory = NewState();
  KeyedState& state = cache != nullptr ? *cache : in_memory;
  FixedValueState* numbers = *state.RegisterFixed("number", "value<int32>", 4);
  RowState* rows = *state.RegisterRows("row", "value<former>");
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = state.keys().LookupOrInsertInt(i);
    if (i % 3 != 0) numbers->Set<int32_t>(id, -i);
    rows->Put(id, "", "", "plain " + std::to_string(i));
    rows->Put(id, "window", "sub", "window " + std::to_string(i));
    if (i % 7 == 0) state.timers().Register(TimeDomain::kEventTime, id, "", i);
    state.Maintain();
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
  HR_RETURN_IF_ERROR(MigrateFixed(state, "number", "value<int64>", 8, Widen));
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
    const KeyId id = state->caches_rows() ? state->keys().LookupOrInsertInt(i)
                                          : state->keys().Lookup(Key::OfInt(i));
    ASSERT_NE(id, kNoKey);
    ASSERT_EQ(numbers->Has(id), i % 3 != 0);
    if (i % 3 != 0) {
      ASSERT_EQ(numbers->Get<int64_t>(id), -i);
    }
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

TEST(KeyedStateMigrationTest, RowsThatAreNotInMemoryBecomeOfTheNewTypeToo) {
  for (const bool stored_by_cache : {false, true}) {
    MemoryColdStoreFactory former_rows;
    MemoryColdStoreFactory rows;
    MemoryColdStoreFactory rows_again;
    SnapshotStore store;
    if (stored_by_cache) {
      Store(&store, NewCache(&former_rows).get());
    } else {
      Store(&store);
    }
    const std::unique_ptr<KeyedState> cache = NewCache(&rows);
    KeyedState& state = *cache;
    ASSERT_TRUE(state.Restore(store.AsSame()).ok());
    const Status migrated = Migrate(&state);
    ASSERT_TRUE(migrated.ok()) << migrated.ToString();
    Check(&state);
    state.Maintain();
    Check(&state);

    KeyedStateSnapshot snapshot = state.Snapshot();
    for (const auto& table : snapshot.tables) {
      const bool of_ours = table->meta().name == "number" || table->meta().name == "row";
      EXPECT_TRUE(table->full() || !of_ours) << table->meta().name;
    }
    ASSERT_TRUE(store.Write(std::move(snapshot)).ok());
    const std::unique_ptr<KeyedState> again = NewCache(&rows_again);
    ASSERT_TRUE(again->Restore(store.AsSame()).ok());
    EXPECT_EQ(FindUnclaimed(*again, "number").fingerprint, "value<int64>");
    Check(again.get());
    // And one whose state is all in memory.
    KeyedState in_memory = NewState();
    ASSERT_TRUE(in_memory.Restore(store.AsSame()).ok());
    Check(&in_memory);
  }
}

TEST(KeyedStateMigrationTest, RowsThatWereMigratedCanBeWrittenAndRemoved) {
  MemoryColdStoreFactory former_rows;
  MemoryColdStoreFactory rows;
  SnapshotStore store;
  Store(&store, NewCache(&former_rows).get());
  const std::unique_ptr<KeyedState> cache = NewCache(&rows);
  KeyedState& state = *cache;
  ASSERT_TRUE(state.Restore(store.AsSame()).ok());
  ASSERT_TRUE(Migrate(&state).ok());
  FixedValueState* numbers = *state.RegisterFixed("number", "value<int64>", 8);
  RowState* texts = *state.RegisterRows("row", "value<new>");
  for (int i = 0; i < kKeys; ++i) {
    const KeyId id = state.keys().LookupOrInsertInt(i);
    if (i % 2 == 0) {
      numbers->Set<int64_t>(id, int64_t{i} << 40);
      texts->Put(id, "", "", "written");
    } else {
      numbers->Clear(id);
      texts->Clear(id, "");
    }
    texts->Clear(id, "window");
    state.Maintain();
  }
  ASSERT_TRUE(store.Write(state.Snapshot()).ok());
  KeyedState again = NewState();
  ASSERT_TRUE(again.Restore(store.AsSame()).ok());
  numbers = *again.RegisterFixed("number", "value<int64>", 8);
  texts = *again.RegisterRows("row", "value<new>");
  EXPECT_EQ(texts->rows(), kKeys / 2);
  for (int i = 0; i < kKeys; i += 2) {
    const KeyId id = again.keys().Lookup(Key::OfInt(i));
    ASSERT_NE(id, kNoKey);
    EXPECT_EQ(numbers->Get<int64_t>(id), int64_t{i} << 40);
  }
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
    state.timers().Delete(TimeDomain::kEventTime, id, "", i);
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
