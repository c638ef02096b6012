#include "headrace/types/column.h"

#include <algorithm>
#include <limits>

#include "headrace/base/check.h"
#include "headrace/types/bitmap.h"
#include "headrace/types/dictionary_index.h"

namespace headrace {
namespace {

// What an opaque value may weigh: the core cannot look inside, and budgets only need the magnitude.
constexpr int64_t kObjectBytes = 64;
constexpr int64_t kForeignBytes = 32;

const int32_t* Offsets(const Column& column) {
  return reinterpret_cast<const int32_t*>(column.values->data()) + column.offset;
}

/// Bytes of rows [start, start + count), counted from the column's own offset.
int64_t RangeBytes(const Column& column, int64_t start, int64_t count) {
  if (count == 0) return 0;
  int64_t bytes = column.validity ? BitmapBytes(count) : 0;
  switch (column.type->kind()) {
    case TypeKind::kNull:
      break;
    case TypeKind::kBool:
      bytes += BitmapBytes(count);
      break;
    case TypeKind::kString:
    case TypeKind::kBinary: {
      const int32_t* ends = Offsets(column) + start;
      bytes += 4 * count + (ends[count] - ends[0]);
      break;
    }
    case TypeKind::kList:
    case TypeKind::kMap: {
      const int32_t* ends = Offsets(column) + start;
      bytes += 4 * count + RangeBytes(*column.children[0], ends[0], ends[count] - ends[0]);
      break;
    }
    case TypeKind::kStruct:
      for (const ColumnPtr& child : column.children) {
        bytes += RangeBytes(*child, column.offset + start, count);
      }
      break;
    case TypeKind::kDictionary: {
      bytes += column.type->fixed_width() * count;
      // Slices share the dictionary; each pays no more than its share of it.
      const int64_t entries = column.dictionary->length;
      bytes += RangeBytes(*column.dictionary, 0, std::min(entries, count));
      break;
    }
    case TypeKind::kForeign:
      bytes += kForeignBytes * count;
      break;
    case TypeKind::kObject:
      bytes += kObjectBytes * count;
      break;
    default:
      bytes += column.type->fixed_width() * count;
  }
  return bytes;
}

}  // namespace

ColumnPtr Column::Slice(const ColumnPtr& column, int64_t start, int64_t count) {
  HR_CHECK(start >= 0 && count >= 0 && start + count <= column->length);
  if (start == 0 && count == column->length) return column;
  auto slice = std::make_shared<Column>(*column);
  slice->offset += start;
  slice->length = count;
  return slice;
}

int64_t Column::SizeBytes(const Column& column) { return RangeBytes(column, 0, column.length); }

ColumnPtr Column::OfObjects(ObjectBlockPtr block) {
  auto column = std::make_shared<Column>();
  column->type = ObjectType();
  column->length = static_cast<int64_t>(block->size());
  column->objects = std::move(block);
  return column;
}

ColumnPtr Column::OfFixed(DataTypePtr type, int64_t length, BufferPtr values, BufferPtr validity) {
  auto column = std::make_shared<Column>();
  column->type = std::move(type);
  column->length = length;
  column->values = std::move(values);
  column->validity = std::move(validity);
  return column;
}

Result<ColumnPtr> Column::DecodeDictionary(const ColumnPtr& column) {
  if (column->type->kind() != TypeKind::kDictionary) return column;
  const int64_t length = column->length;
  const int64_t entries = column->dictionary->length;
  if (entries > std::numeric_limits<int32_t>::max()) {
    return Status::Unimplemented("dictionaries of more than 2^31 entries");
  }
  // Row 0 of the dictionary stands in for nulls; with an empty dictionary all rows must be null.
  auto rows = Buffer::Allocate(static_cast<size_t>(length) * sizeof(int32_t));
  auto* row = reinterpret_cast<int32_t*>(rows->mutable_data());
  for (int64_t i = 0; i < length; ++i) {
    if (column->IsNull(i)) {
      row[i] = 0;
      continue;
    }
    const int64_t index = DictionaryIndexAt(*column, i);
    if (index < 0 || index >= entries) {
      return Status::InvalidArgument("row " + std::to_string(i) + " has dictionary index " +
                                     std::to_string(index) + ", but the dictionary has " +
                                     std::to_string(entries) + " entries");
    }
    row[i] = static_cast<int32_t>(index);
  }
  ColumnPtr plain;
  if (entries == 0) {
    HR_ASSIGN_OR_RETURN(plain, OfNulls(column->dictionary->type, length));
    return plain;
  }
  HR_ASSIGN_OR_RETURN(plain, Take(column->dictionary, row, length));
  if (!column->validity) return DecodeDictionary(plain);
  auto merged = std::make_shared<Column>(*plain);
  auto validity = MakeBitmap(merged->offset + length, false);
  for (int64_t i = 0; i < length; ++i) {
    SetBitTo(validity->mutable_data(), merged->offset + i, !column->IsNull(i) && !plain->IsNull(i));
  }
  merged->validity = std::move(validity);
  return DecodeDictionary(merged);
}

}  // namespace headrace
