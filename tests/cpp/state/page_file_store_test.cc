#include "headrace/state/page_file_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "state/cold_store_contract.h"
#include "state/cold_store_load_contract.h"

namespace headrace {
namespace {

struct PageFileStores {
  static constexpr bool kOnDisk = true;
  static std::shared_ptr<ColdStoreFactory> MakeFactory() { return MakePageFileStoreFactory(); }
};
// CMake names the tests by the first argument.
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreContract, ColdStoreContract, PageFileStores);
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreLoadContract, ColdStoreLoadContract, PageFileStores);

class PageFileStoreTest : public ColdStoreFixture<PageFileStores> {
 protected:
  /// Overwrites `count` rows of `rows`, drawn by `random`, in calls of 100.
  static void Overwrite(ColdStore* store, ColdRows* rows, uint32_t keys, int count,
                        std::mt19937* random) {
    for (int i = 0; i < count; i += 100) {
      ColdRows some;
      for (int k = 0; k < 100; ++k) {
        some[KeyOf((*random)() % keys)] =
            std::string(900 + (*random)() % 200, static_cast<char>((*random)()));
      }
      Put(store, some);
      for (auto& [key, value] : some) (*rows)[key] = value;
    }
  }
};

TEST_F(PageFileStoreTest, index_that_outgrows_its_memory_names_the_way_out_and_changes_nothing) {
  auto store = Open("store", 1 << 20);
  ColdRows rows;
  Status status;
  for (uint64_t round = 0; status.ok(); ++round) {
    ASSERT_LT(round, 100u);
    ColdRows more;
    for (uint64_t i = 0; i < 1000; ++i) more[KeyOf(round * 1000 + i)] = "v" + std::to_string(i);
    std::vector<ColdWrite> writes;
    for (const auto& [key, value] : more) writes.push_back({key, value});
    status = store->Apply(writes);
    if (status.ok()) rows.merge(more);
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  for (const char* named : {"EmbeddedRocksDBStateBackend", "state.memory-budget", "keys in '"}) {
    EXPECT_NE(status.message().find(named), std::string::npos) << status.message();
  }
  EXPECT_NE(status.message().find(scratch_.path()), std::string::npos);
  EXPECT_GT(rows.size(), 20'000u);
  EXPECT_EQ(Scan(store.get()), rows);
  EXPECT_LE(store->memory_bytes(), (1 << 20) * 11 / 10);
  // Keys that are there already may change, and those that go make room.
  ColdRows same;
  for (uint64_t i = 0; i < 1000; ++i) same[KeyOf(i)] = "again";
  Put(store.get(), same);
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < 5000; ++i) keys.push_back(KeyOf(i));
  std::vector<ColdWrite> removals;
  for (const std::string& key : keys) removals.push_back({key, std::nullopt});
  ASSERT_TRUE(store->Apply(removals).ok());
  Put(store.get(), {{"new", "fits"}});
}

TEST_F(PageFileStoreTest, dead_records_are_reclaimed_in_steps_that_follow_the_writes) {
  auto store = Open("store", 4 << 20);
  ColdRows rows;
  std::mt19937 random(11);
  int64_t moved_most = 0;
  int64_t moved = 0;
  for (int round = 0; round < 1000; ++round) {  // 100 MB over 20 MB of rows
    Overwrite(store.get(), &rows, 20'000, 100, &random);
    const auto statistics = store->Statistics();
    const int64_t now = statistics.at("bytes_moved");
    moved_most = std::max(moved_most, now - moved);
    moved = now;
    ASSERT_LE(statistics.at("disk_bytes"), 2 * statistics.at("live_bytes") + (32 << 20));
  }
  EXPECT_GT(moved, 0);
  EXPECT_LE(moved_most, 2 << 20);  // for 100 kB written
  EXPECT_LE(moved, 150 << 20);
  EXPECT_EQ(Scan(store.get()), rows);
  EXPECT_LE(store->memory_bytes(), 4 << 20);
  // Removals alone give files back too.
  std::vector<ColdWrite> removals;
  for (const auto& [key, value] : rows) removals.push_back({key, std::nullopt});
  ASSERT_TRUE(store->Apply(removals).ok());
  for (int i = 0; i < 20; ++i) Put(store.get(), {{"k", "v"}});
  EXPECT_LE(store->disk_bytes(), 9 << 20);
}

TEST_F(PageFileStoreTest, files_that_a_view_needs_stay_until_it_goes) {
  auto store = Open("store", 4 << 20);
  ColdRows rows;
  std::mt19937 random(12);
  Overwrite(store.get(), &rows, 10'000, 20'000, &random);
  auto view = store->MakeView();
  const ColdRows before = rows;
  for (int i = 0; i < 5; ++i) Overwrite(store.get(), &rows, 10'000, 10'000, &random);
  const int64_t live = store->Statistics()["live_bytes"];
  EXPECT_GE(store->disk_bytes(), live * 3 / 2);
  EXPECT_EQ(Scan(view.get()), before);
  EXPECT_EQ(Scan(store.get()), rows);
  view.reset();
  EXPECT_LE(store->disk_bytes(), 2 * live + (32 << 20));
  EXPECT_EQ(Scan(store.get()), rows);
}

TEST_F(PageFileStoreTest, value_is_read_from_the_file_once_and_from_the_cache_then) {
  auto store = Open("store", 1 << 20);
  ColdRows rows;
  for (uint64_t i = 0; i < 2000; ++i) rows[KeyOf(i)] = std::string(1000, 'v');
  Put(store.get(), rows);
  for (int i = 0; i < 10; ++i) Get(store.get(), KeyOf(77));
  auto statistics = store->Statistics();
  EXPECT_EQ(statistics["block_cache_hits"], 9);
  EXPECT_EQ(statistics["block_cache_misses"], 1);
  EXPECT_EQ(statistics["block_reads"], 1);
  for (uint64_t i = 0; i < 2000; ++i) Get(store.get(), KeyOf(i));
  EXPECT_GE(store->Statistics()["block_reads"], 1900);
  EXPECT_LE(store->memory_bytes(), 1 << 20);
  // What lies together is read together.
  const int64_t reads = store->Statistics()["block_reads"];
  EXPECT_EQ(Scan(store.get()), rows);
  EXPECT_LE(store->Statistics()["block_reads"] - reads, 16);
}

TEST_F(PageFileStoreTest, every_flipped_bit_is_corruption_at_its_file_and_offset) {
  auto store = Open("store", 1 << 20);
  const ColdRows rows = {{"first", "value one"}, {"second", "value two"}, {"third", "value three"}};
  Put(store.get(), rows);
  const std::string path = scratch_.path() + "/store/1.segment";
  const auto size = std::filesystem::file_size(path);
  const std::vector<uint64_t> starts = {0, 12 + 5 + 9, 2 * 12 + 5 + 9 + 6 + 9};
  for (uint64_t bit = 0; bit < 8 * size; ++bit) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(bit / 8));
    const int byte = file.get();
    const auto put = [&](int value) {
      file.seekp(static_cast<std::streamoff>(bit / 8));
      file.put(static_cast<char>(value));
      file.flush();
    };
    put(byte ^ (1 << bit % 8));
    const Status status = store->Scan("", "", [](auto, auto) { return true; });
    put(byte);
    ASSERT_EQ(status.code(), StatusCode::kCorruption) << bit;
    const uint64_t start = *(std::upper_bound(starts.begin(), starts.end(), bit / 8) - 1);
    ASSERT_NE(status.message().find("'" + path + "', offset " + std::to_string(start) + ":"),
              std::string::npos)
        << status.message();
  }
  EXPECT_EQ(Scan(store.get()), rows);
}

TEST_F(PageFileStoreTest, damage_found_while_compacting_fails_the_apply) {
  auto store = Open("store", 4 << 20);
  ColdRows rows;
  std::mt19937 random(13);
  Overwrite(store.get(), &rows, 10'000, 15'000, &random);
  const auto folder = scratch_.path() + "/store";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".segment") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    for (std::streamoff at = 1000; at < static_cast<std::streamoff>(entry.file_size());
         at += 50'000) {
      file.seekg(at);
      const int byte = file.get();
      file.seekp(at);
      file.put(static_cast<char>(byte ^ 1));
    }
  }
  Status status;
  for (int round = 0; round < 1000 && status.ok(); ++round) {
    const std::string value(1000, 'n');
    std::vector<std::string> keys;
    for (int i = 0; i < 100; ++i) keys.push_back(KeyOf(random() % 10'000));
    std::vector<ColdWrite> writes;
    for (const std::string& key : keys) writes.push_back({key, value});
    status = store->Apply(writes);
  }
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_NE(status.message().find(".segment', offset "), std::string::npos) << status.message();
}

TEST_F(PageFileStoreTest, row_of_a_gibibyte_is_refused) {
  auto store = Open();
  // Only the length is looked at.
  const std::string_view huge("", size_t{1} << 30);
  const ColdWrite write{"key", huge};
  const Status status = store->Apply(std::span(&write, 1));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("1 GiB"), std::string::npos);
}

}  // namespace
}  // namespace headrace
