#include "headrace/state/cold_key.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace headrace {
namespace {

// Lengths around those where a varint takes another byte.
constexpr size_t kLengths[] = {1, 2, 126, 127, 128, 129, 255, 256, 300, 16383, 16384};

TEST(ColdKeyTest, parts_of_any_length_come_back) {
  for (const size_t key_bytes : kLengths) {
    for (const size_t ns_bytes : kLengths) {
      const std::string canonical(key_bytes, 'k');
      const std::string ns(ns_bytes, 'n');
      const uint64_t prefix = ColdPrefixOf(canonical, uint16_t{7});
      std::string cold_key;
      AppendColdKey(prefix, canonical, 513, ns, "sub", &cold_key);
      EXPECT_EQ(ReadColdPrefix(cold_key), prefix);
      uint16_t table = 0;
      std::string row_key;
      ASSERT_TRUE(RowKeyOfColdKey(cold_key, &table, &row_key)) << key_bytes << " " << ns_bytes;
      EXPECT_EQ(table, 513);
      std::string expected;
      AppendRowKey(prefix, canonical, ns, "sub", &expected);
      EXPECT_EQ(row_key, expected);
      RowKeyParts parts;
      ASSERT_TRUE(ParseRowKey(row_key, &parts)) << key_bytes << " " << ns_bytes;
      EXPECT_EQ(parts.canonical, canonical);
      EXPECT_EQ(parts.ns, ns);
      EXPECT_EQ(parts.sub_key, "sub");
    }
  }
}

TEST(ColdKeyTest, plain_row_has_neither_namespace_nor_sub_key) {
  std::string cold_key;
  AppendColdKey(1, "key", 0, {}, {}, &cold_key);
  uint16_t table = 1;
  std::string row_key;
  ASSERT_TRUE(RowKeyOfColdKey(cold_key, &table, &row_key));
  EXPECT_EQ(table, 0);
  RowKeyParts parts;
  ASSERT_TRUE(ParseRowKey(row_key, &parts));
  EXPECT_EQ(parts.canonical, "key");
  EXPECT_TRUE(parts.ns.empty());
  EXPECT_TRUE(parts.sub_key.empty());
  row_key.push_back('x');
  EXPECT_FALSE(ParseRowKey(row_key, &parts)) << "a plain row ends behind its kind";
}

TEST(ColdKeyTest, every_shorter_key_is_none) {
  std::string cold_key;
  AppendColdKey(1, "key", 2, "ns", "", &cold_key);
  uint16_t table = 0;
  std::string row_key;
  RowKeyParts parts;
  ASSERT_TRUE(RowKeyOfColdKey(cold_key, &table, &row_key) && ParseRowKey(row_key, &parts));
  for (size_t bytes = 0; bytes < cold_key.size(); ++bytes) {
    const std::string_view cut = std::string_view(cold_key).substr(0, bytes);
    EXPECT_FALSE(RowKeyOfColdKey(cut, &table, &row_key) && ParseRowKey(row_key, &parts)) << bytes;
  }
}

}  // namespace
}  // namespace headrace
