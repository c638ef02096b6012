#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "headrace/types/column.h"
#include "headrace/types/schema.h"

namespace headrace {

/// Milliseconds since 1970-01-01 UTC.
using TimestampMs = int64_t;
inline constexpr TimestampMs kNoTimestamp = std::numeric_limits<int64_t>::min();

/// What flows: columns of equal length, and optionally an event time and a key for each row.
///
/// `key` is set by a key_by and read by the next keyed operator: a column of any kind (struct for
/// keys of several fields). It may be one of `columns`.
/// Threading: immutable, passed by value (a few shared pointers).
struct RecordBatch {
  SchemaPtr schema;
  int64_t num_rows = 0;
  std::vector<ColumnPtr> columns;
  BufferPtr timestamps;           ///< int64 a row, or null: no event time
  int64_t timestamps_offset = 0;  ///< row of `timestamps` that belongs to row 0
  ColumnPtr key;                  ///< or null

  const TimestampMs* Timestamps() const {
    return timestamps ? reinterpret_cast<const TimestampMs*>(timestamps->data()) + timestamps_offset
                      : nullptr;
  }
  TimestampMs TimestampAt(int64_t row) const {
    return timestamps ? Timestamps()[row] : kNoTimestamp;
  }
  RecordBatch Slice(int64_t start, int64_t count) const;
  Result<RecordBatch> Take(const int32_t* rows, int64_t count) const;
  int64_t SizeBytes() const;
};

}  // namespace headrace
