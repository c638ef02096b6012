#include "headrace/types/batch.h"

#include "headrace/base/check.h"

namespace headrace {

RecordBatch RecordBatch::Slice(int64_t start, int64_t count) const {
  HR_CHECK(start >= 0 && count >= 0 && start + count <= num_rows);
  if (start == 0 && count == num_rows) return *this;
  RecordBatch out;
  out.schema = schema;
  out.num_rows = count;
  out.columns.reserve(columns.size());
  for (const ColumnPtr& column : columns) {
    out.columns.push_back(Column::Slice(column, start, count));
    // A key that is one of the columns stays the same column.
    if (column == key) out.key = out.columns.back();
  }
  if (key && !out.key) out.key = Column::Slice(key, start, count);
  out.timestamps = timestamps;
  out.timestamps_offset = timestamps ? timestamps_offset + start : 0;
  return out;
}

Result<RecordBatch> RecordBatch::Take(const int32_t* rows, int64_t count) const {
  RecordBatch out;
  out.schema = schema;
  out.num_rows = count;
  out.columns.reserve(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) {
    auto taken = Column::Take(columns[i], rows, count);
    if (!taken.ok()) {
      return taken.status().WithContext("field '" + schema->fields()[i].name + "'");
    }
    out.columns.push_back(std::move(taken).value());
    if (columns[i] == key) out.key = out.columns.back();
  }
  if (key && !out.key) {
    HR_ASSIGN_OR_RETURN(out.key, Column::Take(key, rows, count));
  }
  if (timestamps) {
    auto buffer = Buffer::Allocate(static_cast<size_t>(count) * sizeof(TimestampMs));
    auto* to = reinterpret_cast<TimestampMs*>(buffer->mutable_data());
    const TimestampMs* from = Timestamps();
    for (int64_t i = 0; i < count; ++i) to[i] = from[rows[i]];
    out.timestamps = std::move(buffer);
  }
  return out;
}

int64_t RecordBatch::SizeBytes() const {
  int64_t bytes = timestamps ? num_rows * static_cast<int64_t>(sizeof(TimestampMs)) : 0;
  bool key_counted = key == nullptr;
  for (const ColumnPtr& column : columns) {
    bytes += Column::SizeBytes(*column);
    key_counted = key_counted || column == key;
  }
  if (!key_counted) bytes += Column::SizeBytes(*key);
  return bytes;
}

}  // namespace headrace
