#include <cstring>
#include <limits>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/types/bitmap.h"
#include "headrace/types/column.h"

namespace headrace {
namespace {

struct Fixed16 {
  uint64_t words[2];
};

template <typename T>
BufferPtr TakeValues(const Column& column, const int32_t* rows, int64_t count) {
  auto buffer = Buffer::Allocate(static_cast<size_t>(count) * sizeof(T));
  T* to = reinterpret_cast<T*>(buffer->mutable_data());
  const T* from = column.Values<T>();
  for (int64_t i = 0; i < count; ++i) to[i] = from[rows[i]];
  return buffer;
}

BufferPtr TakeFixed(const Column& column, const int32_t* rows, int64_t count) {
  switch (column.type->fixed_width()) {
    case 1:
      return TakeValues<uint8_t>(column, rows, count);
    case 2:
      return TakeValues<uint16_t>(column, rows, count);
    case 4:
      return TakeValues<uint32_t>(column, rows, count);
    case 8:
      return TakeValues<uint64_t>(column, rows, count);
    default:
      HR_CHECK_EQ(column.type->fixed_width(), 16);
      return TakeValues<Fixed16>(column, rows, count);
  }
}

Status TooMuch(const char* what) {
  return Status::ResourceExhausted(std::string("a batch cannot hold more than 2^31 ") + what +
                                   " in one column: use smaller batches");
}

Status TakeStrings(const Column& column, const int32_t* rows, int64_t count, Column* out) {
  const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset;
  auto offsets = Buffer::Allocate(static_cast<size_t>(count + 1) * sizeof(int32_t));
  auto* end = reinterpret_cast<int32_t*>(offsets->mutable_data());
  int64_t total = 0;
  end[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    total += ends[rows[i] + 1] - ends[rows[i]];
    // Wraps when the total does; refused below before anyone reads it.
    end[i + 1] = static_cast<int32_t>(total);
  }
  if (total > std::numeric_limits<int32_t>::max()) return TooMuch("bytes");
  auto bytes = Buffer::Allocate(static_cast<size_t>(total));
  uint8_t* to = bytes->mutable_data();
  const uint8_t* from = column.data->data();
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + end[i], from + ends[rows[i]], static_cast<size_t>(end[i + 1] - end[i]));
  }
  out->values = std::move(offsets);
  out->data = std::move(bytes);
  return Status::Ok();
}

Status TakeLists(const Column& column, const int32_t* rows, int64_t count, Column* out) {
  const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset;
  auto offsets = Buffer::Allocate(static_cast<size_t>(count + 1) * sizeof(int32_t));
  auto* end = reinterpret_cast<int32_t*>(offsets->mutable_data());
  std::vector<int32_t> items;
  end[0] = 0;
  for (int64_t i = 0; i < count; ++i) {
    for (int32_t item = ends[rows[i]]; item < ends[rows[i] + 1]; ++item) items.push_back(item);
    if (items.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
      return TooMuch("items");
    }
    end[i + 1] = static_cast<int32_t>(items.size());
  }
  HR_ASSIGN_OR_RETURN(ColumnPtr child, Column::Take(column.children[0], items.data(),
                                                    static_cast<int64_t>(items.size())));
  out->values = std::move(offsets);
  out->children = {std::move(child)};
  return Status::Ok();
}

Status TakeStructs(const Column& column, const int32_t* rows, int64_t count, Column* out) {
  std::vector<int32_t> shifted;
  if (column.offset != 0) {
    // The rows of children count from their own start, not from the slice of the parent.
    if (column.offset + column.length > std::numeric_limits<int32_t>::max()) return TooMuch("rows");
    shifted.resize(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      shifted[static_cast<size_t>(i)] = static_cast<int32_t>(rows[i] + column.offset);
    }
    rows = shifted.data();
  }
  for (const ColumnPtr& child : column.children) {
    HR_ASSIGN_OR_RETURN(ColumnPtr taken, Column::Take(child, rows, count));
    out->children.push_back(std::move(taken));
  }
  return Status::Ok();
}

Status TakeObjects(const Column& column, const int32_t* rows, int64_t count, Column* out) {
  out->objects = column.objects;
  auto selected = Buffer::Allocate(static_cast<size_t>(count) * sizeof(int32_t));
  auto* to = reinterpret_cast<int32_t*>(selected->mutable_data());
  if (column.object_rows) {
    const auto* from = reinterpret_cast<const int32_t*>(column.object_rows->data()) + column.offset;
    for (int64_t i = 0; i < count; ++i) to[i] = from[rows[i]];
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int32_t>(column.offset + rows[i]);
  }
  out->object_rows = std::move(selected);
  return Status::Ok();
}

}  // namespace

Result<ColumnPtr> Column::Take(const ColumnPtr& column, const int32_t* rows, int64_t count) {
  auto out = std::make_shared<Column>();
  out->type = column->type;
  out->length = count;
  if (column->validity) {
    out->validity = TakeBits(column->validity->data(), column->offset, rows, count);
  }
  switch (column->type->kind()) {
    case TypeKind::kNull:
      break;
    case TypeKind::kBool:
      out->values = TakeBits(column->values->data(), column->offset, rows, count);
      break;
    case TypeKind::kString:
    case TypeKind::kBinary:
      HR_RETURN_IF_ERROR(TakeStrings(*column, rows, count, out.get()));
      break;
    case TypeKind::kList:
    case TypeKind::kMap:
      HR_RETURN_IF_ERROR(TakeLists(*column, rows, count, out.get()));
      break;
    case TypeKind::kStruct:
      HR_RETURN_IF_ERROR(TakeStructs(*column, rows, count, out.get()));
      break;
    case TypeKind::kForeign:
      return Status::Unimplemented("selecting rows of a column of type " +
                                   column->type->ToString() +
                                   ": cast it to a supported type first");
    case TypeKind::kObject:
      HR_RETURN_IF_ERROR(TakeObjects(*column, rows, count, out.get()));
      break;
    case TypeKind::kDictionary:
      out->dictionary = column->dictionary;
      out->values = TakeFixed(*column, rows, count);
      break;
    default:
      out->values = TakeFixed(*column, rows, count);
  }
  return ColumnPtr(std::move(out));
}

}  // namespace headrace
