#include "headrace/runtime/event_time_column.h"

#include <string>

namespace headrace {

namespace {

// How a stored value becomes milliseconds.
struct Unit {
  int64_t multiply = 1;
  int64_t divide = 1;
};

// Arrow timestamps are "ts" + unit + ":" + zone.
Unit UnitOf(const DataType& type) {
  if (type.kind() != TypeKind::kTimestamp || type.arrow_format().size() < 3) return {};
  switch (type.arrow_format()[2]) {
    case 's': return {1000, 1};
    case 'u': return {1, 1000};
    case 'n': return {1, 1'000'000};
    default: return {};
  }
}

int64_t FloorDivide(int64_t value, int64_t divisor) {
  const int64_t quotient = value / divisor;
  return value % divisor < 0 ? quotient - 1 : quotient;
}

}  // namespace

Status SetEventTime(int index, RecordBatch* batch) {
  if (index < 0 || index >= static_cast<int>(batch->columns.size())) {
    return Status::InvalidArgument("event-time column " + std::to_string(index) +
                                   " does not exist: the batch has " +
                                   std::to_string(batch->columns.size()) + " columns");
  }
  const Column& column = *batch->columns[index];
  if (column.type->kind() != TypeKind::kInt64 && column.type->kind() != TypeKind::kTimestamp) {
    const std::string name =
        batch->schema ? batch->schema->fields()[index].name : std::to_string(index);
    return Status::InvalidArgument("event-time field '" + name + "' has type " +
                                   column.type->ToString() +
                                   "; it must be int64 (milliseconds) or a timestamp");
  }
  const Unit unit = UnitOf(*column.type);
  if (!column.validity && unit.multiply == 1 && unit.divide == 1) {
    batch->timestamps = column.values;
    batch->timestamps_offset = column.offset;
    return Status::Ok();
  }
  auto buffer = Buffer::Allocate(batch->num_rows * sizeof(TimestampMs));
  auto* to = reinterpret_cast<TimestampMs*>(buffer->mutable_data());
  const int64_t* from = column.Values<int64_t>();
  for (int64_t i = 0; i < batch->num_rows; ++i) {
    to[i] = column.IsNull(i) ? kNoTimestamp : FloorDivide(from[i], unit.divide) * unit.multiply;
  }
  batch->timestamps = std::move(buffer);
  batch->timestamps_offset = 0;
  return Status::Ok();
}

}  // namespace headrace
