#include "headrace/state/keyed_partition_codec.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "golden_file.h"
#include "headrace/state/cold_key.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

std::string KeyBytes(int64_t number) {
  ByteWriter out;
  EncodeInt(number, &out);
  return out.Take();
}

std::string RowKeyOf(int64_t number, std::string_view ns, std::string_view sub_key) {
  const std::string key = KeyBytes(number);
  std::string row_key;
  AppendRowKey(ColdPrefixOf(key, 128), key, ns, sub_key, &row_key);
  return row_key;
}

using Rows = std::map<std::tuple<std::string, std::string, std::string>, std::string>;

Rows AsMap(const StoredKeyedPartition& partition) {
  Rows rows;
  for (const StoredKeyedRow& row : partition.rows) {
    rows[{std::string(row.key), std::string(row.ns), std::string(row.sub_key)}] =
        row.tombstone ? "(tombstone)" : std::string(row.value);
  }
  EXPECT_EQ(rows.size(), partition.rows.size());
  return rows;
}

// Rows by row key; no value is a tombstone.
std::string Encode(const std::map<std::string, std::optional<std::string>>& rows, bool whole,
                   uint32_t row_bytes = 0) {
  KeyedPartitionWriter writer(row_bytes);
  for (const auto& [row_key, value] : rows) writer.Add(row_key, value);
  return writer.Finish(whole);
}

std::string WholeRows() {
  return Encode({{RowKeyOf(1, "", ""), "plain"},
                 {RowKeyOf(1, "", "a"), "of a"},
                 {RowKeyOf(1, "window", ""), ""},
                 {RowKeyOf(1, "window", "b"), "of b"},
                 {RowKeyOf(-7, "", "a"), std::string(300, 'x')}},
                /*whole=*/true);
}

std::string DeltaRows() {
  return Encode({{RowKeyOf(1, "", "a"), std::nullopt},
                 {RowKeyOf(1, "window", "b"), "new"},
                 {RowKeyOf(5, "", ""), "added"},
                 {RowKeyOf(6, "", ""), std::nullopt}},
                /*whole=*/false);
}

TEST(KeyedPartitionCodec, payloads_are_the_golden_files) {
  const std::string fixed =
      Encode({{RowKeyOf(3, "", ""), "12345678"}, {RowKeyOf(4, "", ""), "abcdefgh"}}, true, 8);
  ExpectGolden("state/golden/keyed_whole.bin", WholeRows());
  ExpectGolden("state/golden/keyed_delta.bin", DeltaRows());
  ExpectGolden("state/golden/keyed_fixed.bin", fixed);
  const auto whole = DecodeKeyedPartition(0, ReadGolden("state/golden/keyed_whole.bin"));
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_EQ(whole->rows.size(), 5u);
}

TEST(KeyedPartitionCodec, a_base_and_its_delta_give_the_rows_that_live) {
  const std::vector<std::string> payloads = {WholeRows(), DeltaRows()};
  const auto merged = MergeKeyedPartition(0, payloads);
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  const Rows expected = {{{KeyBytes(1), "", ""}, "plain"},
                         {{KeyBytes(1), "window", ""}, ""},
                         {{KeyBytes(1), "window", "b"}, "new"},
                         {{KeyBytes(-7), "", "a"}, std::string(300, 'x')},
                         {{KeyBytes(5), "", ""}, "added"}};
  EXPECT_EQ(AsMap(*merged), expected);
}

TEST(KeyedPartitionCodec, a_newer_whole_payload_replaces_what_is_before_it) {
  const std::vector<std::string> payloads = {WholeRows(), DeltaRows(), Encode({}, true)};
  const auto merged = MergeKeyedPartition(0, payloads);
  ASSERT_TRUE(merged.ok());
  EXPECT_TRUE(merged->rows.empty());
}

TEST(KeyedPartitionCodec, a_delta_without_its_base_is_corruption) {
  EXPECT_EQ(MergeKeyedPartition(0, std::vector<std::string>{DeltaRows()}).status().code(),
            StatusCode::kCorruption);
}

TEST(KeyedPartitionCodec, a_row_that_is_there_twice_is_corruption) {
  KeyedPartitionWriter writer(0);
  writer.Add(RowKeyOf(1, "", ""), "a");
  writer.Add(RowKeyOf(1, "", ""), "b");
  EXPECT_EQ(DecodeKeyedPartition(0, writer.Finish(true)).status().code(), StatusCode::kCorruption);
}

TEST(KeyedPartitionCodec, no_shortened_payload_is_read) {
  const std::string payload = WholeRows();
  for (size_t size = 0; size < payload.size(); ++size) {
    EXPECT_EQ(DecodeKeyedPartition(0, payload.substr(0, size)).status().code(),
              StatusCode::kCorruption)
        << size;
  }
  EXPECT_EQ(DecodeKeyedPartition(0, payload + "x").status().code(), StatusCode::kCorruption);
}

TEST(ColdKey, rows_of_a_key_are_neighbours_in_order_of_namespace_and_sub_key) {
  const std::string key = KeyBytes(77);
  const uint64_t prefix = ColdPrefixOf(key, 128);
  const auto cold = [&](uint16_t table, std::string_view ns, std::string_view sub_key) {
    std::string out;
    AppendColdKey(prefix, key, table, ns, sub_key, &out);
    return out;
  };
  EXPECT_LT(cold(1, "", ""), cold(2, "", ""));
  EXPECT_LT(cold(2, "", ""), cold(1, "", "a"));
  EXPECT_LT(cold(1, "", "a"), cold(1, "", "ab"));
  EXPECT_LT(cold(1, "", "ab"), cold(1, "n", ""));
  EXPECT_LT(cold(1, "n", "z"), cold(2, "", "a"));
  std::string start;
  AppendColdNamespace(prefix, key, 1, "n", &start);
  EXPECT_TRUE(cold(1, "n", "z").starts_with(start));
  EXPECT_FALSE(cold(1, "na", "z").starts_with(start));
  EXPECT_EQ(ReadColdPrefix(start), prefix);
  uint16_t table = 0;
  std::string row_key;
  ASSERT_TRUE(RowKeyOfColdKey(cold(300, "n", "z"), &table, &row_key));
  EXPECT_EQ(table, 300);
  EXPECT_EQ(row_key, RowKeyOf(77, "n", "z"));
  RowKeyParts parts;
  ASSERT_TRUE(ParseRowKey(row_key, &parts));
  EXPECT_EQ(parts.canonical, key);
  EXPECT_EQ(parts.ns, "n");
  EXPECT_EQ(parts.sub_key, "z");
  EXPECT_FALSE(ParseRowKey("short", &parts));
}

}  // namespace
}  // namespace headrace
