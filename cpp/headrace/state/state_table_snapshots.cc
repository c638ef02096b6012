#include "headrace/state/state_table_snapshots.h"

#include <bit>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/planted_bug.h"
#include "headrace/state/key_row.h"
#include "headrace/state/row_blob.h"
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

std::string VariableTableSnapshot::Encode(const PartitionRows& rows, bool whole) const {
  return EncodeRowPartition(rows, row_bytes_, whole, *this);
}

namespace {

char* PutVarint(uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

// AppendDictionaryFields() of the kind that most keys are of, at once: byte by byte it took a fifth
// of the time of a checkpoint.
void AppendIntKey(const KeyRow& row, ByteWriter* out) {
  char fields[24];
  char* const size = PutVarint(row.key_group, fields);
  size[1] = static_cast<char>(ValueTag::kInt);
  char* const end = PutVarint(ZigZagOf(row.number), size + 2);
  size[0] = static_cast<char>(end - size - 1);
  out->Raw({fields, static_cast<size_t>(end - fields)});
}

}  // namespace

DictionaryTableSnapshot::DictionaryTableSnapshot(TableMeta meta,
                                                 std::shared_ptr<PagedTableSnapshot> pages,
                                                 int64_t live_bytes,
                                                 std::shared_ptr<const KeyArena> arena)
    : VariableTableSnapshot(std::move(meta), std::move(pages), sizeof(KeyRow),
                            static_cast<uint64_t>(live_bytes)),
      arena_(std::move(arena)) {}

void DictionaryTableSnapshot::Append(const char* row, ByteWriter* out) const {
  const auto* key_row = reinterpret_cast<const KeyRow*>(row);
  if (key_row->form == KeyForm::kInt) return AppendIntKey(*key_row, out);
  ByteWriter canonical;
  key_row->key().Encode(&canonical);
  AppendDictionaryFields(key_row->key_group, canonical.view(), out);
}

RowTableSnapshot::RowTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                                   int64_t live_bytes, std::optional<int64_t> left_out_until_ms)
    : VariableTableSnapshot(std::move(meta), std::move(pages), sizeof(RowBlob*),
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

void RowTableSnapshot::Append(const char* row, ByteWriter* out) const {
  const RowBlob* blob = *reinterpret_cast<const RowBlob* const*>(row);
  AppendRowFields(blob->key, blob->ns(), blob->sub_key(), blob->value(), out);
}

TimerTableSnapshot::TimerTableSnapshot(TableMeta meta, std::shared_ptr<PagedTableSnapshot> pages,
                                       int64_t live_bytes)
    : VariableTableSnapshot(std::move(meta), std::move(pages), sizeof(TimerRow),
                            static_cast<uint64_t>(live_bytes)) {}

void TimerTableSnapshot::Append(const char* row, ByteWriter* out) const {
  const auto* timer = reinterpret_cast<const TimerRow*>(row);
  AppendTimerFields(timer->domain(), timer->key, timer->ns(), timer->time, out);
}

}  // namespace headrace
