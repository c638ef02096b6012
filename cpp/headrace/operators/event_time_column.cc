#include "headrace/operators/event_time_column.h"

namespace headrace {
namespace {

/// Milliseconds a unit: positive = multiply, negative = divide by, 0 = not a unit.
int64_t MsFactor(const DataType& type) {
  if (type.kind() == TypeKind::kInt64) return 1;
  if (type.kind() != TypeKind::kTimestamp || type.arrow_format().size() < 3) return 0;
  switch (type.arrow_format()[2]) {
    case 's':
      return 1000;
    case 'm':
      return 1;
    case 'u':
      return -1000;
    case 'n':
      return -1000000;
    default:
      return 0;
  }
}

int64_t FloorDivide(int64_t value, int64_t by) { return value / by - (value % by < 0 ? 1 : 0); }

}  // namespace

Status CheckEventTimeType(const Field& field) {
  if (MsFactor(*field.type) != 0) return Status::Ok();
  return Status::InvalidArgument("field '" + field.name + "' of type " + field.type->ToString() +
                                 " cannot be the event time: it takes int64 (milliseconds) or a "
                                 "timestamp");
}

Result<RecordBatch> WithEventTimesFrom(RecordBatch batch, int column_index) {
  const ColumnPtr& column = batch.columns[static_cast<size_t>(column_index)];
  const Field& field = batch.schema->fields()[static_cast<size_t>(column_index)];
  HR_RETURN_IF_ERROR(CheckEventTimeType(Field{field.name, column->type, true}));
  if (column->validity) {
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      if (!column->IsNull(row)) continue;
      return Status::InvalidArgument("event time field '" + field.name + "' is null in row " +
                                     std::to_string(row) + " of a batch");
    }
  }
  const int64_t factor = MsFactor(*column->type);
  if (factor == 1) {
    batch.timestamps = column->values;
    batch.timestamps_offset = column->offset;
    return batch;
  }
  auto buffer = Buffer::Allocate(static_cast<size_t>(batch.num_rows) * sizeof(TimestampMs));
  auto* times = reinterpret_cast<TimestampMs*>(buffer->mutable_data());
  const auto* values = column->Values<int64_t>();
  for (int64_t row = 0; row < batch.num_rows; ++row) {
    if (factor < 0) {
      times[row] = FloorDivide(values[row], -factor);
    } else if (__builtin_mul_overflow(values[row], factor, &times[row])) {
      return Status::InvalidArgument("event time field '" + field.name +
                                     "': " + std::to_string(values[row]) + " s is out of range");
    }
  }
  batch.timestamps = std::move(buffer);
  batch.timestamps_offset = 0;
  return batch;
}

}  // namespace headrace
