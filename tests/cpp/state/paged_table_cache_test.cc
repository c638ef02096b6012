// PagedTable as the rows of a cache: which rows another store does not have, and snapshots of which
// any row can be read at any time.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/state/paged_table.h"
#include "headrace/state/paged_table_snapshot.h"

namespace headrace {
namespace {

void Write(char* content, int row_bytes, uint64_t value) {
  std::memset(content, static_cast<char>(value), row_bytes);
  std::memcpy(content, &value, std::min<size_t>(sizeof(value), row_bytes));
}

uint64_t Read(const char* content, int row_bytes) {
  uint64_t value = 0;
  std::memcpy(&value, content, std::min<size_t>(sizeof(value), row_bytes));
  return value;
}

class PagedTableCacheTest : public ::testing::TestWithParam<int> {};

TEST_P(PagedTableCacheTest, rows_are_unsaved_from_their_first_change_until_they_are_loaded_again) {
  const int row_bytes = GetParam();
  std::mt19937 random(row_bytes);
  PagedTable table(row_bytes);
  table.TrackUnsaved();
  constexpr uint32_t kRows = 2000;
  table.EnsureSize(kRows);
  std::map<uint32_t, bool> unsaved;  // of live rows
  std::set<uint32_t> dirty;
  for (int step = 0; step < 30'000; ++step) {
    const uint32_t row = random() % kRows;
    switch (random() % 4) {
      case 0:
        if (unsaved.erase(row) > 0) dirty.insert(row);
        table.Erase(row);
        break;
      case 1:
        if (unsaved.contains(row)) break;
        Write(table.LoadRow(row), row_bytes, row);
        unsaved[row] = false;
        dirty.erase(row);
        break;
      default:
        Write(table.MutableRow(row), row_bytes, row);
        unsaved[row] = true;
        dirty.insert(row);
    }
    if (step % 997 == 0) {
      table.BeginSnapshot(/*frozen=*/true)->Finish();
      dirty.clear();
    }
    if (step % 500 != 0) continue;
    ASSERT_EQ(table.live_rows(), static_cast<int64_t>(unsaved.size()));
    ASSERT_EQ(table.dirty_rows(), static_cast<int64_t>(dirty.size()));
    for (const auto& [live, expected] : unsaved) {
      ASSERT_TRUE(table.live(live));
      ASSERT_EQ(table.unsaved(live), expected) << "row " << live << " after step " << step;
    }
  }
}

TEST_P(PagedTableCacheTest, rows_of_a_frozen_snapshot_stay_while_the_table_changes) {
  const int row_bytes = GetParam();
  std::mt19937 random(row_bytes + 1);
  PagedTable table(row_bytes);
  table.TrackUnsaved();
  std::map<uint32_t, uint64_t> model;
  std::set<uint32_t> dirty;
  const uint32_t rows_max = row_bytes > 1000 ? 300 : 5000;
  const uint64_t mask = row_bytes == 1 ? 0xff : ~uint64_t{0};
  for (int round = 0; round < 12; ++round) {
    auto snapshot = table.BeginSnapshot(/*frozen=*/true);
    // The first, and one after an abandoned one.
    EXPECT_EQ(snapshot->full(), round % 4 == 0) << "round " << round;
    const std::map<uint32_t, uint64_t> expected = model;
    const std::set<uint32_t> changed = std::exchange(dirty, {});
    std::thread reader([&] {
      std::map<uint32_t, uint64_t> found;
      std::set<uint32_t> found_changed;
      std::vector<char> content(row_bytes);
      for (int turn = 0; turn < 2; ++turn) {
        found.clear();
        snapshot->ForEachLive(
            false, [&](uint32_t row, const char* at) { found[row] = Read(at, row_bytes); });
        EXPECT_EQ(found, expected);
        for (uint32_t row = 0; row < rows_max; ++row) {
          const auto known = expected.find(row);
          ASSERT_EQ(snapshot->ReadRow(row, content.data()), known != expected.end());
          if (known != expected.end()) {
            ASSERT_EQ(Read(content.data(), row_bytes), known->second);
          }
        }
      }
      if (!snapshot->full()) {
        snapshot->ForEachLive(true, [&](uint32_t row, const char*) { found_changed.insert(row); });
        EXPECT_EQ(found_changed, changed);
      }
      if (round % 4 != 3) snapshot->Finish();
      snapshot.reset();
    });
    for (int step = 0; step < 4000; ++step) {
      const uint32_t row = random() % rows_max;
      table.EnsureSize(row + 1);
      if (random() % 4 == 0) {
        table.Erase(row);
        model.erase(row);
        dirty.erase(row);
      } else {
        const uint64_t value = random();
        Write(table.MutableRow(row), row_bytes, value);
        model[row] = value & mask;
        dirty.insert(row);
      }
    }
    reader.join();
  }
}

INSTANTIATE_TEST_SUITE_P(RowBytes, PagedTableCacheTest, ::testing::Values(1, 8, 24, 72, 5000));

}  // namespace
}  // namespace headrace
