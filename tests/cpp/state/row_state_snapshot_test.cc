// Rows of changing size under work while another thread reads their snapshot, gives it up half-way,
// or outlives the state: what it reads are the rows at the barrier.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/state/block_pool.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/row_state.h"

namespace headrace {
namespace {

constexpr KeyId kKeys = 3000;

enum class Reader { kReadsAll, kStopsHalfWay, kDropsAtOnce };

// Value of each key; keys without one are not there.
using Rows = std::map<KeyId, std::string>;
// What was stored of a table: the row in each slot.
using StoredRows = std::map<uint32_t, std::pair<KeyId, std::string>>;

Rows ByKey(const StoredRows& stored) {
  Rows rows;
  for (const auto& [slot, row] : stored) rows.insert(row);
  return rows;
}

class RowStateSnapshotTest : public ::testing::Test {
 protected:
  RowStateSnapshotTest() {
    for (KeyId key = 0; key < kKeys; ++key) keys_.LookupOrInsertInt(key);
  }

  void RandomStep() {
    const KeyId key = random_() % (random_() % 4 == 0 ? kKeys : kKeys / 20);
    if (random_() % 8 == 0) {
      rows_->Remove(key, {}, {});
      model_.erase(key);
      return;
    }
    // Half keep their size, so that they are overwritten in place; a few are larger than pooled
    // blocks.
    size_t size = random_() % 2 == 0 ? 24 : random_() % 200;
    if (random_() % 50 == 0) size = BlockPool::kPooledBytes + random_() % 2000;
    const std::string value(size, static_cast<char>('a' + random_() % 26));
    rows_->Put(key, {}, {}, value);
    model_[key] = value;
  }

  std::unique_ptr<TableSnapshot> Freeze() {
    TableMeta meta;
    meta.name = "rows";
    meta.kind = TableKind::kRows;
    return rows_->Snapshot(std::move(meta));
  }

  // Runs on the reader's thread: changed rows go into `stored`, which held the rows of the barrier
  // before.
  static void Read(std::unique_ptr<TableSnapshot> snapshot, Reader reader, StoredRows* stored) {
    if (reader == Reader::kDropsAtOnce) return;
    if (snapshot->full()) stored->clear();  // else a delta on what was stored
    const std::vector<uint32_t> changed = snapshot->ChangedPartitions();
    const size_t count = reader == Reader::kReadsAll ? changed.size() : changed.size() / 2;
    for (size_t i = 0; i < count; ++i) {
      PartitionImage image;
      ASSERT_TRUE(snapshot->ReadPartition(changed[i], /*want_whole=*/false, &image).ok());
      if (!image.payload.empty()) Apply(image, stored);
    }
    if (reader == Reader::kReadsAll) snapshot->Finish();
  }

  static void Apply(const PartitionImage& image, StoredRows* stored) {
    const auto partition = DecodePartition(TableKind::kRows, 0, image.payload);
    ASSERT_TRUE(partition.ok()) << partition.status().ToString();
    if (partition->whole) {
      stored->erase(stored->lower_bound(partition->first_row),
                    stored->lower_bound(partition->first_row + partition->row_count));
    }
    for (const StoredRow& row : partition->rows) {
      stored->erase(row.row);
      if (!row.tombstone) stored->emplace(row.row, std::make_pair(row.key, row.value));
    }
  }

  std::mt19937 random_{41};
  KeyDictionary keys_{128};
  std::unique_ptr<RowState> rows_ = std::make_unique<RowState>(&keys_);
  Rows model_;
};

TEST_F(RowStateSnapshotTest, reader_sees_the_rows_of_the_barrier_whatever_the_owner_does) {
  StoredRows stored;
  for (int round = 0; round < 60; ++round) {
    const Rows expected = model_;
    const auto reader = static_cast<Reader>(round % 5 < 3 ? 0 : round % 5 - 2);
    std::atomic<bool> done{false};
    std::thread thread([&, snapshot = Freeze()]() mutable {
      Read(std::move(snapshot), reader, &stored);
      done = true;
    });
    // At least some steps, and as many as fit beside the reader: its end falls between two of them.
    for (int step = 0; step < 500 || !done; ++step) RandomStep();
    for (int step = 0; step < 500; ++step) RandomStep();
    thread.join();
    if (reader == Reader::kReadsAll) {
      ASSERT_EQ(ByKey(stored), expected) << "round " << round;
    }
    for (const auto& [key, value] : model_) {
      std::string_view found;
      ASSERT_TRUE(rows_->Get(key, {}, {}, &found));
      ASSERT_EQ(found, value);
    }
  }
}

TEST_F(RowStateSnapshotTest, snapshot_may_outlive_the_state) {
  for (int round = 0; round < 20; ++round) {
    for (int step = 0; step < 2000; ++step) RandomStep();
    const Rows expected = model_;
    StoredRows stored;
    std::thread thread([&, snapshot = Freeze()]() mutable {
      Read(std::move(snapshot), Reader::kReadsAll, &stored);
    });
    for (int step = 0; step < 200; ++step) RandomStep();
    rows_ = std::make_unique<RowState>(&keys_);
    model_.clear();
    thread.join();
    ASSERT_EQ(ByKey(stored), expected) << "round " << round;
  }
}

}  // namespace
}  // namespace headrace
