// KeyedState as a row cache over a ColdStore: whatever left memory, programs see the same state,
// and checkpoints hold it, as without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/state/keyed_partition_codec.h"
#include "state/keyed_state_model.h"
#include "state/snapshot_store.h"
#include "testing/memory_cold_store.h"

namespace headrace {
namespace {

using testing::KeyedModel;
using testing::ModelledState;
using testing::SnapshotFate;
using testing::SnapshotStore;

std::unique_ptr<ColdStore> OpenCold(MemoryColdStoreFactory* factory) {
  static int opened = 0;
  ColdStoreOptions options;
  options.directory = "store-" + std::to_string(++opened);
  return factory->Open(nullptr, options).value();
}

std::unique_ptr<ModelledState> MakeCold(MemoryColdStoreFactory* factory,
                                        KeyGroupRange range = {0, 127}) {
  return std::make_unique<ModelledState>(range, OpenCold(factory));
}

// Restores into `restored` and reads all of it.
KeyedModel ReadRestored(ModelledState* restored, StoredKeyedState stored, int keys_max) {
  // In whatever order its tables are.
  static int turns = 0;
  if (++turns % 2 == 0) {
    for (StoredSubtask& subtask : stored.subtasks) {
      std::reverse(subtask.tables.begin(), subtask.tables.end());
    }
  }
  const Status status = restored->state.Restore(std::move(stored));
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(restored->Open().ok());
  KeyedModel found = restored->ReadAll(keys_max);
  EXPECT_TRUE(restored->state.cold_status().ok());
  return found;
}

class KeyedStateColdTest : public ::testing::TestWithParam<int> {
 protected:
  MemoryColdStoreFactory factory_;
};

TEST_P(KeyedStateColdTest, base_and_deltas_restore_the_state_at_each_barrier) {
  std::mt19937 random(GetParam());
  auto current = MakeCold(&factory_);
  ASSERT_TRUE(current->Open().ok());
  SnapshotStore store;
  const int keys_max = GetParam() % 2 ? 150 : 500;
  int watermark = 0;
  int64_t written_to_store = 0;
  for (int round = 0; round < 16; ++round) {
    KeyedStateSnapshot snapshot = current->state.Snapshot();
    const uint64_t number = snapshot.number;
    const KeyedModel expected = current->model;
    const SnapshotFate fate(round);
    Status written;
    std::thread writer([&, taken = std::move(snapshot)]() mutable {
      written = fate.Write(std::move(taken), &store);
    });
    // Every other round without a moment in which rows could leave memory.
    const int steps_per_eviction = round % 2 ? 37 : 1000;
    const int steps = round % 3 == 0 ? 1000 : 60;
    for (int step = 0; step < steps; ++step) {
      current->RandomStep(&random, keys_max, watermark);
      if (step % 50 == 0) {
        watermark += 1;
        ASSERT_TRUE(current->Advance(watermark)) << "timers fired out of order";
      }
      if (step % steps_per_eviction == 0) current->state.Maintain();
    }
    writer.join();
    ASSERT_TRUE(written.ok()) << written.ToString();
    ASSERT_EQ(current->ReadAll(keys_max), current->model) << "round " << round;
    ASSERT_TRUE(current->state.cold_status().ok());
    written_to_store = std::max(written_to_store, current->state.ColdStatistics().at("rows"));
    if (fate.aborted()) current->state.OnCheckpointAborted(number);
    if (fate.lost()) continue;
    current->state.OnCheckpointComplete(number);
    auto restored = MakeCold(&factory_);
    ASSERT_EQ(ReadRestored(restored.get(), store.AsSame(), keys_max), expected)
        << "round " << round;
    if (round % 6 == 4) {
      // Go on from the stored state: the next snapshot is a delta on it.
      current = MakeCold(&factory_);
      ASSERT_TRUE(current->state.Restore(store.AsSame()).ok());
      ASSERT_TRUE(current->Open().ok());
      current->model = expected;
      watermark = 0;
      for (const auto& [start, sums] : expected.slices) watermark = static_cast<int>(start);
    }
  }
  EXPECT_GT(store.deltas(), 10);
  EXPECT_GT(store.wholes(), 10);
  EXPECT_GT(written_to_store, keys_max / 4);
}

TEST_P(KeyedStateColdTest, state_moves_between_memory_and_a_store_at_any_parallelism) {
  std::mt19937 random(GetParam() + 100);
  constexpr int kKeys = 600;
  int watermark = 0;
  // The parallelism of each step, and whether its subtasks have a store.
  const std::vector<std::pair<int, bool>> steps = {{1, true},  {3, true}, {2, false}, {2, true},
                                                   {1, false}, {1, true}, {1, false}};
  std::vector<SnapshotStore> former;
  KeyedModel expected;
  for (const auto& [parallelism, with_store] : steps) {
    std::vector<SnapshotStore> stored(parallelism);
    // Tables that can be built upon are.
    if (former.size() == 1 && parallelism == 1) stored = former;
    KeyedModel all;
    for (int index = 0; index < parallelism; ++index) {
      const KeyGroupRange range = KeyGroupRangeOf(index, parallelism, 128);
      auto subtask =
          with_store ? MakeCold(&factory_, range) : std::make_unique<ModelledState>(range);
      StoredKeyedState from;
      from.same_parallelism = former.size() == 1 && parallelism == 1;
      for (size_t i = 0; i < former.size(); ++i) {
        from.subtasks.push_back(former[i].AsSubtask(static_cast<int>(i)));
      }
      const KeyedModel found = ReadRestored(subtask.get(), std::move(from), kKeys);
      subtask->model = found;
      all.Add(found);
      // Two snapshots, so that there are deltas to restore from.
      for (int part = 0; part < 2; ++part) {
        for (int step = 0; step < 700; ++step) {
          subtask->RandomStep(&random, kKeys, watermark);
          if (step % 60 == 0) subtask->state.Maintain();
        }
        ASSERT_TRUE(stored[index].Write(subtask->state.Snapshot()).ok());
        subtask->state.OnCheckpointComplete();
      }
      if (index == 0) watermark += 5;
    }
    ASSERT_EQ(all, expected) << "parallelism " << parallelism << (with_store ? ", store" : "");
    expected = KeyedModel();
    former = std::move(stored);
    // What the subtasks held in the end, read back by one of the other kind.
    ModelledState check;
    StoredKeyedState from;
    from.same_parallelism = false;
    for (size_t i = 0; i < former.size(); ++i) {
      from.subtasks.push_back(former[i].AsSubtask(static_cast<int>(i)));
    }
    expected = ReadRestored(&check, std::move(from), kKeys);
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, KeyedStateColdTest, ::testing::Range(1, 5));

std::string IntKey(int64_t number) {
  ByteWriter out;
  EncodeInt(number, &out);
  return out.Take();
}

constexpr int64_t kLargeCache = int64_t{64} << 20;

class RowCacheTest : public ::testing::Test {
 protected:
  // Without a budget Maintain() evicts all it can.
  std::unique_ptr<KeyedState> Make(int64_t budget = 0) {
    auto state = std::make_unique<KeyedState>(
        KeyGroupRange{0, 127}, 128, budget > 0 ? budget : kLargeCache, OpenCold(&factory_));
    if (budget == 0) state->LimitCache(0);
    return state;
  }
  MemoryColdStoreFactory factory_;
};

TEST_F(RowCacheTest, a_row_erased_loaded_and_erased_in_one_epoch_is_gone) {
  auto state = Make();
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  KeyId id = state->keys().LookupOrInsertInt(7);
  count->Set<int64_t>(id, 1);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state->Snapshot()).ok());
  for (const bool evict : {false, true}) {
    id = state->keys().LookupOrInsertInt(7);
    count->Clear(id);
    count->Set<int64_t>(id, 2);
    if (evict) state->Maintain();
    id = state->keys().LookupOrInsertInt(7);
    ASSERT_TRUE(count->Has(id));
    EXPECT_EQ(count->Get<int64_t>(id), 2);
    count->Clear(id);
    state->Maintain();
    id = state->keys().LookupOrInsertInt(7);
    EXPECT_FALSE(count->Has(id));
    ASSERT_TRUE(store.Write(state->Snapshot()).ok());
    auto restored = Make();
    ASSERT_TRUE(restored->Restore(store.AsSame()).ok());
    FixedValueState* again = restored->RegisterFixed("count", "value<int64>", 8).value();
    EXPECT_FALSE(again->Has(restored->keys().LookupOrInsertInt(7)));
    // Back for the second turn, evicted as a row of an earlier epoch.
    id = state->keys().LookupOrInsertInt(7);
    count->Set<int64_t>(id, 3);
    ASSERT_TRUE(store.Write(state->Snapshot()).ok());
    state->Maintain();
  }
}

TEST_F(RowCacheTest, ids_of_evicted_keys_are_used_again_at_once) {
  auto state = Make();
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  for (int64_t batch = 0; batch < 50; ++batch) {
    for (int64_t i = 0; i < 100; ++i) {
      count->Set<int64_t>(state->keys().LookupOrInsertInt(batch * 100 + i), batch);
    }
    state->Maintain();
  }
  EXPECT_LE(state->keys().size(), 300u);
  EXPECT_GE(state->ColdStatistics().at("rows"), 4500);
  EXPECT_EQ(state->Registry()[0].rows, 5000);
  for (int64_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(count->Get<int64_t>(state->keys().LookupOrInsertInt(i)), i / 100);
  }
}

TEST_F(RowCacheTest, a_batch_of_keys_has_its_rows_when_the_lookup_returns) {
  auto state = Make();
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  std::vector<int64_t> ints(3000);
  std::vector<std::string> texts;
  for (int64_t i = 0; i < 3000; ++i) {
    ints[i] = i;
    texts.push_back("key " + std::to_string(i));
    count->Set<int64_t>(state->keys().LookupOrInsertInt(i), i);
    count->Set<int64_t>(state->keys().LookupOrInsertString(texts.back()), -i);
    state->Maintain();
  }
  ASSERT_EQ(state->ColdStatistics().at("rows"), 6000);
  const std::vector<std::string_view> strings(texts.begin(), texts.end());
  std::vector<KeyId> ids(3000);
  state->keys().LookupOrInsertInts(ints.data(), 3000, ids.data());
  for (int64_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(count->Has(ids[i])) << i;
    ASSERT_EQ(count->Get<int64_t>(ids[i]), i);
  }
  state->keys().LookupOrInsertStrings(strings.data(), 3000, ids.data());
  for (int64_t i = 0; i < 3000; ++i) {
    ASSERT_TRUE(count->Has(ids[i])) << i;
    ASSERT_EQ(count->Get<int64_t>(ids[i]), -i);
  }
}

TEST_F(RowCacheTest, rows_of_a_key_are_stored_in_order_however_they_came) {
  auto state = Make(kLargeCache);
  RowState* map = state->RegisterRows("map", "map<int, str>").value();
  const auto put = [&](int64_t round, int64_t step) {
    for (int64_t sub_key = 300; sub_key > 0; sub_key -= step) {
      for (int64_t key = 0; key < 5; ++key) {
        map->Put(state->keys().LookupOrInsertInt(key), {}, IntKey(sub_key),
                 std::to_string(round * 1000 + sub_key));
      }
    }
  };
  SnapshotStore store;
  for (const int64_t round : {1, 2}) {
    put(round, round == 1 ? 1 : 7);
    ASSERT_TRUE(store.Write(state->Snapshot()).ok());
  }
  EXPECT_GT(store.deltas(), 0);
  int64_t rows = 0;
  for (const auto& [bucket, payloads] : store.tables().at("map").payloads) {
    for (const std::string& payload : payloads) {
      const StoredKeyedPartition partition = DecodeKeyedPartition(0, payload).value();
      for (size_t i = 1; i < partition.rows.size(); ++i) {
        if (partition.rows[i - 1].key != partition.rows[i].key) continue;
        ASSERT_LT(partition.rows[i - 1].sub_key, partition.rows[i].sub_key);
        ++rows;
      }
    }
  }
  EXPECT_GT(rows, 5 * 300);
  KeyedState restored({0, 127}, 128, kLargeCache);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  map = restored.RegisterRows("map", "map<int, str>").value();
  std::string_view value;
  for (int64_t sub_key = 1; sub_key <= 300; ++sub_key) {
    ASSERT_TRUE(map->Get(restored.keys().LookupOrInsertInt(3), {}, IntKey(sub_key), &value));
    EXPECT_EQ(value, std::to_string(((300 - sub_key) % 7 == 0 ? 2000 : 1000) + sub_key));
  }
}

TEST_F(RowCacheTest, keys_in_use_stay_and_others_go) {
  auto state = Make(1 << 19);
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  std::vector<int64_t> hot(100);
  std::vector<KeyId> ids(100);
  for (int64_t i = 0; i < 100; ++i) hot[i] = -1 - i;
  int64_t next = 0;
  for (int batch = 0; batch < 120; ++batch) {
    state->keys().LookupOrInsertInts(hot.data(), 100, ids.data());
    for (const KeyId id : ids) count->Set<int64_t>(id, batch);
    for (int i = 0; i < 400; ++i) {
      count->Set<int64_t>(state->keys().LookupOrInsertInt(next++), batch);
    }
    state->Maintain();
  }
  ASSERT_GT(state->ColdStatistics().at("rows"), 1000) << "nothing was evicted";
  const int64_t gets = state->ColdStatistics().at("gets");
  state->keys().LookupOrInsertInts(hot.data(), 100, ids.data());
  EXPECT_LT(state->ColdStatistics().at("gets") - gets, 10) << "hot keys had to be loaded again";
}

TEST_F(RowCacheTest, a_map_larger_than_the_cache_reads_and_iterates_in_order) {
  auto state = Make(1 << 20);
  RowState* map = state->RegisterRows("map", "map<int, str>").value();
  const std::string value(40, 'v');
  std::map<std::string, std::string> expected;
  std::mt19937 random(5);
  // In one go: rows must leave memory without a call of Maintain().
  KeyId id = state->keys().LookupOrInsertInt(1);
  for (int64_t i = 0; i < 20'000; ++i) {
    const std::string sub_key = IntKey(static_cast<int64_t>(random() % 40'000));
    if (i % 10 == 9) {
      EXPECT_EQ(map->Remove(id, {}, sub_key), expected.erase(sub_key) > 0);
    } else {
      const std::string with_number = value + std::to_string(i);
      map->Put(id, {}, sub_key, with_number);
      expected[sub_key] = with_number;
    }
    ASSERT_LT(state->memory_bytes(), 2 << 20);
  }
  state->Maintain();
  ASSERT_TRUE(state->CheckBudget().ok()) << state->CheckBudget().ToString();
  id = state->keys().LookupOrInsertInt(1);
  EXPECT_EQ(map->Count(id, {}), expected.size());
  EXPECT_FALSE(map->empty(id, {}));
  std::map<std::string, std::string> found;
  std::string last;
  map->Walk(id, {}, nullptr, [&](std::string_view sub_key, std::string_view stored) {
    EXPECT_LT(last, sub_key);
    last = sub_key;
    found[last] = stored;
    return true;
  });
  EXPECT_EQ(found, expected);
  // From the middle, a page.
  auto at = expected.upper_bound(IntKey(20'000));
  int rows = 0;
  const std::string after = IntKey(20'000);
  map->Walk(id, {}, &after, [&](std::string_view sub_key, std::string_view) {
    EXPECT_EQ(sub_key, at->first);
    ++at;
    return ++rows < 100;
  });
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state->Snapshot()).ok());
  auto restored = Make(1 << 20);
  ASSERT_TRUE(restored->Restore(store.AsSame()).ok());
  RowState* again = restored->RegisterRows("map", "map<int, str>").value();
  EXPECT_EQ(again->Count(restored->keys().LookupOrInsertInt(1), {}), expected.size());
  id = state->keys().LookupOrInsertInt(1);  // the barrier let go of it
  map->Clear(id, {});
  EXPECT_EQ(map->Count(id, {}), 0u);
  EXPECT_TRUE(map->empty(id, {}));
  ASSERT_TRUE(store.Write(state->Snapshot()).ok());
  auto cleared = Make(1 << 20);
  ASSERT_TRUE(cleared->Restore(store.AsSame()).ok());
  again = cleared->RegisterRows("map", "map<int, str>").value();
  EXPECT_TRUE(again->empty(cleared->keys().LookupOrInsertInt(1), {}));
}

TEST_F(RowCacheTest, segments_of_a_list_are_counted_wherever_they_are) {
  auto state = Make();
  RowState* list = state->RegisterRows("list", "list<str>").value();
  const auto segment = [](uint32_t number) {
    std::string key(4, '\0');
    for (size_t i = 0; i < 4; ++i) key[i] = static_cast<char>(number >> (24 - 8 * i));
    return key;
  };
  for (uint32_t count = 0; count < 70; ++count) {
    KeyId id = state->keys().LookupOrInsertInt(3);
    ASSERT_EQ(list->CountNumbered(id, {}), count);
    list->Put(id, {}, segment(count), "s");
    ASSERT_EQ(list->CountNumbered(id, {}), count + 1);
    if (count % 7 == 3) state->Maintain();
  }
}

TEST_F(RowCacheTest, one_key_of_many_changed_is_one_row_of_one_partition) {
  auto state = Make(kLargeCache);
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  constexpr int64_t kKeys = 200'000;
  for (int64_t i = 0; i < kKeys; ++i) {
    count->Set<int64_t>(state->keys().LookupOrInsertInt(i), i);
  }
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state->Snapshot()).ok());
  count->Set<int64_t>(state->keys().LookupOrInsertInt(77), -1);
  KeyedStateSnapshot snapshot = state->Snapshot();
  int partitions = 0;
  for (const auto& table : snapshot.tables) {
    EXPECT_FALSE(table->full());
    for (const uint32_t index : table->ChangedPartitions()) {
      PartitionImage image;
      ASSERT_TRUE(table->ReadPartition(index, false, &image).ok());
      EXPECT_EQ(image.changed_rows, 1u);
      EXPECT_LT(image.payload.size(), 32u);
      ++partitions;
    }
    table->Finish();
  }
  EXPECT_EQ(partitions, 1);
}

TEST_F(RowCacheTest, a_snapshot_that_takes_long_neither_fails_the_cache_nor_empties_it) {
  constexpr int64_t kBudget = 4 << 20;
  auto state = Make(kBudget);
  RowState* rows = state->RegisterRows("text", "value<str>").value();
  const std::string text(400, 't');
  int64_t next = 0;
  const auto add = [&](int64_t keys) {
    for (const int64_t end = next + keys; next < end; ++next) {
      rows->Put(state->keys().LookupOrInsertInt(next), {}, {}, text);
      if (next % 100 == 0) state->Maintain();
    }
    state->Maintain();
  };
  add(10'000);
  ASSERT_TRUE(state->CheckBudget().ok());
  SnapshotStore store;
  for (const bool want_whole : {true, false}) {
    KeyedStateSnapshot open = state->Snapshot();
    // More than the whole cache, while the rows of before stay for the snapshot.
    add(20'000);
    ASSERT_TRUE(state->CheckBudget().ok()) << state->CheckBudget().ToString();
    EXPECT_LT(state->memory_bytes(), 2 * kBudget);
    EXPECT_GT(state->keys().live_keys(), 2000) << "the cache was emptied and gained nothing";
    ASSERT_TRUE(store.Write(std::move(open), want_whole).ok());
  }
  add(1000);
  EXPECT_LT(state->memory_bytes(), kBudget);
  KeyedState restored({0, 127}, 128, kLargeCache);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  EXPECT_EQ((*restored.RegisterRows("text", "value<str>"))->rows(), 30'000);
}

TEST_F(RowCacheTest, a_log_that_outgrows_its_share_makes_its_partitions_whole) {
  auto state = Make(32 * 1024);  // whose log has room for a few rows
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  std::map<int64_t, int64_t> expected;
  SnapshotStore store;
  std::mt19937 random(3);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3000; ++i) {
      const int64_t key = random() % 20'000;
      count->Set<int64_t>(state->keys().LookupOrInsertInt(key), i);
      expected[key] = i;
      if (i % 100 == 0) state->Maintain();
    }
    ASSERT_TRUE(store.Write(state->Snapshot()).ok());
    auto restored = Make(32 * 1024);
    ASSERT_TRUE(restored->Restore(store.AsSame()).ok());
    FixedValueState* again = restored->RegisterFixed("count", "value<int64>", 8).value();
    for (int64_t key = 0; key < 20'000; ++key) {
      const KeyId id = restored->keys().LookupOrInsertInt(key);
      const auto found = expected.find(key);
      ASSERT_EQ(again->Has(id), found != expected.end()) << key;
      if (found != expected.end()) {
        ASSERT_EQ(again->Get<int64_t>(id), found->second);
      }
      if (key % 100 == 0) restored->Maintain();
    }
  }
}

TEST_F(RowCacheTest, running_accumulators_move_between_a_slice_and_values) {
  constexpr int kBytes = 24;
  const auto fill = [](char* accumulators, int64_t key) {
    std::memset(accumulators, static_cast<int>(key), kBytes);
  };
  const auto check = [](const char* accumulators, int64_t key) {
    return std::string(kBytes, static_cast<char>(key)) == std::string_view(accumulators, kBytes);
  };
  KeyedState memory({0, 127}, 128, kLargeCache);
  SliceStore* slices = memory.RegisterSlices("sum", "sum", kBytes).value();
  SliceTable* slice = slices->FindOrCreate(KeyedState::kOnlySlice);
  for (int64_t key = 0; key < 100; ++key) {
    const KeyId id = slice->keys().LookupOrInsertInt(key);
    slice->accumulators().EnsureSize(slice->keys().size());
    fill(slice->accumulators().MutableRow(id), key);
  }
  SnapshotStore store;
  ASSERT_TRUE(store.Write(memory.Snapshot()).ok());

  auto state = Make();
  ASSERT_TRUE(state->Restore(store.AsSame()).ok());
  FixedValueState* values = state->RegisterAccumulators("sum", "sum", kBytes).value();
  for (int64_t key = 0; key < 120; ++key) {
    const KeyId id = state->keys().LookupOrInsertInt(key);
    ASSERT_EQ(values->Has(id), key < 100);
    if (key < 100) {
      ASSERT_TRUE(check(values->MutableRow(id), key));
    } else {
      fill(values->MutableRow(id), key);
    }
    if (key % 30 == 0) state->Maintain();
  }
  SnapshotStore by_key;
  ASSERT_TRUE(by_key.Write(state->Snapshot()).ok());

  KeyedState back({0, 127}, 128, kLargeCache);
  ASSERT_TRUE(back.Restore(by_key.AsSame()).ok());
  slices = back.RegisterSlices("sum", "sum", kBytes).value();
  slice = slices->Find(KeyedState::kOnlySlice);
  ASSERT_NE(slice, nullptr);
  for (int64_t key = 0; key < 120; ++key) {
    const KeyId id = slice->keys().Lookup(Key::OfInt(key));
    ASSERT_NE(id, kNoKey);
    EXPECT_TRUE(check(slice->accumulators().Row(id), key));
  }
  EXPECT_EQ(state->RegisterAccumulators("sum", "other", kBytes).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(RowCacheTest, accumulators_of_the_most_bytes_are_restored) {
  constexpr int kBytes = 1 << 20;
  const std::string content(kBytes, 'a');
  KeyedState memory({0, 127}, 128, kLargeCache);
  SliceTable* slice =
      memory.RegisterSlices("sum", "sum", kBytes).value()->FindOrCreate(KeyedState::kOnlySlice);
  const KeyId id = slice->keys().LookupOrInsertInt(7);
  slice->accumulators().EnsureSize(slice->keys().size());
  std::memcpy(slice->accumulators().MutableRow(id), content.data(), kBytes);
  SnapshotStore by_slice;
  ASSERT_TRUE(by_slice.Write(memory.Snapshot()).ok());

  SnapshotStore by_key;
  for (const SnapshotStore* from : {&by_slice, &by_key}) {
    auto cache = Make();
    const Status restored = cache->Restore(from->AsSame());
    ASSERT_TRUE(restored.ok()) << restored.ToString();
    FixedValueState* values = cache->RegisterAccumulators("sum", "sum", kBytes).value();
    const KeyId key = cache->keys().LookupOrInsertInt(7);
    ASSERT_TRUE(values->Has(key));
    EXPECT_TRUE(std::string_view(values->MutableRow(key), kBytes) == content);
    by_key = SnapshotStore();
    ASSERT_TRUE(by_key.Write(cache->Snapshot()).ok());
  }
  KeyedState back({0, 127}, 128, kLargeCache);
  const Status restored = back.Restore(by_key.AsSame());
  ASSERT_TRUE(restored.ok()) << restored.ToString();
}

TEST_F(RowCacheTest, a_store_that_fails_is_reported_and_stays_failed) {
  auto state = Make();
  FixedValueState* count = state->RegisterFixed("count", "value<int64>", 8).value();
  count->Set<int64_t>(state->keys().LookupOrInsertInt(1), 5);
  state->Maintain();
  factory_.set_fault([](std::string_view call) {
    return call == "multi_get" ? Status::IoError("the disk is gone") : Status::Ok();
  });
  state->keys().LookupOrInsertInt(1);
  EXPECT_EQ(state->cold_status().code(), StatusCode::kIoError);
  factory_.set_fault(nullptr);
  EXPECT_EQ(state->CheckBudget().code(), StatusCode::kIoError);
}

TEST_F(RowCacheTest, what_cannot_leave_memory_still_meets_the_budget_by_name) {
  auto state = Make(1 << 20);
  for (int64_t i = 0; i < 30'000; ++i) {
    state->timers().Register(TimeDomain::kEventTime, state->keys().LookupOrInsertInt(i), {}, i);
  }
  state->Maintain();
  const Status status = state->CheckBudget();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("state.memory-budget"), std::string::npos);
  EXPECT_NE(status.message().find("timers"), std::string::npos);
}

}  // namespace
}  // namespace headrace
