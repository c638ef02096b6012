// What is written fast is what the plain writer and reader of partitions make of the same rows.
#include "headrace/state/row_partition_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "headrace/state/key_dictionary.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/row_state.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kKeyGroups = 200;  // takes two bytes, where it is large

std::vector<int64_t> NumbersOfAllSizes() {
  std::vector<int64_t> numbers{0, INT64_MAX, INT64_MIN};
  for (int bit = 0; bit < 63; ++bit) {
    const int64_t power = int64_t{1} << bit;
    for (const int64_t number : {power, power - 1, -power, -power - 1}) numbers.push_back(number);
  }
  return numbers;
}

TEST(RowPartitionWriterTest, varints_are_those_of_the_byte_writer) {
  for (const int64_t number : NumbersOfAllSizes()) {
    ByteWriter expected;
    expected.Varint(static_cast<uint64_t>(number));
    for (const auto put : {PutVarint, PutMixedVarint}) {
      char room[kVarintBytesMax] = {};
      const char* const end = put(static_cast<uint64_t>(number), room);
      EXPECT_EQ(std::string_view(room, static_cast<size_t>(end - room)), expected.view()) << number;
    }
  }
}

// Reads all partitions of a snapshot, holds each against the plain writer, and returns how many
// live rows they have.
size_t RowsWrittenAsPlain(TableKind kind, TableSnapshot* snapshot) {
  size_t rows = 0;
  for (const uint32_t index : snapshot->ChangedPartitions()) {
    PartitionImage image;
    EXPECT_TRUE(snapshot->ReadPartition(index, /*want_whole=*/false, &image).ok());
    const auto read = DecodePartition(kind, 0, image.payload);
    EXPECT_TRUE(read.ok()) << read.status().ToString();
    if (!read.ok()) return 0;
    EXPECT_EQ(EncodeStoredPartition(kind, *read), image.payload) << "partition " << index;
    for (const StoredRow& row : read->rows) rows += row.tombstone ? 0 : 1;
  }
  snapshot->Finish();
  return rows;
}

class WrittenTablesTest : public ::testing::Test {
 protected:
  WrittenTablesTest() {
    for (const int64_t number : NumbersOfAllSizes()) ids.push_back(keys.LookupOrInsertInt(number));
    for (size_t size : {0, 1, 5, 126, 127, 128, 300, 20'000}) {
      ids.push_back(keys.LookupOrInsertString(std::string(size, 's')));
      ByteWriter other;
      EncodeBytes(std::string(size, 'b'), &other);
      ids.push_back(keys.LookupOrInsertEncoded(other.view()));
    }
    for (int64_t number = 0; number < 20'000; ++number) {
      ids.push_back(keys.LookupOrInsertInt(number * 1'000'003));
    }
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  }

  static TableMeta MetaOf(TableKind kind) {
    TableMeta meta;
    meta.name = "table";
    meta.kind = kind;
    return meta;
  }

  KeyDictionary keys{kKeyGroups};
  std::vector<KeyId> ids;
};

TEST_F(WrittenTablesTest, keys_of_every_form_and_size) {
  const auto whole = keys.Snapshot(MetaOf(TableKind::kDictionary), 1);
  EXPECT_EQ(RowsWrittenAsPlain(TableKind::kDictionary, whole.get()), ids.size());
  keys.LookupOrInsertString("one more");
  keys.LookupOrInsertInt(-77);
  const auto delta = keys.Snapshot(MetaOf(TableKind::kDictionary), 2);
  EXPECT_EQ(RowsWrittenAsPlain(TableKind::kDictionary, delta.get()), 2u);
}

TEST_F(WrittenTablesTest, rows_with_and_without_namespace_and_sub_key) {
  RowState rows(&keys);
  size_t expected = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string ns = i % 7 == 3 ? "window " + std::to_string(i) : "";
    const std::string sub_key = i % 5 == 1 ? std::string(i % 200, 'k') : "";
    rows.Put(ids[i], ns, sub_key, std::string(i % 1000 == 9 ? 40'000 : i % 300, 'v'));
    ++expected;
  }
  const auto whole = rows.Snapshot(MetaOf(TableKind::kRows));
  EXPECT_EQ(RowsWrittenAsPlain(TableKind::kRows, whole.get()), expected);
  rows.Put(ids[100], "", "", "changed");
  rows.Put(ids[101], "new", "", "row");
  ASSERT_TRUE(rows.Remove(ids[0], "", ""));
  const auto delta = rows.Snapshot(MetaOf(TableKind::kRows));
  EXPECT_EQ(RowsWrittenAsPlain(TableKind::kRows, delta.get()), 2u);
}

// Neighbours with short fields are read without a look at each length: nothing but what the writer
// makes may pass.
TEST_F(WrittenTablesTest, what_is_read_of_damaged_rows_is_what_they_say) {
  const auto snapshot = keys.Snapshot(MetaOf(TableKind::kDictionary), 1);
  PartitionImage image;
  ASSERT_TRUE(
      snapshot->ReadPartition(snapshot->partition_count() - 1, /*want_whole=*/true, &image).ok());
  size_t passed = 0;
  for (size_t at = 0; at < image.payload.size(); at += 1 + at / 50) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = image.payload;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const auto read = DecodePartition(TableKind::kDictionary, 0, damaged);
      if (!read.ok()) continue;
      ++passed;
      ASSERT_EQ(EncodeStoredPartition(TableKind::kDictionary, *read), damaged)
          << "byte " << at << " bit " << bit;
    }
  }
  EXPECT_GT(passed, 0u) << "a flipped bit of a key is another key";
}

}  // namespace
}  // namespace headrace
