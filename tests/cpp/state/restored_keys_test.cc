#include "headrace/state/restored_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kKeyGroups = 128;

class RestoredKeysDamageTest : public testing::Test {
 protected:
  // Canonical bytes of an int, a string or, for each tenth, neither.
  static std::string CanonicalOf(uint32_t i) {
    ByteWriter out;
    if (i % 10 == 7) {
      EncodeFloat(i + 0.5, &out);
    } else if (i / 3000 % 2 == 1) {
      EncodeStr("key " + std::to_string(i), &out);
    } else {
      EncodeInt(static_cast<int64_t>(i) * 7919, &out);
    }
    return out.Take();
  }
  Status Add(RestoredKeys* keys, uint32_t row, const std::string& canonical) {
    return keys->Add(row, canonical, KeyGroupOf(canonical, kKeyGroups));
  }

  KeyDictionary dictionary{kKeyGroups};
  std::map<uint32_t, KeyId> visited;
  RestoredKeys::Visitor visit = [this](uint32_t row, KeyId id) { visited[row] = id; };
};

class RestoredKeysTest : public RestoredKeysDamageTest, public testing::WithParamInterface<bool> {};

TEST_P(RestoredKeysTest, each_key_is_back_in_its_group) {
  RestoredKeys keys(&dictionary, kKeyGroups, GetParam(), visit);
  std::map<uint32_t, std::string> stored;
  for (uint32_t row = 0; row < 12'000; ++row) {
    // Gaps are ids that were released.
    if (row % 5 == 3 && row > 6'000) continue;
    stored[row] = CanonicalOf(row);
  }
  for (const auto& [row, canonical] : stored) {
    const Status added = Add(&keys, row, canonical);
    ASSERT_TRUE(added.ok()) << added.ToString();
  }
  ASSERT_TRUE(keys.Flush().ok());
  ASSERT_EQ(visited.size(), stored.size());
  ASSERT_EQ(dictionary.live_keys(), static_cast<int64_t>(stored.size()));
  for (const auto& [row, canonical] : stored) {
    const KeyId id = dictionary.LookupEncoded(canonical);
    ASSERT_EQ(id, visited[row]) << "row " << row;
    if (GetParam()) {
      ASSERT_EQ(id, row);
    }
    ASSERT_EQ(dictionary.EncodedKey(id), canonical);
    ASSERT_EQ(dictionary.KeyGroupOf(id), KeyGroupOf(canonical, kKeyGroups));
  }
}

INSTANTIATE_TEST_SUITE_P(Ids, RestoredKeysTest, testing::Bool(),
                         [](const auto& keep) { return keep.param ? "kept" : "anew"; });

TEST_F(RestoredKeysDamageTest, key_that_is_stored_twice_is_corruption) {
  RestoredKeys keys(&dictionary, kKeyGroups, /*keep_ids=*/true, visit);
  for (uint32_t row = 0; row < 100; ++row) ASSERT_TRUE(Add(&keys, row, CanonicalOf(row)).ok());
  Status status = Add(&keys, 100, CanonicalOf(40));
  if (status.ok()) status = keys.Flush();
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_NE(status.message().find("with id 100 is stored twice"), std::string::npos)
      << status.ToString();
}

TEST_F(RestoredKeysDamageTest, key_in_another_group_or_cut_off_is_corruption) {
  for (const bool keep_ids : {false, true}) {
    KeyDictionary target(kKeyGroups);
    RestoredKeys keys(&target, kKeyGroups, keep_ids, visit);
    ASSERT_TRUE(Add(&keys, 0, CanonicalOf(0)).ok());
    const std::string canonical = CanonicalOf(1);
    const int group = (KeyGroupOf(canonical, kKeyGroups) + 1) % kKeyGroups;
    EXPECT_EQ(keys.Add(1, canonical, group).code(), StatusCode::kCorruption);
    const std::string cut = canonical.substr(0, canonical.size() - 1);
    EXPECT_EQ(Add(&keys, 1, cut).code(), StatusCode::kCorruption);
  }
}

}  // namespace
}  // namespace headrace
