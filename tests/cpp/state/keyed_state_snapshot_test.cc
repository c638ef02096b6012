// Random work on a KeyedState with one state of every kind, snapshots read by another thread while
// the work goes on, and restores: what comes back must be what the model held at the barrier.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "state/keyed_state_model.h"
#include "state/snapshot_store.h"

namespace headrace {
namespace {

using testing::KeyedModel;
using testing::ModelledState;
using testing::SnapshotFate;
using testing::SnapshotStore;

KeyedModel RestoredFrom(const SnapshotStore& store) {
  ModelledState restored;
  const Status status = restored.state.Restore(store.AsSame());
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(restored.Open().ok());
  return restored.Read();
}

class KeyedStateSnapshotTest : public ::testing::TestWithParam<int> {};

TEST_P(KeyedStateSnapshotTest, base_and_deltas_restore_the_state_at_each_barrier) {
  std::mt19937 random(GetParam());
  auto current = std::make_unique<ModelledState>();
  ASSERT_TRUE(current->Open().ok());
  SnapshotStore store;
  const int keys_max = GetParam() % 2 ? 300 : 6000;
  int watermark = 0;
  for (int round = 0; round < 24; ++round) {
    KeyedStateSnapshot snapshot = current->state.Snapshot();
    const uint64_t number = snapshot.number;
    const KeyedModel expected = current->model;
    const SnapshotFate fate(round);
    Status written;
    std::thread writer([&, taken = std::move(snapshot)]() mutable {
      written = fate.Write(std::move(taken), &store);
    });
    for (int step = 0; step < 3000; ++step) {
      current->RandomStep(&random, keys_max, watermark);
      if (step % 500 == 0) {
        watermark += 3;
        ASSERT_TRUE(current->Advance(watermark)) << "timers fired out of order";
        current->state.Maintain();
      }
    }
    writer.join();
    ASSERT_TRUE(written.ok()) << written.ToString();
    ASSERT_EQ(current->Read(), current->model) << "round " << round;
    if (fate.aborted()) current->state.OnCheckpointAborted(number);
    if (fate.lost()) continue;
    current->state.OnCheckpointComplete(number);
    ASSERT_EQ(RestoredFrom(store), expected) << "round " << round;
    if (round % 6 == 4) {
      // Go on from the stored state: the next snapshot is a delta on it.
      current = std::make_unique<ModelledState>();
      ASSERT_TRUE(current->state.Restore(store.AsSame()).ok());
      ASSERT_TRUE(current->Open().ok());
      current->model = expected;
      watermark = 0;
      for (const auto& [start, sums] : expected.slices) watermark = static_cast<int>(start);
    }
  }
  EXPECT_GT(store.deltas(), 10);
  EXPECT_GT(store.wholes(), 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, KeyedStateSnapshotTest, ::testing::Values(1, 2, 3, 4));

// Subtasks of one operator at some parallelism, as stored.
std::vector<SnapshotStore> StoreAt(int parallelism, std::mt19937* random, KeyedModel* all) {
  std::vector<SnapshotStore> stores(parallelism);
  for (int index = 0; index < parallelism; ++index) {
    ModelledState subtask(KeyGroupRangeOf(index, parallelism, 128));
    EXPECT_TRUE(subtask.Open().ok());
    for (int round = 0; round < 3; ++round) {
      for (int step = 0; step < 3000; ++step) subtask.RandomStep(random, 900, 0);
      EXPECT_TRUE(stores[index].Write(subtask.state.Snapshot()).ok());
    }
    all->Add(subtask.model);
  }
  return stores;
}

TEST(KeyedStateRescaleTest, union_of_the_subtasks_stays_the_same_at_any_parallelism) {
  std::mt19937 random(17);
  for (const int from : {1, 2, 3, 5}) {
    KeyedModel expected;
    const std::vector<SnapshotStore> stores = StoreAt(from, &random, &expected);
    for (const int to : {1, 2, 3, 4}) {
      KeyedModel found;
      for (int index = 0; index < to; ++index) {
        ModelledState subtask(KeyGroupRangeOf(index, to, 128));
        StoredKeyedState stored;
        stored.same_parallelism = from == to;
        for (int former = 0; former < from; ++former) {
          if (from != to || former == index) {
            stored.subtasks.push_back(stores[former].AsSubtask(former));
          }
        }
        const Status status = subtask.state.Restore(std::move(stored));
        ASSERT_TRUE(status.ok()) << status.ToString();
        ASSERT_TRUE(subtask.Open().ok());
        const KeyedModel part = subtask.Read();
        for (const auto& [key, value] : part.count) ASSERT_TRUE(subtask.Owns(key));
        found.Add(part);
        const KeyedStateSnapshot next = subtask.state.Snapshot();
        for (const auto& table : next.tables) {
          ASSERT_EQ(table->full(), from != to) << table->meta().name;
        }
      }
      ASSERT_EQ(found, expected) << from << " -> " << to;
    }
  }
}

TEST(KeyedStateRescaleTest, ids_follow_former_subtask_and_former_id) {
  std::mt19937 random(19);
  KeyedModel all;
  const std::vector<SnapshotStore> stores = StoreAt(2, &random, &all);
  std::vector<std::vector<std::string>> orders;
  for (const bool reversed : {false, true}) {
    ModelledState merged;
    StoredKeyedState stored;
    stored.same_parallelism = false;
    stored.subtasks.push_back(stores[reversed ? 1 : 0].AsSubtask(reversed ? 1 : 0));
    stored.subtasks.push_back(stores[reversed ? 0 : 1].AsSubtask(reversed ? 0 : 1));
    ASSERT_TRUE(merged.state.Restore(std::move(stored)).ok());
    std::vector<std::string> order;
    for (KeyId id = 0; id < merged.state.keys().size(); ++id) {
      order.push_back(merged.state.keys().EncodedKey(id));
    }
    orders.push_back(order);
  }
  EXPECT_EQ(orders[0], orders[1]);
}

TEST(KeyedStateRestoreTest, a_payload_cut_anywhere_is_corruption_that_names_the_table) {
  std::mt19937 random(23);
  ModelledState small;
  ASSERT_TRUE(small.Open().ok());
  for (int step = 0; step < 120; ++step) small.RandomStep(&random, 8, 0);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(small.state.Snapshot()).ok());
  int cuts = 0;
  for (auto& [name, table] : store.tables()) {
    for (auto& [index, payloads] : table.payloads) {
      const std::string whole = payloads[0];
      for (size_t size = 0; size < whole.size(); ++size) {
        payloads[0] = whole.substr(0, size);
        ModelledState restored;
        const Status status = restored.state.Restore(store.AsSame());
        ASSERT_EQ(status.code(), StatusCode::kCorruption) << name << " cut to " << size;
        ASSERT_NE(status.message().find("table '" + name + "'"), std::string::npos)
            << status.ToString();
        ++cuts;
      }
      payloads[0] = whole;
    }
  }
  EXPECT_GT(cuts, 100);
}

TEST(KeyedStateRestoreTest, damaged_payloads_never_crash_a_restore) {
  std::mt19937 random(29);
  ModelledState small;
  ASSERT_TRUE(small.Open().ok());
  for (int step = 0; step < 300; ++step) small.RandomStep(&random, 30, 0);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(small.state.Snapshot()).ok());
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    auto table =
        std::next(store.tables().begin(), static_cast<int64_t>(random() % store.tables().size()));
    if (table->second.payloads.empty()) continue;
    std::string& payload = table->second.payloads.begin()->second[0];
    const std::string whole = payload;
    payload[random() % payload.size()] ^= static_cast<char>(1 << (random() % 8));
    for (const bool same : {true, false}) {
      ModelledState restored;
      StoredKeyedState stored = store.AsSame();
      stored.same_parallelism = same;
      refused += !restored.state.Restore(std::move(stored)).ok();
    }
    payload = whole;
  }
  EXPECT_GT(refused, 500);
}

TEST(KeyedStateRestoreTest, rows_of_a_size_that_no_state_has_are_corruption) {
  ModelledState one;
  ASSERT_TRUE(one.Open().ok());
  std::mt19937 random(37);
  for (int step = 0; step < 100; ++step) one.RandomStep(&random, 10, 0);
  SnapshotStore store;
  ASSERT_TRUE(store.Write(one.state.Snapshot()).ok());
  for (const char* name : {"count", "slices/total/0"}) {
    TableMeta& meta = store.tables().at(name).meta;
    const uint32_t row_bytes = meta.row_bytes;
    for (const uint32_t wrong : {0u, 0x80000000u, 0xffffffffu}) {
      meta.row_bytes = wrong;
      ModelledState restored;
      const Status status = restored.state.Restore(store.AsSame());
      EXPECT_EQ(status.code(), StatusCode::kCorruption) << name << ", " << wrong;
      EXPECT_NE(status.message().find(name), std::string::npos) << status.ToString();
    }
    meta.row_bytes = row_bytes;
  }
}

TEST(KeyedStateRestoreTest, missing_key_and_missing_dictionary_are_corruption) {
  ModelledState one;
  ASSERT_TRUE(one.Open().ok());
  std::mt19937 random(31);
  for (int step = 0; step < 100; ++step) one.RandomStep(&random, 10, 0);
  for (const char* lost : {"keys", "slices/total/0/keys"}) {
    SnapshotStore store;
    ASSERT_TRUE(store.Write(one.state.Snapshot(), true).ok());
    one.state.RequireFullSnapshot();
    ASSERT_EQ(store.tables().erase(lost), 1u) << lost;
    ModelledState restored;
    EXPECT_EQ(restored.state.Restore(store.AsSame()).code(), StatusCode::kCorruption);
  }
}

}  // namespace
}  // namespace headrace
