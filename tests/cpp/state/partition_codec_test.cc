#include "headrace/state/partition_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "golden_file.h"
#include "headrace/base/bytes.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

// Positions 0..9 from row 100: even ones live, 0..4 changed, content = row number.
PartitionRows SomeRows() {
  PartitionRows rows;
  rows.first_row = 100;
  rows.row_count = 10;
  rows.live = {0x155};
  rows.changed = {0x1f};
  rows.live_count = 5;
  rows.changed_count = 5;
  rows.content.resize(10 * sizeof(uint32_t));
  for (uint32_t i = 0; i < 10; ++i) {
    const uint32_t row = 100 + i;
    std::memcpy(rows.content.data() + i * sizeof(row), &row, sizeof(row));
  }
  return rows;
}

// Makes the fields of a row from its number.
class Fields final : public RowFieldWriter {
 public:
  explicit Fields(TableKind kind) : kind_(kind) {}
  void Append(const char* content, ByteWriter* out) const override {
    uint32_t row = 0;
    std::memcpy(&row, content, sizeof(row));
    const std::string text = std::to_string(row);
    if (kind_ == TableKind::kDictionary) {
      ByteWriter key;
      EncodeStr("key-" + text, &key);
      AppendDictionaryFields(static_cast<int>(row % 128), key.view(), out);
    } else if (kind_ == TableKind::kRows) {
      AppendRowFields(row * 1000, "ns" + text, row % 4 ? "sub" : "", std::string(row - 98, 'v'),
                      out);
    } else {
      AppendTimerFields(row % 4 ? 1 : 0, row * 1000, "window", int64_t{row} - 104, out);
    }
  }

 private:
  const TableKind kind_;
};

std::string Encode(TableKind kind, bool whole) {
  if (kind == TableKind::kFixedValue || kind == TableKind::kSlice) {
    return EncodeFixedPartition(SomeRows(), 4, whole);
  }
  return EncodeRowPartition(SomeRows(), 4, whole, Fields(kind));
}

std::string Describe(const StoredPartition& partition) {
  std::ostringstream out;
  out << (partition.whole ? "whole " : "delta ") << partition.first_row << "+"
      << partition.row_count;
  for (const StoredRow& row : partition.rows) {
    out << "|" << row.row;
    if (row.tombstone) {
      out << " gone";
      continue;
    }
    out << " " << row.key_group << " " << int{row.domain} << " " << row.key << " " << row.time
        << " " << row.ns << " " << row.sub_key << " " << row.value;
  }
  return out.str();
}

struct Case {
  TableKind kind;
  bool whole;
  const char* golden;
};

class PartitionCodecTest : public ::testing::TestWithParam<Case> {};

TEST_P(PartitionCodecTest, payload_is_the_golden_file) {
  ExpectGolden(std::string("state/golden/") + GetParam().golden + ".bin",
               Encode(GetParam().kind, GetParam().whole));
}

TEST_P(PartitionCodecTest, decode_returns_rows_and_tombstones) {
  const std::string payload = Encode(GetParam().kind, GetParam().whole);
  const Result<StoredPartition> decoded = DecodePartition(GetParam().kind, 4, payload);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ((*decoded).whole, GetParam().whole);
  EXPECT_EQ((*decoded).first_row, 100u);
  ASSERT_EQ((*decoded).rows.size(), 5u);
  for (uint32_t i = 0; i < 5; ++i) {
    const StoredRow& row = (*decoded).rows[i];
    EXPECT_EQ(row.row, GetParam().whole ? 100 + 2 * i : 100 + i);
    EXPECT_EQ(row.tombstone, row.row % 2 == 1);
    if (GetParam().kind == TableKind::kFixedValue) {
      if (row.tombstone) continue;
      ASSERT_EQ(row.value.size(), 4u);
      EXPECT_EQ(static_cast<uint8_t>(row.value[0]), row.row);
    }
  }
}

// Rows as VisitPartition() gives them, in the form of MergePartition().
Result<StoredPartition> Visited(TableKind kind, const std::vector<std::string>& payloads) {
  StoredPartition partition;
  const auto keep = [&](const StoredPartitionHeader& header, const StoredRow* rows, int64_t count) {
    partition.whole = header.whole;
    partition.first_row = header.first_row;
    partition.row_count = header.row_count;
    partition.rows.insert(partition.rows.end(), rows, rows + count);
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(VisitPartition(kind, 4, payloads, keep));
  return partition;
}

TEST_P(PartitionCodecTest, visited_rows_are_the_merged_ones) {
  const TableKind kind = GetParam().kind;
  const std::string whole = Encode(kind, true);
  std::vector<std::string> payloads{whole};
  if (!GetParam().whole) payloads.push_back(Encode(kind, false));
  const auto merged = MergePartition(kind, 4, payloads);
  const auto visited = Visited(kind, payloads);
  ASSERT_TRUE(merged.ok()) << merged.status().ToString();
  ASSERT_TRUE(visited.ok()) << visited.status().ToString();
  EXPECT_EQ(Describe(*visited), Describe(*merged));
  // Damage of any kind is refused by both or by none, and both then have the same rows.
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::string> damaged = payloads;
    damaged[0][bit / 8] = static_cast<char>(damaged[0][bit / 8] ^ (1 << (bit % 8)));
    const auto expected = MergePartition(kind, 4, damaged);
    const auto found = Visited(kind, damaged);
    ASSERT_EQ(found.ok(), expected.ok()) << "bit " << bit;
    if (expected.ok()) {
      EXPECT_EQ(Describe(*found), Describe(*expected)) << "bit " << bit;
    }
  }
  EXPECT_EQ(Visited(kind, {Encode(kind, false)}).status().code(), StatusCode::kCorruption)
      << "a delta without its base";
}

TEST_P(PartitionCodecTest, every_truncation_and_extension_is_corruption) {
  const std::string payload = Encode(GetParam().kind, GetParam().whole);
  for (size_t size = 0; size < payload.size(); ++size) {
    const std::string cut = payload.substr(0, size);
    EXPECT_EQ(DecodePartition(GetParam().kind, 4, cut).status().code(), StatusCode::kCorruption)
        << "cut to " << size;
  }
  EXPECT_EQ(DecodePartition(GetParam().kind, 4, payload + "x").status().code(),
            StatusCode::kCorruption);
}

TEST_P(PartitionCodecTest, damaged_bytes_never_read_outside) {
  const std::string payload = Encode(GetParam().kind, GetParam().whole);
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string damaged = payload;
    for (uint32_t i = 0; i <= random() % 3; ++i) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const Result<StoredPartition> decoded = DecodePartition(GetParam().kind, 4, damaged);
    if (!decoded.ok()) {
      ASSERT_EQ(decoded.status().code(), StatusCode::kCorruption);
      ++refused;
    } else {
      ASSERT_FALSE(Describe(*decoded).empty());
    }
  }
  EXPECT_GT(refused, 1000);
}

INSTANTIATE_TEST_SUITE_P(Kinds, PartitionCodecTest,
                         ::testing::Values(Case{TableKind::kFixedValue, true, "fixed_whole"},
                                           Case{TableKind::kFixedValue, false, "fixed_delta"},
                                           Case{TableKind::kDictionary, true, "dictionary_whole"},
                                           Case{TableKind::kDictionary, false, "dictionary_delta"},
                                           Case{TableKind::kRows, true, "rows_whole"},
                                           Case{TableKind::kRows, false, "rows_delta"},
                                           Case{TableKind::kTimers, true, "timers_whole"},
                                           Case{TableKind::kTimers, false, "timers_delta"}),
                         [](const auto& info) { return info.param.golden; });

// A whole partition with `rows` positions from `first`, none of them live.
StatusCode DecodedEmpty(uint64_t first, uint64_t rows) {
  ByteWriter out;
  out.Fixed<uint8_t>(1);
  out.Varint(first);
  out.Varint(rows);
  out.Varint(0);
  return DecodePartition(TableKind::kRows, 0, out.view()).status().code();
}

TEST(PartitionCodecLimits, row_numbers_up_to_the_largest_are_good) {
  constexpr uint64_t kLargest = 0xfffffffe;
  EXPECT_EQ(DecodedEmpty(kLargest, 0), StatusCode::kOk);
  EXPECT_EQ(DecodedEmpty(kLargest + 1, 0), StatusCode::kCorruption);
  EXPECT_EQ(DecodedEmpty(kLargest - 5, 5), StatusCode::kOk);
  EXPECT_EQ(DecodedEmpty(kLargest - 5, 6), StatusCode::kCorruption);
}

TEST(PartitionCodecLimits, fixed_rows_of_no_bytes_are_corruption) {
  for (const bool whole : {false, true}) {
    ByteWriter out;
    out.Fixed<uint8_t>(whole ? 1 : 0);
    for (const uint64_t number : {0, 0, 0}) out.Varint(number);
    for (const TableKind kind : {TableKind::kFixedValue, TableKind::kSlice}) {
      EXPECT_EQ(DecodePartition(kind, 0, out.view()).status().code(), StatusCode::kCorruption);
    }
  }
}

// A whole partition of one row with the fields that `append` writes.
template <typename Append>
StatusCode DecodedRow(TableKind kind, const Append& append) {
  ByteWriter out;
  out.Fixed<uint8_t>(1);
  for (const uint64_t number : {0, 1, 1, 0}) out.Varint(number);  // first, rows, live, position
  out.Fixed<uint8_t>(0);
  append(&out);
  return DecodePartition(kind, 0, out.view()).status().code();
}

TEST(PartitionCodecLimits, row_behind_the_last_position_is_corruption) {
  const auto rows_of_two = [](uint64_t positions) {
    ByteWriter out;
    out.Fixed<uint8_t>(1);
    for (const uint64_t number : {uint64_t{0}, positions, uint64_t{2}}) out.Varint(number);
    for (int row = 0; row < 2; ++row) {
      out.Varint(0);  // the position behind the row before
      out.Fixed<uint8_t>(0);
      AppendRowFields(7, "ns", "sub", "value", &out);
    }
    return DecodePartition(TableKind::kRows, 0, out.view()).status().code();
  };
  EXPECT_EQ(rows_of_two(2), StatusCode::kOk);
  EXPECT_EQ(rows_of_two(1), StatusCode::kCorruption);
}

TEST(PartitionCodecLimits, key_ids_groups_and_domains_up_to_the_largest_are_good) {
  const auto key = [](uint32_t id) {
    return DecodedRow(TableKind::kRows,
                      [id](ByteWriter* out) { AppendRowFields(id, "ns", "sub", "value", out); });
  };
  EXPECT_EQ(key(0xfffffffe), StatusCode::kOk);
  EXPECT_EQ(key(0xffffffff), StatusCode::kCorruption);
  const auto group = [](int number) {
    return DecodedRow(TableKind::kDictionary,
                      [number](ByteWriter* out) { AppendDictionaryFields(number, "key", out); });
  };
  EXPECT_EQ(group(0xffff), StatusCode::kOk);
  EXPECT_EQ(group(0x10000), StatusCode::kCorruption);
  const auto domain = [](uint8_t number) {
    return DecodedRow(TableKind::kTimers,
                      [number](ByteWriter* out) { AppendTimerFields(number, 7, "ns", 42, out); });
  };
  EXPECT_EQ(domain(1), StatusCode::kOk);
  EXPECT_EQ(domain(2), StatusCode::kCorruption);
}

TEST(PartitionMergeTest, deltas_replace_add_and_remove_rows_of_the_base) {
  const std::vector<std::string> payloads = {Encode(TableKind::kRows, true),
                                             Encode(TableKind::kRows, false)};
  const Result<StoredPartition> merged = MergePartition(TableKind::kRows, 0, payloads);
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(Describe(*merged), Describe(*DecodePartition(TableKind::kRows, 0, payloads[0])));
}

TEST(PartitionMergeTest, delta_of_a_shorter_partition_may_leave_no_row_behind_its_end) {
  PartitionRows rows = SomeRows();
  const std::string base = EncodeFixedPartition(rows, 4, /*whole=*/true);
  rows.row_count = 5;
  const std::string shorter = EncodeFixedPartition(rows, 4, /*whole=*/false);
  EXPECT_EQ(MergePartition(TableKind::kFixedValue, 4, {base, shorter}).status().code(),
            StatusCode::kCorruption);
  // The last row of the base is the ninth.
  rows.row_count = 8;
  EXPECT_EQ(MergePartition(TableKind::kFixedValue, 4,
                           {base, EncodeFixedPartition(rows, 4, /*whole=*/false)})
                .status()
                .code(),
            StatusCode::kCorruption);
  rows.row_count = 9;
  EXPECT_TRUE(MergePartition(TableKind::kFixedValue, 4,
                             {base, EncodeFixedPartition(rows, 4, /*whole=*/false)})
                  .ok());
  // As after a restore, which does not know of rows that were erased.
  rows.row_count = 10;
  rows.live = {0x15};
  rows.changed = {0x140};
  rows.changed_count = 2;
  const std::string erases = EncodeFixedPartition(rows, 4, /*whole=*/false);
  EXPECT_TRUE(MergePartition(TableKind::kFixedValue, 4, {base, erases, shorter}).ok());
}

TEST(PartitionMergeTest, delta_without_base_is_corruption) {
  EXPECT_EQ(MergePartition(TableKind::kRows, 0, {Encode(TableKind::kRows, false)}).status().code(),
            StatusCode::kCorruption);
}

}  // namespace
}  // namespace headrace
