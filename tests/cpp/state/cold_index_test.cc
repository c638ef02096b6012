#include "headrace/state/cold_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace headrace {
namespace {

using Places = std::map<std::string, uint32_t>;  // key -> offset, which tells places apart here

RecordPlace PlaceOf(uint32_t offset) { return {offset % 7, offset, offset / 3}; }

/// Makes the changes in index and model; says what the index must have replaced.
void Change(ColdIndex* index, Places* model,
            const std::map<std::string, std::optional<uint32_t>>& changes) {
  std::vector<IndexChange> list;
  std::vector<RecordPlace> expected;
  for (const auto& [key, offset] : changes) {
    list.push_back({key, offset ? std::optional(PlaceOf(*offset)) : std::nullopt});
    const auto old = model->find(key);
    if (old != model->end()) expected.push_back(PlaceOf(old->second));
    if (offset) {
      (*model)[key] = *offset;
    } else {
      model->erase(key);
    }
  }
  std::vector<RecordPlace> replaced;
  index->Update(list, &replaced);
  ASSERT_EQ(replaced, expected);
  ASSERT_EQ(index->keys(), static_cast<int64_t>(model->size()));
}

template <typename Readable>
Places Read(const Readable& readable, const std::string& begin = "", const std::string& end = "") {
  Places found;
  std::string last;
  readable.Read(begin, end, [&](std::string_view key, const RecordPlace& place) {
    EXPECT_TRUE(found.empty() || last < key);
    EXPECT_EQ(place, PlaceOf(place.offset));
    last = key;
    found.emplace(key, place.offset);
    return true;
  });
  return found;
}

std::string KeyOf(uint32_t i) {
  std::string key = "0123456789ab";
  for (int byte = 0; byte < 4; ++byte) key[4 + byte] = static_cast<char>(i >> (24 - 8 * byte));
  return key;
}

TEST(ColdIndexTest, random_changes_and_versions_agree_with_a_map) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const uint32_t keys = seed == 1 ? 50 : 8000;
    ColdIndex index;
    Places model;
    std::vector<std::pair<ColdIndex::Version, Places>> versions;
    for (int step = 0; step < 300; ++step) {
      // Grows, then shrinks to nothing, then grows again.
      const uint32_t removals = step / 100 == 1 ? 9 : 2;
      std::map<std::string, std::optional<uint32_t>> changes;
      const size_t count = random() % (step % 10 == 0 ? 1500 : 40);
      for (size_t i = 0; i < count; ++i) {
        std::string key = KeyOf(random() % keys);
        key.resize(key.size() - random() % 3);
        changes[key] = random() % 10 < removals ? std::nullopt : std::optional(random());
      }
      Change(&index, &model, changes);
      if (HasFatalFailure()) return;
      if (step % 30 == 0) versions.emplace_back(index.MakeVersion(), model);
      if (step % 50 == 0) {
        for (const auto& [version, expected] : versions) ASSERT_EQ(Read(version), expected);
        versions.erase(versions.begin(), versions.begin() + random() % (versions.size() + 1));
      }
      const std::string begin = KeyOf(random() % keys);
      const std::string end = KeyOf(random() % keys);
      ASSERT_EQ(Read(index, begin, end),
                Places(model.lower_bound(begin), model.lower_bound(std::max(begin, end))));
      for (int i = 0; i < 20; ++i) {
        const std::string key = KeyOf(random() % keys);
        const auto row = model.find(key);
        ASSERT_EQ(index.Find(key),
                  row == model.end() ? std::nullopt : std::optional(PlaceOf(row->second)));
      }
    }
    for (const auto& [version, expected] : versions) ASSERT_EQ(Read(version), expected);
    ASSERT_EQ(Read(index), model);
    versions.clear();
    EXPECT_EQ(index.total_bytes(), index.newest_bytes());
  }
}

TEST(ColdIndexTest, key_of_any_length_is_kept) {
  ColdIndex index;
  Places model;
  std::map<std::string, std::optional<uint32_t>> changes = {{"", 1},
                                                            {std::string(100'000, 'x'), 2}};
  for (uint32_t i = 0; i < 300; ++i) changes[std::string(i, 'y')] = i;
  Change(&index, &model, changes);
  EXPECT_EQ(Read(index), model);
  EXPECT_EQ(index.Find(""), PlaceOf(0));
  EXPECT_EQ(index.Find(std::string(99'999, 'x')), std::nullopt);
}

TEST(ColdIndexTest, key_costs_its_bytes_and_about_twenty) {
  ColdIndex index;
  Places model;
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    std::map<std::string, std::optional<uint32_t>> changes;
    for (int i = 0; i < 1000; ++i) changes[KeyOf(random())] = 1;
    Change(&index, &model, changes);
  }
  const int64_t keys = static_cast<int64_t>(model.size());
  EXPECT_GT(keys, 99'000);
  EXPECT_LE(index.newest_bytes(), keys * (12 + 20));
  const int64_t estimate = keys * ColdIndex::BytesOfNewKey(12);
  EXPECT_GE(estimate, index.newest_bytes() * 9 / 10);
  EXPECT_LE(estimate, index.newest_bytes() * 11 / 10);
}

TEST(ColdIndexTest, index_that_lost_its_keys_lost_its_nodes) {
  ColdIndex index;
  Places model;
  std::map<std::string, std::optional<uint32_t>> changes;
  for (uint32_t i = 0; i < 100'000; ++i) changes[KeyOf(i)] = i;
  Change(&index, &model, changes);
  const int64_t full = index.newest_bytes();
  for (uint32_t part = 0; part < 49; ++part) {  // 49 of 50 keys, evenly
    changes.clear();
    for (uint32_t i = part; i < 100'000; i += 50) changes[KeyOf(i)] = std::nullopt;
    Change(&index, &model, changes);
  }
  EXPECT_LE(index.newest_bytes(), full / 50 * 4);
  changes.clear();
  for (const auto& [key, offset] : model) changes[key] = std::nullopt;
  Change(&index, &model, changes);
  EXPECT_EQ(index.total_bytes(), 0);
}

TEST(ColdIndexTest, change_after_a_version_copies_its_way_and_no_more) {
  ColdIndex index;
  Places model;
  std::map<std::string, std::optional<uint32_t>> changes;
  for (uint32_t i = 0; i < 100'000; ++i) changes[KeyOf(i)] = i;
  Change(&index, &model, changes);
  const int64_t full = index.total_bytes();
  {
    const ColdIndex::Version version = index.MakeVersion();
    EXPECT_EQ(index.total_bytes(), full);
    Change(&index, &model, {{KeyOf(500), 7}});
    EXPECT_GT(index.total_bytes(), full);
    EXPECT_LE(index.total_bytes(), full + 30'000);
    const int64_t once = index.total_bytes();
    Change(&index, &model, {{KeyOf(501), 8}, {KeyOf(500), 9}});  // the way is copied already
    EXPECT_EQ(index.total_bytes(), once);
  }
  EXPECT_EQ(index.total_bytes(), full);
  EXPECT_EQ(index.newest_bytes(), full);
}

}  // namespace
}  // namespace headrace
