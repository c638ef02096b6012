#include "headrace/state/keyed_partition_codec.h"

#include <algorithm>
#include <tuple>

#include "headrace/base/check.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr uint8_t kWhole = 0x01;

constexpr uint8_t kTombstone = 0x01;
constexpr uint8_t kSameKey = 0x02;
constexpr uint8_t kNamespace = 0x04;
constexpr uint8_t kSubKey = 0x08;
constexpr uint8_t kRowFlags = kTombstone | kSameKey | kNamespace | kSubKey;

Status Malformed(const ByteReader& in, const std::string& what) {
  return Status::Corruption(what + " at offset " + std::to_string(in.offset()));
}

auto IdentityOf(const StoredKeyedRow& row) { return std::tie(row.key, row.ns, row.sub_key); }

Status Twice(const StoredKeyedRow& row) {
  return Status::Corruption("a row of key " + DescribeValue(row.key) + " is stored twice");
}

}  // namespace

// A payload:
//
//   byte     flags: 0x01 whole
//   varint   number of rows
//   for each:
//     byte     flags: 0x01 tombstone (deltas only), 0x02 key of the row before, 0x04 has a
//              namespace, 0x08 has a sub-key
//     string   canonical key, unless it is that of the row before
//     string   namespace, sub-key: those it has
//     unless it is a tombstone: row_bytes bytes where the table has a fixed width, else string
//     value
//
// Rows are in order of (key group, hash of the key, length of the key, key, namespace, sub-key).
void KeyedPartitionWriter::Add(std::string_view row_key, std::optional<std::string_view> value) {
  RowKeyParts parts;
  HR_CHECK(ParseRowKey(row_key, &parts));
  Add(parts, value);
}

void KeyedPartitionWriter::Add(const RowKeyParts& parts, std::optional<std::string_view> value) {
  const bool same = rows_ > 0 && parts.canonical == last_key_;
  body_.Fixed<uint8_t>(static_cast<uint8_t>((value ? 0 : kTombstone) | (same ? kSameKey : 0) |
                                            (parts.ns.empty() ? 0 : kNamespace) |
                                            (parts.sub_key.empty() ? 0 : kSubKey)));
  if (!same) {
    body_.String(parts.canonical);
    last_key_.assign(parts.canonical);
  }
  if (!parts.ns.empty()) body_.String(parts.ns);
  if (!parts.sub_key.empty()) body_.String(parts.sub_key);
  ++rows_;
  if (!value) return;
  if (row_bytes_ == 0) return body_.String(*value);
  HR_CHECK_EQ(value->size(), row_bytes_);
  body_.Raw(*value);
}

std::string KeyedPartitionWriter::Finish(bool whole) {
  ByteWriter out;
  out.Fixed<uint8_t>(whole ? kWhole : 0);
  out.Varint(rows_);
  out.Raw(body_.view());
  return out.Take();
}

Result<StoredKeyedPartition> DecodeKeyedPartition(uint32_t row_bytes, std::string_view payload) {
  ByteReader in(payload);
  StoredKeyedPartition partition;
  uint8_t flags = 0;
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(in.Fixed(&flags));
  if (flags & ~kWhole) return Malformed(in, "unknown flags " + std::to_string(flags));
  partition.whole = flags & kWhole;
  HR_RETURN_IF_ERROR(in.Count(/*bytes_each=*/1, &count));
  partition.rows.resize(count);
  const StoredKeyedRow* last = nullptr;
  for (StoredKeyedRow& row : partition.rows) {
    HR_RETURN_IF_ERROR(in.Fixed(&flags));
    if ((flags & ~kRowFlags) || (partition.whole && (flags & kTombstone)) ||
        (last == nullptr && (flags & kSameKey))) {
      return Malformed(in, "unknown row flags " + std::to_string(flags));
    }
    row.tombstone = flags & kTombstone;
    if (flags & kSameKey) {
      row.key = last->key;
    } else {
      HR_RETURN_IF_ERROR(in.String(&row.key));
    }
    if (flags & kNamespace) HR_RETURN_IF_ERROR(in.String(&row.ns));
    if (flags & kSubKey) HR_RETURN_IF_ERROR(in.String(&row.sub_key));
    if ((flags & kNamespace && row.ns.empty()) || (flags & kSubKey && row.sub_key.empty())) {
      return Malformed(in, "an empty field that is said to be there");
    }
    if (!row.tombstone) {
      HR_RETURN_IF_ERROR(row_bytes != 0 ? in.Raw(row_bytes, &row.value) : in.String(&row.value));
    }
    if (last != nullptr && IdentityOf(*last) == IdentityOf(row)) return Twice(row);
    last = &row;
  }
  HR_RETURN_IF_ERROR(in.ExpectDone());
  return partition;
}

std::string EncodeStoredKeyedPartition(uint32_t row_bytes, const StoredKeyedPartition& partition) {
  KeyedPartitionWriter writer(row_bytes);
  for (const StoredKeyedRow& row : partition.rows) {
    writer.Add({row.key, row.ns, row.sub_key},
               row.tombstone ? std::nullopt : std::optional<std::string_view>(row.value));
  }
  return writer.Finish(partition.whole);
}

Result<StoredKeyedPartition> MergeKeyedPartition(uint32_t row_bytes,
                                                 const std::vector<std::string>& payloads) {
  StoredKeyedPartition merged;
  for (size_t i = 0; i < payloads.size(); ++i) {
    Result<StoredKeyedPartition> decoded = DecodeKeyedPartition(row_bytes, payloads[i]);
    if (!decoded.ok()) {
      return decoded.status().WithContext("payload " + std::to_string(i) + " of " +
                                          std::to_string(payloads.size()));
    }
    if (i == 0 && !decoded->whole) {
      return Status::Corruption("the partition starts with a delta: its base is missing");
    }
    if (decoded->whole) {
      merged = std::move(*decoded);
    } else {
      merged.rows.insert(merged.rows.end(), decoded->rows.begin(), decoded->rows.end());
    }
  }
  merged.whole = true;
  if (payloads.size() < 2) return merged;
  // The newest of each row is the last one, as the sort keeps the order of equals.
  std::vector<StoredKeyedRow>& rows = merged.rows;
  std::stable_sort(rows.begin(), rows.end(), [](const StoredKeyedRow& a, const StoredKeyedRow& b) {
    return IdentityOf(a) < IdentityOf(b);
  });
  size_t kept = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i + 1 < rows.size() && IdentityOf(rows[i]) == IdentityOf(rows[i + 1])) continue;
    if (!rows[i].tombstone) rows[kept++] = rows[i];
  }
  rows.resize(kept);
  return merged;
}

}  // namespace headrace
