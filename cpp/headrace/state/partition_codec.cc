#include "headrace/state/partition_codec.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>

namespace headrace {
namespace {

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
  out->Fixed<uint8_t>(whole ? kWholePayload : 0);
  out->Varint(rows.first_row);
  out->Varint(rows.row_count);
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
    const char flags = rows.IsLive(i) ? 0 : kRowTombstone;
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

// Rows that are handed on together: they stay in the nearest cache.
constexpr size_t kRunRows = 128;
// What TakeVarint() may read.
constexpr ptrdiff_t kShortVarintBytes = 5;
// Row id and flags, key group or key id, lengths: what is read of a row without a look at the end.
constexpr ptrdiff_t kRowStartBytes = 2 + 4 * kShortVarintBytes;

// A varint of up to five bytes; false for a longer one and for one that is not minimal, which
// ByteReader tells apart. REQUIRES: kShortVarintBytes to read.
bool TakeVarint(const char** at, uint64_t* out) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(*at);
  if (bytes[0] < 0x80) {
    *out = bytes[0];
    ++*at;
    return true;
  }
  uint64_t value = bytes[0] & 0x7f;
  for (int i = 1; i < kShortVarintBytes; ++i) {
    value |= uint64_t{bytes[i] & 0x7fu} << (7 * i);
    if (bytes[i] >= 0x80) continue;
    *at += i + 1;
    *out = value;
    return bytes[i] != 0;
  }
  return false;
}

// A string whose length is such a varint and which ends before `end`.
bool TakeString(const char** at, const char* end, std::string_view* out) {
  uint64_t size = 0;
  if (!TakeVarint(at, &size) || static_cast<uint64_t>(end - *at) < size) return false;
  *out = {*at, size};
  *at += size;
  return true;
}

// Reads one payload and hands its rows on in runs.
class Decoder {
 public:
  Decoder(TableKind kind, uint32_t row_bytes, std::string_view payload,
          const StoredRowsVisitor& visit)
      : kind_(kind), row_bytes_(row_bytes), payload_(payload), in_(payload), visit_(visit) {}

  Status ReadHeader(StoredPartitionHeader* out) {
    uint8_t flags = 0;
    uint64_t first = 0;
    uint64_t count = 0;
    if (IsFixedWidth(kind_) && row_bytes_ == 0) return Malformed(in_, "rows of 0 bytes");
    HR_RETURN_IF_ERROR(in_.Fixed(&flags));
    if (flags & ~kWholePayload) return Malformed(in_, "unknown flags " + std::to_string(flags));
    HR_RETURN_IF_ERROR(in_.Varint(&first));
    HR_RETURN_IF_ERROR(in_.Varint(&count));
    if (first > kRowsMax || count > kRowsMax - first) {
      return Malformed(in_, "row numbers out of range");
    }
    header_.whole = flags & kWholePayload;
    header_.first_row = static_cast<uint32_t>(first);
    header_.row_count = static_cast<uint32_t>(count);
    *out = header_;
    return Status::Ok();
  }

  // REQUIRES: ReadHeader() returned Ok.
  Status ReadRows() {
    if (!IsFixedWidth(kind_)) {
      HR_RETURN_IF_ERROR(DecodeRows());
    } else if (header_.whole) {
      HR_RETURN_IF_ERROR(DecodeFixedWhole());
    } else {
      HR_RETURN_IF_ERROR(DecodeFixedDelta());
    }
    return in_.ExpectDone();
  }

 private:
  Status HandOn(size_t count) {
    if (count == 0 && handed_on_) return Status::Ok();
    handed_on_ = true;
    return visit_(header_, run_, static_cast<int64_t>(count));
  }

  Status ReadPosition(int64_t* previous, StoredRow* row) {
    uint64_t gap = 0;
    HR_RETURN_IF_ERROR(in_.Varint(&gap));
    if (gap >= header_.row_count ||
        *previous + 1 + static_cast<int64_t>(gap) >= static_cast<int64_t>(header_.row_count)) {
      return Malformed(in_, "row outside of its partition");
    }
    *previous += 1 + static_cast<int64_t>(gap);
    row->row = header_.first_row + static_cast<uint32_t>(*previous);
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

  Status DecodeFixedWhole() {
    std::string_view live;
    HR_RETURN_IF_ERROR(ReadBitmap(header_.row_count, &live));
    size_t in_run = 0;
    for (uint32_t i = 0; i < header_.row_count; ++i) {
      if (!Bit(live, i)) continue;
      if (in_run == kRunRows) {
        HR_RETURN_IF_ERROR(HandOn(std::exchange(in_run, 0)));
      }
      StoredRow& row = run_[in_run++];
      row.row = header_.first_row + i;
      HR_RETURN_IF_ERROR(in_.Raw(row_bytes_, &row.value));
    }
    return HandOn(in_run);
  }

  // Deltas are short.
  Status DecodeFixedDelta() {
    uint64_t changed = 0;
    HR_RETURN_IF_ERROR(in_.Count(/*bytes_each=*/1, &changed));
    std::vector<StoredRow> rows(changed);
    int64_t previous = -1;
    for (StoredRow& row : rows) HR_RETURN_IF_ERROR(ReadPosition(&previous, &row));
    std::string_view tombstones;
    HR_RETURN_IF_ERROR(ReadBitmap(changed, &tombstones));
    for (uint64_t i = 0; i < changed; ++i) {
      rows[i].tombstone = Bit(tombstones, i);
      if (!rows[i].tombstone) HR_RETURN_IF_ERROR(in_.Raw(row_bytes_, &rows[i].value));
    }
    return visit_(header_, rows.data(), static_cast<int64_t>(changed));
  }

  Status DecodeRows() {
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_.Count(/*bytes_each=*/2, &count));
    const char* const begin = payload_.data();
    const char* const end = begin + payload_.size();
    const char* at = begin + in_.offset();
    int64_t previous = -1;
    size_t in_run = 0;
    for (uint64_t i = 0; i < count; ++i) {
      if (in_run == kRunRows) {
        HR_RETURN_IF_ERROR(HandOn(std::exchange(in_run, 0)));
      }
      StoredRow* row = &run_[in_run++];
      const char* behind = at;
      if (end - at >= kRowStartBytes && TakeUsualRow(&behind, end, previous + 1, row)) {
        ++previous;
        at = behind;
        continue;
      }
      HR_RETURN_IF_ERROR(SkipTo(at));
      *row = StoredRow();
      HR_RETURN_IF_ERROR(ReadRow(&previous, row));
      at = begin + in_.offset();
    }
    HR_RETURN_IF_ERROR(SkipTo(at));
    return HandOn(in_run);
  }

  // What lies before `at` was read from the payload itself.
  Status SkipTo(const char* at) {
    std::string_view read;
    return in_.Raw(static_cast<size_t>(at - payload_.data()) - in_.offset(), &read);
  }

  Status ReadRow(int64_t* previous, StoredRow* row) {
    HR_RETURN_IF_ERROR(ReadPosition(previous, row));
    uint8_t flags = 0;
    HR_RETURN_IF_ERROR(in_.Fixed(&flags));
    if ((flags & ~kRowTombstone) || (header_.whole && flags != 0)) {
      return Malformed(in_, "unknown row flags " + std::to_string(flags));
    }
    row->tombstone = flags & kRowTombstone;
    return row->tombstone ? Status::Ok() : DecodeFields(row);
  }

  // The row at `position`, without any of ReadRow()'s tests but that it is one that they let pass:
  // live, next to the one before, of short fields. False where it is not, or may not be.
  bool TakeUsualRow(const char** at, const char* end, int64_t position, StoredRow* row) const {
    if ((*at)[0] != 0 || (*at)[1] != 0 || position >= int64_t{header_.row_count}) return false;
    *at += 2;
    row->row = header_.first_row + static_cast<uint32_t>(position);
    row->tombstone = false;
    uint64_t number = 0;
    if (kind_ == TableKind::kDictionary) {
      if (!TakeVarint(at, &number) || number > UINT16_MAX) return false;
      row->key_group = static_cast<uint16_t>(number);
      return TakeString(at, end, &row->value);
    }
    if (kind_ != TableKind::kRows || !TakeVarint(at, &number) || number > kRowsMax) return false;
    row->key = static_cast<uint32_t>(number);
    // Behind a namespace or a sub-key there may be less to read than a length takes.
    if ((*at)[0] == 0 && (*at)[1] == 0) {
      *at += 2;
      row->ns = {};
      row->sub_key = {};
      return TakeString(at, end, &row->value);
    }
    return TakeString(at, end, &row->ns) && end - *at >= kShortVarintBytes &&
           TakeString(at, end, &row->sub_key) && end - *at >= kShortVarintBytes &&
           TakeString(at, end, &row->value);
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
  const std::string_view payload_;
  ByteReader in_;
  const StoredRowsVisitor& visit_;
  StoredPartitionHeader header_;
  bool handed_on_ = false;
  StoredRow run_[kRunRows];
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
    out->Fixed<uint8_t>(row.tombstone ? kRowTombstone : 0);
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
  const StoredRowsVisitor keep = [&](const StoredPartitionHeader&, const StoredRow* rows,
                                     int64_t count) {
    partition.rows.insert(partition.rows.end(), rows, rows + count);
    return Status::Ok();
  };
  Decoder decoder(kind, row_bytes, payload, keep);
  HR_RETURN_IF_ERROR(decoder.ReadHeader(&partition));
  // No row takes less than a byte, few less than two.
  partition.rows.reserve(std::min<size_t>(partition.row_count, payload.size() / 2 + 1));
  HR_RETURN_IF_ERROR(decoder.ReadRows());
  return partition;
}

std::string EncodeStoredPartition(TableKind kind, const StoredPartition& partition) {
  ByteWriter out;
  out.Fixed<uint8_t>(partition.whole ? kWholePayload : 0);
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

Status VisitPartition(TableKind kind, uint32_t row_bytes, const std::vector<std::string>& payloads,
                      const StoredRowsVisitor& visit) {
  if (payloads.size() == 1) {
    Decoder decoder(kind, row_bytes, payloads[0], visit);
    StoredPartitionHeader header;
    const Status read = decoder.ReadHeader(&header);
    // MergePartition() tells what is wrong.
    if (read.ok() && header.whole) return decoder.ReadRows();
  }
  HR_ASSIGN_OR_RETURN(const StoredPartition merged, MergePartition(kind, row_bytes, payloads));
  return visit(merged, merged.rows.data(), static_cast<int64_t>(merged.rows.size()));
}

}  // namespace headrace
