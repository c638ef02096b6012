#pragma once

#include <cstdint>
#include <vector>

#include "headrace/types/batch.h"

namespace headrace {

/// Some rows of a batch on their way to one consumer. The consumer copies them out of the batch,
/// not the producer: what it copies is then in the caches where it is read next, and consumers copy
/// at the same time.
/// Threading: immutable, passed by value.
struct BatchPart {
  RecordBatch batch;
  BufferPtr rows;  ///< int32 row numbers in order, or null: all of them
  int64_t num_rows = 0;

  /// Share of the batch's bytes.
  int64_t SizeBytes() const;
};

/// The rows of the parts behind each other as one batch; one batch a part where a column's values
/// cannot be put together. kUnimplemented: rows of a column cannot be selected. REQUIRES: parts of
/// one schema; all have event times and keys, or none has.
Result<std::vector<RecordBatch>> TakeParts(const std::vector<BatchPart>& parts);

}  // namespace headrace
