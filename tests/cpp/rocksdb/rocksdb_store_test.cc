#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "rocksdb/rocksdb_store_factory.h"
#include "state/cold_store_contract.h"
#include "state/cold_store_load_contract.h"

namespace headrace {
namespace {

struct RocksDbStores {
  static constexpr bool kOnDisk = true;
  static std::shared_ptr<ColdStoreFactory> MakeFactory() { return MakeRocksDbStoreFactory(); }
};
// CMake names the tests by the first argument.
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreContract, ColdStoreContract, RocksDbStores);
INSTANTIATE_TYPED_TEST_SUITE_P(ColdStoreLoadContract, ColdStoreLoadContract, RocksDbStores);

class RocksDbStoreTest : public ColdStoreFixture<RocksDbStores> {
 protected:
  /// Rows of `value_bytes` that no codec makes smaller, one Apply for each 1 MiB. Ok until a write
  /// fails.
  static Status Fill(ColdStore* store, uint64_t rows, size_t value_bytes) {
    std::mt19937_64 random(rows);
    std::vector<std::string> keys;
    std::vector<std::string> values;
    for (uint64_t i = 0; i < rows; ++i) {
      keys.push_back(KeyOf(i));
      std::string& value = values.emplace_back(value_bytes, '\0');
      for (char& byte : value) byte = static_cast<char>(random());
      if (values.size() * value_bytes < (1 << 20) && i + 1 < rows) continue;
      std::vector<ColdWrite> writes;
      for (size_t k = 0; k < keys.size(); ++k) writes.push_back({keys[k], values[k]});
      HR_RETURN_IF_ERROR(store->Apply(writes));
      keys.clear();
      values.clear();
    }
    return Status::Ok();
  }
};

TEST_F(RocksDbStoreTest, memory_stays_within_the_shares_of_the_open_stores) {
  constexpr int64_t kShare = 4 << 20;
  auto one = Open("one", kShare);
  auto two = Open("two", kShare);
  for (ColdStore* store : {one.get(), two.get()}) {
    ASSERT_TRUE(Fill(store, 30'000, 1000).ok());
    for (uint64_t i = 0; i < 3000; ++i) ASSERT_TRUE(Get(store, KeyOf(i * 10)).has_value());
  }
  EXPECT_LE(one->memory_bytes() + two->memory_bytes(), 2 * kShare * 5 / 4);
  EXPECT_GT(one->memory_bytes() + two->memory_bytes(), kShare / 2);
  EXPECT_GE(one->disk_bytes(), 5 * kShare);
  two.reset();
  EXPECT_LE(one->memory_bytes(), kShare * 5 / 4);
}

TEST_F(RocksDbStoreTest, statistics_show_what_was_read_from_files_and_from_the_cache) {
  auto store = Open("store", 4 << 20);
  ASSERT_TRUE(Fill(store.get(), 30'000, 1000).ok());
  auto before = store->Statistics();
  for (uint64_t i = 0; i < 2000; ++i) ASSERT_TRUE(Get(store.get(), KeyOf(i * 15)).has_value());
  auto after = store->Statistics();
  EXPECT_GE(after["block_cache_misses"] - before["block_cache_misses"], 1000);
  EXPECT_GE(after["block_reads"] - before["block_reads"], 1000);
  EXPECT_GE(after["bytes_read"] - before["bytes_read"], 1'000'000);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Get(store.get(), KeyOf(15)).has_value());
  // Not all: the first read may find the block gone, and so may one after a compaction.
  EXPECT_GE(store->Statistics()["block_cache_hits"] - after["block_cache_hits"], 90);
  for (uint64_t i = 0; i < 500; ++i) {
    ASSERT_FALSE(Get(store.get(), KeyOf(i * 15) + "x").has_value());
  }
  EXPECT_GE(store->Statistics()["bloom_filtered"], 400);
  EXPECT_GT(after["files"], 4);
  EXPECT_GT(after["bytes_written"], 30'000'000);
}

TEST_F(RocksDbStoreTest, narrow_scan_sees_every_row_of_its_prefix) {
  auto store = Open("store", 1 << 20);
  std::mt19937 random(5);
  ColdRows rows;
  std::vector<std::string> prefixes = {std::string(6, '\xff'), std::string(6, '\0'), "abcde\xff",
                                       "abcdef", "abcdeg"};
  for (int i = 0; i < 40; ++i) prefixes.push_back(KeyOf(random()).substr(2, 6));
  for (int round = 0; round < 40; ++round) {
    ColdRows some;
    for (int i = 0; i < 300; ++i) {
      std::string key = prefixes[random() % prefixes.size()];
      if (random() % 50 == 0) key.resize(random() % 6);  // shorter than a prefix
      key += std::string(random() % 4, static_cast<char>(random()));
      some[key] = std::string(100, static_cast<char>(random()));
    }
    Put(store.get(), some);
    for (const auto& [key, value] : some) rows[key] = value;
  }
  EXPECT_GT(store->disk_bytes(), 0);
  for (const std::string& prefix : prefixes) {
    std::string next = prefix;
    while (!next.empty() && next.back() == '\xff') next.pop_back();
    if (!next.empty()) next.back() = static_cast<char>(next.back() + 1);
    const std::vector<std::pair<std::string, std::string>> ranges = {
        {prefix, next},
        {prefix + "\x20", prefix + "\xf0"},
        {prefix, prefix + "\x80"},
        {prefix.substr(0, 3), next}};
    for (const auto& [begin, end] : ranges) {
      ASSERT_EQ(Scan(store.get(), begin, end), Part(rows, begin, end));
      ASSERT_EQ(Scan(store->MakeView().get(), begin, end), Part(rows, begin, end));
    }
  }
}

TEST_F(RocksDbStoreTest, flipped_bit_is_corruption_that_names_the_file) {
  auto store = Open("store", 1 << 20);
  ASSERT_TRUE(Fill(store.get(), 4000, 1000).ok());
  for (const auto& entry : std::filesystem::directory_iterator(scratch_.path() + "/store/db")) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(entry.file_size() / 4));
    const int byte = file.get();
    file.seekp(-1, std::ios::cur);
    file.put(static_cast<char>(byte ^ 4));
  }
  const Status status = store->Scan("", "", [](auto, auto) { return true; });
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_NE(status.message().find(scratch_.path()), std::string::npos) << status.message();
  EXPECT_NE(status.message().find(".sst"), std::string::npos) << status.message();
}

TEST_F(RocksDbStoreTest, write_that_fails_in_the_background_fails_a_later_apply) {
  auto store = Open("store", 1 << 20);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit small{64 << 10, usual.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = Fill(store.get(), 20'000, 1000);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), StatusCode::kIoError) << status.ToString();
  EXPECT_NE(status.message().find(scratch_.path()), std::string::npos) << status.message();
}

}  // namespace
}  // namespace headrace
