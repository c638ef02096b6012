#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "headrace/state/cold_store.h"

namespace headrace {

using ColdRows = std::map<std::string, std::string>;

/// A directory that nobody else has, for as long as this lives.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = ::testing::TempDir() + "headrace_cold_XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Opens stores of one implementation. `Stores` has
///   static std::shared_ptr<ColdStoreFactory> MakeFactory();
///   static constexpr bool kOnDisk;  // whether rows are in files of the directory
template <typename Stores>
class ColdStoreFixture : public ::testing::Test {
 protected:
  std::unique_ptr<ColdStore> Open(const std::string& name = "store",
                                  int64_t memory_bytes = 8 << 20) {
    ColdStoreOptions options;
    options.directory = scratch_.path() + "/" + name;
    options.memory_bytes = memory_bytes;
    auto opened = factory_->Open(&RealEnv(), options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? std::move(opened).value() : nullptr;
  }

  static std::optional<std::string> Get(ColdStore* store, std::string_view key) {
    std::vector<std::optional<std::string>> values;
    const Status status = store->MultiGet(std::span(&key, 1), &values);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(values.size(), 1u);
    return values.size() == 1 ? values[0] : std::nullopt;
  }

  static void Put(ColdStore* store, const ColdRows& rows) {
    std::vector<ColdWrite> writes;
    for (const auto& [key, value] : rows) writes.push_back({key, value});
    const Status status = store->Apply(writes);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  /// Of a store or a view. Fails when keys do not ascend.
  template <typename Scanned>
  static ColdRows Scan(Scanned* scanned, std::string_view begin = "", std::string_view end = "") {
    ColdRows rows;
    std::string last;
    const Status status =
        scanned->Scan(begin, end, [&](std::string_view key, std::string_view value) {
          EXPECT_TRUE(rows.empty() || last < key);
          last = key;
          rows.emplace(key, value);
          return true;
        });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows;
  }

  static ColdRows Part(const ColdRows& rows, const std::string& begin, const std::string& end) {
    const auto from = rows.lower_bound(begin);
    const auto to = end.empty() ? rows.end() : rows.lower_bound(std::max(begin, end));
    return {from, to};
  }

  /// Ascending in `i`, with the shape of a row's key: eight bytes, then the low byte once more.
  static std::string KeyOf(uint64_t i) {
    std::string key;
    for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(i >> shift));
    key.push_back(static_cast<char>(i));
    return key;
  }

  TemporaryFolder scratch_;
  std::shared_ptr<ColdStoreFactory> factory_ = Stores::MakeFactory();
};

}  // namespace headrace
