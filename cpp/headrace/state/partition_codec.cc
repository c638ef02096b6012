#include "headrace/state/partition_codec.h"

#include <bit>
#include <utility>

namespace headrace {
namespace {

constexpr uint8_t kWhole = 0x01;
constexpr uint8_t kTombstone = 0x01;
constexpr uint64_t kRowsMax = 0xfffffffe;
constexpr size_t kHeaderBytesMax = 16;
constexpr size_t kRowBytesUsual = 16;

Status Malformed(const ByteReader& in, const std::string& what) {
  return Status::Corruption(what + " at offset " + std::to_string(in.offset()));
}

bool IsFixedWidth(TableKind kind) {
  return kind == TableKind::kFixedValue || kind == TableKind::kSlice;
}

void AppendBit(std::string* bits, uint32_t i, bool on) {
  if (i % 8 == 0) bits->push_back('\0');
  if (on) bits->back() = static_cast<char>(bits->back() | (1 << (i % 8)));
}

// Every payload starts with
//
//   byte     flags: 0x01 whole
//   varint   first row of the partition
//   varint   number of row positions n that the partition has (rows beyond the last are dead)
void AppendHeader(const PartitionRows& rows, bool whole, ByteWriter* out) {
  out->Fixed<uint8_t>(whole ? kWhole : 0);
  out->Varint(rows.first_row);
  out->Varint(rows.row_count);
}

template <typename Visit>
void ForEachBit(const std::vector<uint64_t>& bits, const Visit& visit) {
  for (size_t word = 0; word < bits.size(); ++word) {
    for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
      visit(static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(left))));
    }
  }
}

// The values of the rows whose bit is set; runs of 64 rows, the common case, at once.
void AppendValues(const PartitionRows& rows, uint32_t row_bytes,
                  const std::vector<uint64_t>& chosen, ByteWriter* out) {
  const char* content = rows.content.data();
  for (size_t word = 0; word < chosen.size(); ++word) {
    const char* first = content + word * 64 * row_bytes;
    if (chosen[word] == ~uint64_t{0}) {
      out->Raw({first, size_t{64} * row_bytes});
      continue;
    }
    for (uint64_t left = chosen[word]; left != 0; left &= left - 1) {
      out->Raw({first + static_cast<size_t>(std::countr_zero(left)) * row_bytes, row_bytes});
    }
  }
}

// A row number is stored as its distance to the one before, minus 1; the first as its position.
void AppendPosition(uint32_t position, int64_t* previous, ByteWriter* out) {
  out->Varint(static_cast<uint64_t>(position - *previous - 1));
  *previous = position;
}

}  // namespace

// Fixed-width tables, after the header:
//
//   whole:   bitmap of n bits, least significant first: row is live
//            value of each live row, row_bytes each
//   delta:   varint   number of changed rows c
//            c varint positions (see AppendPosition)
//            bitmap of c bits: row is a tombstone
//            value of each changed row that is no tombstone, row_bytes each
std::string EncodeFixedPartition(const PartitionRows& rows, uint32_t row_bytes, bool whole) {
  ByteWriter out;
  out.buffer().reserve(kHeaderBytesMax + rows.row_count / 8 +
                       size_t{whole ? rows.live_count : rows.changed_count} *
                           (row_bytes + (whole ? 0 : 4)));
  AppendHeader(rows, whole, &out);
  if (whole) {
    // Both bitmaps have the lowest bit first, and rows behind the last are dead.
    out.Raw({reinterpret_cast<const char*>(rows.live.data()), (size_t{rows.row_count} + 7) / 8});
    AppendValues(rows, row_bytes, rows.live, &out);
    return out.Take();
  }
  out.Varint(rows.changed_count);
  int64_t previous = -1;
  uint32_t changed = 0;
  std::string tombstones;
  ForEachBit(rows.changed, [&](uint32_t i) {
    AppendPosition(i, &previous, &out);
    AppendBit(&tombstones, changed++, !rows.IsLive(i));
  });
  out.Raw(tombstones);
  std::vector<uint64_t> written(rows.changed);
  for (size_t word = 0; word < written.size(); ++word) written[word] &= rows.live[word];
  AppendValues(rows, row_bytes, written, &out);
  return out.Take();
}

// Tables of variable rows, after the header:
//
//   varint   number of rows
//   for each: varint position (see AppendPosition), byte flags: 0x01 tombstone; unless it is one:
//     dictionary   varint key group, string canonical key
//     rows         varint key id, string namespace, string sub-key, string value
//     timers       byte domain, varint key id, string namespace, zigzag varint time
std::string EncodeRowPartition(const PartitionRows& rows, uint32_t row_bytes, bool whole,
                               const RowFieldWriter& fields) {
  ByteWriter out;
  const uint32_t count = whole ? rows.live_count : rows.changed_count;
  out.buffer().reserve(kHeaderBytesMax + size_t{count} * kRowBytesUsual);
  AppendHeader(rows, whole, &out);
  out.Varint(count);
  int64_t previous = -1;
  ForEachBit(whole ? rows.live : rows.changed, [&](uint32_t i) {
    const char flags = rows.IsLive(i) ? 0 : kTombstone;
    if (i == previous + 1) {
      const char next_row[] = {0, flags};
      out.Raw({next_row, sizeof(next_row)});
      previous = i;
    } else {
      AppendPosition(i, &previous, &out);
      out.Raw({&flags, 1});
    }
    if (rows.IsLive(i)) fields.Append(rows.content.data() + size_t{i} * row_bytes, &out);
  });
  return out.Take();
}

void AppendDictionaryFields(int key_group, std::string_view canonical_key, ByteWriter* out) {
  out->Varint(static_cast<uint64_t>(key_group));
  out->String(canonical_key);
}

void AppendRowFields(uint32_t key, std::string_view ns, std::string_view sub_key,
                     std::string_view value, ByteWriter* out) {
  out->Varint(key);
  out->String(ns);
  out->String(sub_key);
  out->String(value);
}

void AppendTimerFields(uint8_t domain, uint32_t key, std::string_view ns, int64_t time,
                       ByteWriter* out) {
  out->Fixed(domain);
  out->Varint(key);
  out->String(ns);
  out->ZigZag(time);
}

namespace {

class Decoder {
 public:
  Decoder(TableKind kind, uint32_t row_bytes, std::string_view payload)
      : kind_(kind), row_bytes_(row_bytes), in_(payload) {}

  Status Decode(StoredPartition* out) {
    uint8_t flags = 0;
    uint64_t first = 0;
    uint64_t count = 0;
    if (IsFixedWidth(kind_) && row_bytes_ == 0) return Malformed(in_, "rows of 0 bytes");
    HR_RETURN_IF_ERROR(in_.Fixed(&flags));
    if (flags & ~kWhole) return Malformed(in_, "unknown flags " + std::to_string(flags));
    HR_RETURN_IF_ERROR(in_.Varint(&first));
    HR_RETURN_IF_ERROR(in_.Varint(&count));
    if (first > kRowsMax || count > kRowsMax - first) {
      return Malformed(in_, "row numbers out of range");
    }
    out->whole = flags & kWhole;
    out->first_row = static_cast<uint32_t>(first);
    out->row_count = static_cast<uint32_t>(count);
    if (!IsFixedWidth(kind_)) {
      HR_RETURN_IF_ERROR(DecodeRows(out));
    } else if (out->whole) {
      HR_RETURN_IF_ERROR(DecodeFixedWhole(out));
    } else {
      HR_RETURN_IF_ERROR(DecodeFixedDelta(out));
    }
    return in_.ExpectDone();
  }

 private:
  Status ReadPosition(const StoredPartition& partition, int64_t* previous, StoredRow* row) {
    uint64_t gap = 0;
    HR_RETURN_IF_ERROR(in_.Varint(&gap));
    if (gap >= partition.row_count ||
        *previous + 1 + static_cast<int64_t>(gap) >= static_cast<int64_t>(partition.row_count)) {
      return Malformed(in_, "row outside of its partition");
    }
    *previous += 1 + static_cast<int64_t>(gap);
    row->row = partition.first_row + static_cast<uint32_t>(*previous);
    return Status::Ok();
  }

  // The bits behind the last one must be zero: one content, one encoding.
  Status ReadBitmap(uint64_t bits, std::string_view* bitmap) {
    HR_RETURN_IF_ERROR(in_.Raw((bits + 7) / 8, bitmap));
    if (bits % 8 != 0 && (static_cast<uint8_t>(bitmap->back()) >> (bits % 8)) != 0) {
      return Malformed(in_, "bits set behind the end of a bitmap");
    }
    return Status::Ok();
  }
  static bool Bit(std::string_view bitmap, uint64_t i) {
    return (static_cast<uint8_t>(bitmap[i / 8]) >> (i % 8)) & 1;
  }

  Status DecodeFixedWhole(StoredPartition* out) {
    std::string_view live;
    HR_RETURN_IF_ERROR(ReadBitmap(out->row_count, &live));
    out->rows.reserve(in_.remaining() / row_bytes_);
    for (uint32_t i = 0; i < out->row_count; ++i) {
      if (!Bit(live, i)) continue;
      StoredRow row;
      row.row = out->first_row + i;
      HR_RETURN_IF_ERROR(in_.Raw(row_bytes_, &row.value));
      out->rows.push_back(row);
    }
    return Status::Ok();
  }

  Status DecodeFixedDelta(StoredPartition* out) {
    uint64_t changed = 0;
    HR_RETURN_IF_ERROR(in_.Count(/*bytes_each=*/1, &changed));
    out->rows.resize(changed);
    int64_t previous = -1;
    for (StoredRow& row : out->rows) HR_RETURN_IF_ERROR(ReadPosition(*out, &previous, &row));
    std::string_view tombstones;
    HR_RETURN_IF_ERROR(ReadBitmap(changed, &tombstones));
    for (uint64_t i = 0; i < changed; ++i) {
      out->rows[i].tombstone = Bit(tombstones, i);
      if (!out->rows[i].tombstone) HR_RETURN_IF_ERROR(in_.Raw(row_bytes_, &out->rows[i].value));
    }
    return Status::Ok();
  }

  Status DecodeRows(StoredPartition* out) {
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_.Count(/*bytes_each=*/2, &count));
    out->rows.resize(count);
    int64_t previous = -1;
    for (StoredRow& row : out->rows) {
      HR_RETURN_IF_ERROR(ReadPosition(*out, &previous, &row));
      uint8_t flags = 0;
      HR_RETURN_IF_ERROR(in_.Fixed(&flags));
      if ((flags & ~kTombstone) || (out->whole && flags != 0)) {
        return Malformed(in_, "unknown row flags " + std::to_string(flags));
      }
      row.tombstone = flags & kTombstone;
      if (!row.tombstone) HR_RETURN_IF_ERROR(DecodeFields(&row));
    }
    return Status::Ok();
  }

  Status ReadKeyId(StoredRow* row) {
    uint64_t key = 0;
    HR_RETURN_IF_ERROR(in_.Varint(&key));
    if (key > kRowsMax) return Malformed(in_, "key id out of range");
    row->key = static_cast<uint32_t>(key);
    return Status::Ok();
  }

  Status DecodeFields(StoredRow* row) {
    switch (kind_) {
      case TableKind::kDictionary: {
        uint64_t group = 0;
        HR_RETURN_IF_ERROR(in_.Varint(&group));
        if (group > UINT16_MAX) return Malformed(in_, "key group out of range");
        row->key_group = static_cast<uint16_t>(group);
        return in_.String(&row->value);
      }
      case TableKind::kRows:
        HR_RETURN_IF_ERROR(ReadKeyId(row));
        HR_RETURN_IF_ERROR(in_.String(&row->ns));
        HR_RETURN_IF_ERROR(in_.String(&row->sub_key));
        return in_.String(&row->value);
      case TableKind::kTimers:
        HR_RETURN_IF_ERROR(in_.Fixed(&row->domain));
        if (row->domain > 1) return Malformed(in_, "unknown time domain");
        HR_RETURN_IF_ERROR(ReadKeyId(row));
        HR_RETURN_IF_ERROR(in_.String(&row->ns));
        return in_.ZigZag(&row->time);
      case TableKind::kFixedValue:
      case TableKind::kSlice:
      case TableKind::kKeyed:
      case TableKind::kOperatorState:  // is in the manifest, not in a table
        break;
    }
    return Malformed(in_, "unknown kind of table");
  }

  const TableKind kind_;
  const uint32_t row_bytes_;
  ByteReader in_;
};

void EncodeStoredFixedRows(const StoredPartition& partition, ByteWriter* out) {
  std::string bits;
  if (partition.whole) {
    bits.assign((size_t{partition.row_count} + 7) / 8, '\0');
    for (const StoredRow& row : partition.rows) {
      const uint32_t i = row.row - partition.first_row;
      bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
    }
  } else {
    out->Varint(partition.rows.size());
    int64_t previous = -1;
    uint32_t changed = 0;
    for (const StoredRow& row : partition.rows) {
      AppendPosition(row.row - partition.first_row, &previous, out);
      AppendBit(&bits, changed++, row.tombstone);
    }
  }
  out->Raw(bits);
  for (const StoredRow& row : partition.rows) {
    if (!row.tombstone) out->Raw(row.value);
  }
}

void EncodeStoredRows(TableKind kind, const StoredPartition& partition, ByteWriter* out) {
  out->Varint(partition.rows.size());
  int64_t previous = -1;
  for (const StoredRow& row : partition.rows) {
    AppendPosition(row.row - partition.first_row, &previous, out);
    out->Fixed<uint8_t>(row.tombstone ? kTombstone : 0);
    if (row.tombstone) continue;
    if (kind == TableKind::kDictionary) {
      AppendDictionaryFields(row.key_group, row.value, out);
    } else if (kind == TableKind::kTimers) {
      AppendTimerFields(row.domain, row.key, row.ns, row.time, out);
    } else {
      AppendRowFields(row.key, row.ns, row.sub_key, row.value, out);
    }
  }
}

// Rows of `delta` over rows of `base`, both ascending.
std::vector<StoredRow> Overlay(const std::vector<StoredRow>& base,
                               const std::vector<StoredRow>& delta) {
  std::vector<StoredRow> merged;
  merged.reserve(base.size() + delta.size());
  size_t at = 0;
  for (const StoredRow& row : delta) {
    while (at < base.size() && base[at].row < row.row) merged.push_back(base[at++]);
    if (at < base.size() && base[at].row == row.row) ++at;
    if (!row.tombstone) merged.push_back(row);
  }
  merged.insert(merged.end(), base.begin() + static_cast<int64_t>(at), base.end());
  return merged;
}

}  // namespace

Result<StoredPartition> DecodePartition(TableKind kind, uint32_t row_bytes,
                                        std::string_view payload) {
  StoredPartition partition;
  HR_RETURN_IF_ERROR(Decoder(kind, row_bytes, payload).Decode(&partition));
  return partition;
}

std::string EncodeStoredPartition(TableKind kind, const StoredPartition& partition) {
  ByteWriter out;
  out.Fixed<uint8_t>(partition.whole ? kWhole : 0);
  out.Varint(partition.first_row);
  out.Varint(partition.row_count);
  if (IsFixedWidth(kind)) {
    EncodeStoredFixedRows(partition, &out);
  } else {
    EncodeStoredRows(kind, partition, &out);
  }
  return out.Take();
}

Result<StoredPartition> MergePartition(TableKind kind, uint32_t row_bytes,
                                       const std::vector<std::string>& payloads) {
  StoredPartition merged;
  for (size_t i = 0; i < payloads.size(); ++i) {
    Result<StoredPartition> decoded = DecodePartition(kind, row_bytes, payloads[i]);
    if (!decoded.ok()) {
      return decoded.status().WithContext("payload " + std::to_string(i) + " of " +
                                          std::to_string(payloads.size()));
    }
    StoredPartition& next = *decoded;
    if (i == 0 && !next.whole) {
      return Status::Corruption("the partition starts with a delta: its base is missing");
    }
    if (i > 0 && next.first_row != merged.first_row) {
      return Status::Corruption("payload " + std::to_string(i) + " starts at row " +
                                std::to_string(next.first_row) + ", the base at row " +
                                std::to_string(merged.first_row));
    }
    if (!next.whole) next.rows = Overlay(merged.rows, next.rows);
    // A table that was restored may be shorter than it was, but not than its last live row.
    if (!next.rows.empty() && next.rows.back().row - next.first_row >= next.row_count) {
      return Status::Corruption("payload " + std::to_string(i) + " has " +
                                std::to_string(next.row_count) + " rows and leaves row " +
                                std::to_string(next.rows.back().row - next.first_row) + " alive");
    }
    merged = std::move(next);
  }
  merged.whole = true;
  return merged;
}

}  // namespace headrace
