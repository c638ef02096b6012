#include "headrace/state/state_table_snapshots.h"

#include <bit>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/planted_bug.h"
#include "headrace/state/key_row.h"
#include "headrace/state/row_blob.h"
#include "headrace/state/row_partition_writer.h"
#include "headrace/state/timer_row.h"
#include "headrace/types/value_codec.h"

namespace headrace {

namespace {

void ForgetTombstones(PartitionRows* rows) {
  rows->changed_count = 0;
  for (size_t word = 0; word < rows->changed.size(); ++word) {
    rows->changed[word] &= rows->live[word];
    rows->changed_count += static_cast<uint32_t>(std::popcount(rows->changed[word]));
  }
}

}  // namespace

PagedTableSnapshotAdapter::PagedTableSnapshotAdapter(TableMeta meta,
                                                     std::shared_ptr<PagedTableSnapshot> pages,
                                                     uint32_t row_bytes, uint64_t live_bytes)
    : row_bytes_(row_bytes),
      meta_(std::move(meta)),
      pages_(std::move(pages)),
      live_bytes_(live_bytes) {
  meta_.partition_rows = pages_->partition_rows();
}

Status PagedTableSnapshotAdapter::ReadPartition(uint32_t index, bool want_whole,
                                                PartitionImage* out) {
  HR_RETURN_IF_ERROR(pages_->ReadPartition(index, &rows_));
  *out = {};
  const bool long_run = meta_.kind == TableKind::kTimers && pages_->epoch() > 2;
  if (Planted(PlantedBug::kTombstoneOmitted) && long_run) ForgetTombstones(&rows_);
  out->changed_rows = rows_.changed_count;
  out->whole = want_whole || full() ||
               (rows_.changed_count > 0 && uint64_t{rows_.changed_count} * 4 >= rows_.live_count);
  if (out->whole) LeaveOut(&rows_);
  out->live_rows = rows_.live_count;
  if (out->whole || rows_.changed_count > 0) out->payload = Encode(rows_, out->whole);
  return Status::Ok();
}

FixedTableSnapshot::FixedTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages)
    : PagedTableSnapshotAdapter(meta, pages, meta.row_bytes,
                                static_cast<uint64_t>(pages->live_rows()) * meta.row_bytes) {}

std::string FixedTableSnapshot::Encode(const PartitionRows& rows, bool whole) const {
  return EncodeFixedPartition(rows, row_bytes_, whole);
}

namespace {

// What a length and a tag take in front of bytes.
constexpr size_t kFieldBytes = kVarintBytesMax + 1;

// AppendDictionaryFields() of rows of a key dictionary.
struct KeyFields {
  size_t BytesMax(const char* row) const {
    const auto* key = reinterpret_cast<const KeyRow*>(row);
    return 3 * kFieldBytes + (key->form == KeyForm::kInt ? 0 : key->bytes->size_bytes);
  }

  char* Put(const char* row, char* at) const {
    const auto* key = reinterpret_cast<const KeyRow*>(row);
    at = PutVarint(key->key_group, at);
    if (key->form == KeyForm::kBytes) return PutString(key->bytes->bytes(), at);
    char* const size = at++;
    if (key->form == KeyForm::kInt) {
      *at++ = static_cast<char>(ValueTag::kInt);
      at = PutMixedVarint(ZigZagOf(key->number), at);
      *size = static_cast<char>(at - size - 1);
      return at;
    }
    // The length of a length: the canonical bytes of a str begin with its own.
    char utf8_size[kVarintBytesMax];
    const std::string_view utf8 = key->bytes->bytes();
    const auto size_bytes = static_cast<size_t>(PutVarint(utf8.size(), utf8_size) - utf8_size);
    at = PutVarint(1 + size_bytes + utf8.size(), size);
    *at++ = static_cast<char>(ValueTag::kStr);
    return PutString(utf8, at);
  }
};

// AppendRowFields() of rows that are blobs.
struct BlobFields {
  static const RowBlob& BlobOf(const char* row) {
    return **reinterpret_cast<const RowBlob* const*>(row);
  }
  size_t BytesMax(const char* row) const {
    const RowBlob& blob = BlobOf(row);
    return 4 * kFieldBytes + size_t{blob.ns_bytes} + blob.sub_key_bytes + blob.value_bytes;
  }
  char* Put(const char* row, char* at) const {
    const RowBlob& blob = BlobOf(row);
    at = PutMixedVarint(blob.key, at);
    at = PutString(blob.ns(), at);
    at = PutString(blob.sub_key(), at);
    return PutString(blob.value(), at);
  }
};

class TimerFields final : public RowFieldWriter {
 public:
  void Append(const char* row, ByteWriter* out) const override {
    const auto* timer = reinterpret_cast<const TimerRow*>(row);
    AppendTimerFields(timer->domain(), timer->key, timer->ns(), timer->time, out);
  }
};

}  // namespace

DictionaryTableSnapshot::DictionaryTableSnapshot(TableMeta meta,
                                                 std::shared_ptr<PagedTableSnapshot> pages,
                                                 int64_t live_bytes,
                                                 std::shared_ptr<const KeyArena> arena)
    : PagedTableSnapshotAdapter(std::move(meta), std::move(pages), sizeof(KeyRow),
                                static_cast<uint64_t>(live_bytes)),
      arena_(std::move(arena)) {}

std::string DictionaryTableSnapshot::Encode(const PartitionRows& rows, bool whole) const {
  return PutRowPartition(rows, row_bytes_, whole, KeyFields(), &room_);
}

RowTableSnapshot::RowTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                                   int64_t live_bytes, std::optional<int64_t> left_out_until_ms)
    : PagedTableSnapshotAdapter(std::move(meta), std::move(pages), sizeof(RowBlob*),
                                static_cast<uint64_t>(live_bytes)),
      left_out_until_ms_(left_out_until_ms) {}

void RowTableSnapshot::LeaveOut(PartitionRows* rows) const {
  // Rows lie anywhere in memory; all of the partition are asked for before the first is read.
  for (uint32_t i = 0; i < rows->row_count; ++i) {
    if (!rows->IsLive(i)) continue;
    const char* row = rows->content.data() + size_t{i} * row_bytes_;
    __builtin_prefetch(*reinterpret_cast<const RowBlob* const*>(row));
  }
  if (!left_out_until_ms_) return;
  for (uint32_t i = 0; i < rows->row_count; ++i) {
    if (!rows->IsLive(i)) continue;
    const char* row = rows->content.data() + size_t{i} * row_bytes_;
    const std::string_view value = (*reinterpret_cast<const RowBlob* const*>(row))->value();
    int64_t time_ms = 0;
    ByteReader in(value);
    if (!in.Fixed(&time_ms).ok() || time_ms > *left_out_until_ms_) continue;
    rows->live[i >> 6] &= ~(uint64_t{1} << (i & 63));
    --rows->live_count;
  }
}

std::string RowTableSnapshot::Encode(const PartitionRows& rows, bool whole) const {
  return PutRowPartition(rows, row_bytes_, whole, BlobFields(), &room_);
}

TimerTableSnapshot::TimerTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                                       int64_t live_bytes)
    : PagedTableSnapshotAdapter(std::move(meta), std::move(pages), sizeof(TimerRow),
                                static_cast<uint64_t>(live_bytes)) {}

std::string TimerTableSnapshot::Encode(const PartitionRows& rows, bool whole) const {
  return EncodeRowPartition(rows, row_bytes_, whole, TimerFields());
}

}  // namespace headrace
