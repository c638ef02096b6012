#include "headrace/runtime/batch_concat.h"

#include <cstring>
#include <utility>

namespace headrace {

namespace {

// Index of the column that is also the key, or -1.
int KeyColumn(const RecordBatch& batch) {
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    if (batch.columns[i] == batch.key) return static_cast<int>(i);
  }
  return -1;
}

Result<ColumnPtr> CopyColumn(const ColumnPtr& column) {
  if (!column || column->type->kind() != TypeKind::kObject) return column;
  ObjectHooks* hooks = column->objects->hooks();
  std::vector<Object> copies;
  copies.reserve(column->length);
  for (int64_t i = 0; i < column->length; ++i) {
    Result<Object> copy = hooks->CopyForFanOut(column->ObjectAt(i));
    if (!copy.ok()) {
      hooks->Drop(std::move(copies));
      return copy.status();
    }
    copies.push_back(*copy);
  }
  auto block = std::make_shared<const ObjectBlock>(hooks, std::move(copies));
  ColumnPtr copied = Column::OfObjects(std::move(block));
  if (!column->validity) return copied;
  auto with_nulls = std::make_shared<Column>(*copied);
  HR_ASSIGN_OR_RETURN(const ColumnPtr plain, Column::Concat({column}));
  with_nulls->validity = plain->offset == 0 ? plain->validity : nullptr;
  return ColumnPtr(with_nulls);
}

}  // namespace

Result<RecordBatch> ConcatBatches(const std::vector<RecordBatch>& parts) {
  if (parts.size() == 1) return parts[0];
  RecordBatch out;
  out.schema = parts[0].schema;
  for (const RecordBatch& part : parts) out.num_rows += part.num_rows;
  std::vector<ColumnPtr> pieces(parts.size());
  for (size_t c = 0; c < parts[0].columns.size(); ++c) {
    for (size_t p = 0; p < parts.size(); ++p) pieces[p] = parts[p].columns[c];
    HR_ASSIGN_OR_RETURN(ColumnPtr column, Column::Concat(pieces));
    out.columns.push_back(std::move(column));
  }
  if (parts[0].timestamps) {
    auto buffer = Buffer::Allocate(out.num_rows * sizeof(TimestampMs));
    auto* to = reinterpret_cast<TimestampMs*>(buffer->mutable_data());
    for (const RecordBatch& part : parts) {
      for (int64_t i = 0; i < part.num_rows; ++i) *to++ = part.TimestampAt(i);
    }
    out.timestamps = std::move(buffer);
  }
  if (parts[0].key) {
    const int key_column = KeyColumn(parts[0]);
    bool same_everywhere = key_column >= 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      pieces[p] = parts[p].key;
      same_everywhere = same_everywhere && parts[p].columns[key_column] == parts[p].key;
    }
    if (same_everywhere) {
      out.key = out.columns[key_column];
    } else {
      HR_ASSIGN_OR_RETURN(out.key, Column::Concat(pieces));
    }
  }
  return out;
}

Result<RecordBatch> CopyMutableObjects(const RecordBatch& batch) {
  RecordBatch out = batch;
  const int key_column = KeyColumn(batch);
  for (ColumnPtr& column : out.columns) {
    HR_ASSIGN_OR_RETURN(column, CopyColumn(column));
  }
  // Keys are hashable and so never changed by user code: a key that is no column stays shared.
  if (key_column >= 0) out.key = out.columns[key_column];
  return out;
}

}  // namespace headrace
