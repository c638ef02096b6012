#include "headrace/state/restored_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
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
  RestoredKeys::Visitor visit = [this](const uint32_t* rows, const KeyId* ids, int64_t count) {
    for (int64_t i = 0; i < count; ++i) visited[rows[i]] = ids[i];
  };
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
    for (const uint32_t damaged : {1, 7, 3001}) {  // an int, a float, a string
      KeyDictionary target(kKeyGroups);
      RestoredKeys keys(&target, kKeyGroups, keep_ids, visit);
      ASSERT_TRUE(Add(&keys, 0, CanonicalOf(0)).ok());
      const std::string canonical = CanonicalOf(damaged);
      const std::string cut = canonical.substr(0, canonical.size() - 1);
      EXPECT_EQ(Add(&keys, 1, cut).code(), StatusCode::kCorruption);
      const int group = (KeyGroupOf(canonical, kKeyGroups) + 1) % kKeyGroups;
      Status status = keys.Add(1, canonical, group);
      if (status.ok()) status = keys.Flush();
      EXPECT_EQ(status.code(), StatusCode::kCorruption);
      EXPECT_NE(status.message().find("is stored in key group " + std::to_string(group)),
                std::string::npos)
          << status.ToString();
    }
  }
}

// Numbers of all sizes, at the borders between them, are what the encoder made of them.
TEST_F(RestoredKeysDamageTest, ints_of_every_size_come_back) {
  RestoredKeys keys(&dictionary, kKeyGroups, /*keep_ids=*/true, visit);
  std::vector<int64_t> numbers{0, INT64_MAX, INT64_MIN};
  for (int bit = 0; bit < 62; ++bit) {
    const int64_t power = int64_t{1} << bit;
    for (const int64_t number : {power, power + 1, -power, -power - 1}) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  std::vector<std::string> stored;
  for (const int64_t number : numbers) {
    ByteWriter out;
    EncodeInt(number, &out);
    stored.push_back(out.Take());
  }
  for (uint32_t row = 0; row < stored.size(); ++row) {
    ASSERT_TRUE(Add(&keys, row, stored[row]).ok());
  }
  ASSERT_TRUE(keys.Flush().ok());
  for (uint32_t row = 0; row < stored.size(); ++row) {
    EXPECT_EQ(dictionary.IntOf(row), numbers[row]);
    EXPECT_EQ(dictionary.LookupEncoded(stored[row]), row);
  }
}

// A flipped bit makes another number, whose group is another one, or no number at all.
TEST_F(RestoredKeysDamageTest, int_with_a_flipped_bit_never_passes_for_another_encoding) {
  for (const int64_t number : std::vector<int64_t>{70'000, -3, 123'456'789'012, -1'234'567}) {
    ByteWriter out;
    EncodeInt(number, &out);
    for (size_t bit = 0; bit < 8 * out.size(); ++bit) {
      std::string damaged(out.view());
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      KeyDictionary target(kKeyGroups);
      RestoredKeys keys(&target, kKeyGroups, /*keep_ids=*/true, visit);
      Status status = Add(&keys, 0, damaged);
      if (status.ok()) status = keys.Flush();
      ASSERT_EQ(status.ok(), CheckValue(damaged).ok()) << number << " bit " << bit;
      if (status.ok()) {
        EXPECT_EQ(target.EncodedKey(0), damaged);
      }
    }
  }
}

}  // namespace
}  // namespace headrace
