#include "headrace/state/paged_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "headrace/state/paged_table_snapshot.h"

namespace headrace {
namespace {

using Model = std::map<uint32_t, std::string>;

void Put(PagedTable* table, uint32_t row, uint64_t value) {
  table->EnsureSize(row + 1);
  char* content = table->MutableRow(row);
  std::memset(content, static_cast<char>(value), table->row_bytes());
  std::memcpy(content, &value, std::min<size_t>(sizeof(value), table->row_bytes()));
}

std::string RowText(const char* content, int row_bytes) { return {content, size_t(row_bytes)}; }

// Applies the changed rows of a snapshot to `stored`, as a reader of base and deltas would.
void Apply(PagedTableSnapshot* snapshot, int row_bytes, Model* stored) {
  if (snapshot->full()) stored->clear();
  PartitionRows rows;
  for (const uint32_t index : snapshot->ChangedPartitions()) {
    ASSERT_TRUE(snapshot->ReadPartition(index, &rows).ok());
    for (uint32_t i = 0; i < rows.row_count; ++i) {
      if (!snapshot->full() && !rows.IsChanged(i)) continue;
      stored->erase(rows.first_row + i);
      if (rows.IsLive(i)) {
        (*stored)[rows.first_row + i] =
            RowText(rows.content.data() + size_t{i} * row_bytes, row_bytes);
      }
    }
  }
  snapshot->Finish();
}

TEST(PagedTableTest, rows_written_as_a_run_are_those_written_one_by_one) {
  for (const int row_bytes : {1, 8, 16, 40, 700}) {
    std::mt19937 random(static_cast<unsigned>(row_bytes));
    constexpr uint32_t kRows = 5000;
    PagedTable table(row_bytes);
    table.EnsureSize(kRows);
    Model model;
    Model stored;
    int64_t dirty = 0;
    for (int step = 0; step < 120; ++step) {
      const uint32_t first = random() % kRows;
      const uint32_t count = std::min<uint32_t>(random() % 300, kRows - first);
      std::string content;
      for (uint32_t row = first; row < first + count; ++row) {
        const std::string text(static_cast<size_t>(row_bytes), static_cast<char>(random()));
        dirty += table.dirty(row) ? 0 : 1;
        model[row] = text;
        content += text;
      }
      table.WriteRows(first, count, content.data());
      ASSERT_EQ(table.live_rows(), static_cast<int64_t>(model.size()));
      ASSERT_EQ(table.dirty_rows(), dirty);
      if (step % 20 == 10) {
        const Model expected = model;
        const auto snapshot = table.BeginSnapshot();
        dirty = 0;
        // Over what the snapshot has yet to read.
        const std::string other(100 * static_cast<size_t>(row_bytes), 'x');
        table.WriteRows(1000, 100, other.data());
        dirty = 100;
        for (uint32_t row = 1000; row < 1100; ++row) {
          model[row] = std::string(static_cast<size_t>(row_bytes), 'x');
        }
        Apply(snapshot.get(), row_bytes, &stored);
        ASSERT_EQ(stored, expected) << "step " << step;
      }
    }
    for (const auto& [row, text] : model) {
      ASSERT_TRUE(table.live(row));
      ASSERT_EQ(RowText(table.Row(row), row_bytes), text);
    }
  }
}

TEST(PagedTableTest, rows_are_zero_and_dead_until_written) {
  PagedTable table(8);
  table.EnsureSize(1000);
  EXPECT_FALSE(table.live(999));
  EXPECT_EQ(*reinterpret_cast<const int64_t*>(table.Row(999)), 0);
  *reinterpret_cast<int64_t*>(table.MutableRow(999)) = 7;
  EXPECT_TRUE(table.live(999));
  EXPECT_FALSE(table.live(998));
  EXPECT_EQ(table.live_rows(), 1);
  EXPECT_EQ(table.dirty_rows(), 1);
  table.Erase(999);
  table.Erase(999);
  EXPECT_EQ(table.live_rows(), 0);
  EXPECT_EQ(*reinterpret_cast<const int64_t*>(table.Row(999)), 0);
}

TEST(PagedTableTest, pages_without_rows_take_no_memory) {
  PagedTable table(8);
  table.EnsureSize(10'000'000);
  table.MutableRow(9'999'999);
  EXPECT_LT(table.memory_bytes(), 1'000'000);
}

TEST(PagedTableTest, second_snapshot_holds_only_changed_partitions) {
  PagedTable table(8);
  const uint32_t partition_rows = table.partition_rows();
  for (uint32_t row = 0; row < 3 * partition_rows; ++row) Put(&table, row, row);
  Model stored;
  auto first = table.BeginSnapshot();
  EXPECT_TRUE(first->full());
  EXPECT_EQ(first->ChangedPartitions().size(), 3u);
  Apply(first.get(), 8, &stored);
  Put(&table, partition_rows + 5, 1);
  auto second = table.BeginSnapshot();
  EXPECT_FALSE(second->full());
  EXPECT_EQ(second->ChangedPartitions(), std::vector<uint32_t>{1});
  PartitionRows rows;
  ASSERT_TRUE(second->ReadPartition(1, &rows).ok());
  EXPECT_EQ(rows.changed_count, 1u);
  EXPECT_TRUE(rows.IsChanged(5));
  EXPECT_EQ(rows.live_count, partition_rows);
  EXPECT_FALSE(second->ReadPartition(1, &rows).ok());
  EXPECT_FALSE(second->ReadPartition(0, &rows).ok());
  second->Finish();
  EXPECT_TRUE(table.BeginSnapshot()->ChangedPartitions().empty());
}

TEST(PagedTableTest, write_during_snapshot_copies_the_page_once_and_frees_it) {
  PagedTable table(8);
  for (uint32_t row = 0; row < 1024; ++row) Put(&table, row, row);
  const int64_t before = table.memory_bytes();
  auto snapshot = table.BeginSnapshot();
  Put(&table, 3, 99);
  Put(&table, 4, 99);
  EXPECT_GE(table.copied_bytes(), PagedTable::kPageBytes);
  EXPECT_LT(table.copied_bytes(), 2 * PagedTable::kPageBytes);
  EXPECT_EQ(table.memory_bytes(), before + table.copied_bytes());
  Model stored;
  Apply(snapshot.get(), 8, &stored);
  EXPECT_EQ(stored[3], RowText("\3\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(table.memory_bytes(), before);
}

TEST(PagedTableTest, rows_for_writing_are_the_same_one_by_one_and_together) {
  for (const uint32_t rows : {100u, 200'000u}) {
    PagedTable table(16);
    table.EnsureSize(rows);
    std::mt19937 random(rows);
    for (const int64_t count : {0, 1, 15, 16, 17, 1000}) {
      std::vector<uint32_t> wanted(static_cast<size_t>(count));
      for (uint32_t& row : wanted) row = static_cast<uint32_t>(random()) % rows;
      std::vector<char*> content(wanted.size());
      table.MutableRows(wanted.data(), count, content.data());
      for (size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_EQ(content[i], table.MutableRow(wanted[i]));
        ASSERT_TRUE(table.live(wanted[i]));
      }
    }
  }
}

TEST(PagedTableTest, block_retired_during_a_snapshot_is_readable_until_its_end) {
  PagedTable table(8);
  Put(&table, 1, 1);
  char* block = static_cast<char*>(table.AllocateBlock(48));
  std::memset(block, 'a', 48);
  const int64_t before = table.memory_bytes();
  auto snapshot = table.BeginSnapshot();
  table.RetireBlock(block, 48);
  EXPECT_NE(table.AllocateBlock(48), block);
  EXPECT_EQ(std::string(block + 8, 40), std::string(40, 'a'));
  EXPECT_EQ(table.memory_bytes(), before + 48);
  snapshot->Finish();
  EXPECT_EQ(table.AllocateBlock(48), block);
  EXPECT_EQ(table.memory_bytes(), before + 48);
}

TEST(PagedTableTest, unchanged_partitions_are_not_copied) {
  PagedTable table(8);
  for (uint32_t row = 0; row < 2 * table.partition_rows(); ++row) Put(&table, row, row);
  Model stored;
  Apply(table.BeginSnapshot().get(), 8, &stored);
  Put(&table, 0, 1);
  auto snapshot = table.BeginSnapshot();
  Put(&table, table.partition_rows(), 1);
  EXPECT_EQ(table.copied_bytes(), 0);
  snapshot->Finish();
}

TEST(PagedTableTest, next_snapshot_is_full_when_one_was_abandoned) {
  PagedTable table(8);
  Put(&table, 1, 1);
  Model stored;
  Apply(table.BeginSnapshot().get(), 8, &stored);
  Put(&table, 1, 2);
  table.BeginSnapshot().reset();
  auto snapshot = table.BeginSnapshot();
  EXPECT_TRUE(snapshot->full());
  Apply(snapshot.get(), 8, &stored);
  EXPECT_EQ(stored[1][0], 2);
}

TEST(PagedTableTest, next_snapshot_is_full_when_one_was_finished_unread) {
  PagedTable table(8);
  Put(&table, 1, 1);
  auto snapshot = table.BeginSnapshot();
  snapshot->Finish();
  EXPECT_TRUE(table.BeginSnapshot()->full());
}

TEST(PagedTableTest, snapshot_outlives_its_table) {
  auto table = std::make_unique<PagedTable>(8);
  for (uint32_t row = 0; row < 2000; ++row) Put(table.get(), row, row);
  auto snapshot = table->BeginSnapshot();
  Put(table.get(), 5, 77);
  table.reset();
  Model stored;
  Apply(snapshot.get(), 8, &stored);
  EXPECT_EQ(stored.size(), 2000u);
  EXPECT_EQ(stored[5][0], 5);
}

class PagedTableModelTest : public ::testing::TestWithParam<int> {};

// The writer never waits for the reader; every snapshot must equal the model's copy at its barrier.
TEST_P(PagedTableModelTest, snapshots_equal_the_state_at_their_barrier) {
  const int row_bytes = GetParam();
  std::mt19937 random(row_bytes);
  PagedTable table(row_bytes);
  Model model;
  Model stored;
  const uint32_t rows_max = row_bytes > 1000 ? 200 : 20'000;
  for (int round = 0; round < 30; ++round) {
    auto snapshot = table.BeginSnapshot();
    const Model expected = model;
    const bool abandon = round % 7 == 3;
    std::thread reader([&] {
      if (!abandon) Apply(snapshot.get(), row_bytes, &stored);
      snapshot.reset();
    });
    for (int step = 0; step < 2000; ++step) {
      const uint32_t row = random() % (random() % 2 ? rows_max : rows_max / 50 + 1);
      if (random() % 4 == 0) {
        if (row < table.size()) table.Erase(row);
        model.erase(row);
      } else {
        Put(&table, row, random());
        model[row] = RowText(table.Row(row), row_bytes);
      }
    }
    reader.join();
    if (!abandon) {
      ASSERT_EQ(stored, expected) << "round " << round;
    }
    ASSERT_EQ(table.live_rows(), static_cast<int64_t>(model.size()));
  }
  for (const auto& [row, content] : model) ASSERT_EQ(RowText(table.Row(row), row_bytes), content);
}

INSTANTIATE_TEST_SUITE_P(RowBytes, PagedTableModelTest,
                         ::testing::Values(1, 4, 8, 16, 24, 72, 5000));

}  // namespace
}  // namespace headrace
