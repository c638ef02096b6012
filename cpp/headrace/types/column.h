#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "headrace/types/data_type.h"
#include "headrace/types/object_block.h"

namespace headrace {

/// Bytes with a shared owner: memory of our own or of an imported Arrow array. Immutable once
/// shared. `data()` is never null.
class Buffer {
 public:
  /// Takes part of somebody's memory; `owner` keeps it alive.
  Buffer(const void* data, size_t size_bytes, std::shared_ptr<const void> owner)
      : data_(static_cast<const uint8_t*>(data)),
        size_bytes_(size_bytes),
        owner_(std::move(owner)) {}
  /// Owned, 64-byte aligned, uninitialised memory from the batch pool (freed memory is reused).
  static std::shared_ptr<Buffer> Allocate(size_t size_bytes);

  const uint8_t* data() const { return data_; }
  /// REQUIRES: made by Allocate and not yet shared.
  uint8_t* mutable_data() { return const_cast<uint8_t*>(data_); }
  size_t size_bytes() const { return size_bytes_; }

 private:
  const uint8_t* data_;
  size_t size_bytes_;
  std::shared_ptr<const void> owner_;
};
using BufferPtr = std::shared_ptr<const Buffer>;

class Column;
using ColumnPtr = std::shared_ptr<const Column>;

/// One column of a batch in Arrow layout. `offset` counts values, as in Arrow; slices share
/// buffers.
///
/// Object columns have no buffers but `objects` and, after a selection, `object_rows` (int32 row
/// numbers into the block, Column::offset applies to it); without `object_rows` value i is
/// objects->at(offset + i). An object column of nothing but nulls may have no block. The offset of
/// a struct counts for its children too: row i is row `offset` + i of each child. Columns of kNull
/// always have a validity bitmap.
/// Threading: immutable.
class Column {
 public:
  DataTypePtr type;
  int64_t length = 0;
  int64_t offset = 0;
  BufferPtr validity;               ///< bitmap, null = all valid
  BufferPtr values;                 ///< fixed-width values, bits of a bool, offsets (string, list)
  BufferPtr data;                   ///< bytes of string and binary
  std::vector<ColumnPtr> children;  ///< struct, list, map
  ColumnPtr dictionary;             ///< kDictionary
  ObjectBlockPtr objects;           ///< kObject
  BufferPtr object_rows;            ///< kObject after a selection
  std::shared_ptr<const void> foreign;  ///< kForeign: the imported array

  bool IsNull(int64_t i) const {
    if (!validity) return false;
    const int64_t bit = offset + i;
    return ((validity->data()[bit >> 3] >> (bit & 7)) & 1) == 0;
  }
  /// Pointer to value 0 of this slice. REQUIRES: fixed-width kind with sizeof(T) bytes.
  template <typename T>
  const T* Values() const {
    return reinterpret_cast<const T*>(values->data()) + offset;
  }
  bool BoolAt(int64_t i) const {
    const int64_t bit = offset + i;
    return (values->data()[bit >> 3] >> (bit & 7)) & 1;
  }
  /// REQUIRES: kString or kBinary.
  std::string_view StringAt(int64_t i) const {
    const auto* ends = reinterpret_cast<const int32_t*>(values->data()) + offset + i;
    return {reinterpret_cast<const char*>(data->data()) + ends[0],
            static_cast<size_t>(ends[1] - ends[0])};
  }
  /// Borrowed. REQUIRES: kObject.
  Object ObjectAt(int64_t i) const {
    const int64_t row = offset + i;
    return objects->at(object_rows ? reinterpret_cast<const int32_t*>(object_rows->data())[row]
                                   : row);
  }

  /// Rows [start, start + count) sharing all memory.
  static ColumnPtr Slice(const ColumnPtr& column, int64_t start, int64_t count);
  /// The rows at `rows`, in that order; object columns share their block. kUnimplemented for
  /// kForeign.
  static Result<ColumnPtr> Take(const ColumnPtr& column, const int32_t* rows, int64_t count);
  /// Rows of several columns of one type behind each other.
  static Result<ColumnPtr> Concat(const std::vector<ColumnPtr>& parts);
  /// A dictionary column as plain values; any other column as it is.
  static Result<ColumnPtr> DecodeDictionary(const ColumnPtr& column);
  /// Rough bytes held by this slice, for channel budgets.
  static int64_t SizeBytes(const Column& column);

  /// `length` nulls of any type but kForeign.
  static Result<ColumnPtr> OfNulls(const DataTypePtr& type, int64_t length);
  static ColumnPtr OfObjects(ObjectBlockPtr block);
  static ColumnPtr OfFixed(DataTypePtr type, int64_t length, BufferPtr values,
                           BufferPtr validity = nullptr);
};

}  // namespace headrace
