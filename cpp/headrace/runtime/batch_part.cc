#include "headrace/runtime/batch_part.h"

#include <utility>

#include "headrace/runtime/batch_concat.h"

namespace headrace {

int64_t BatchPart::SizeBytes() const {
  const int64_t bytes = batch.SizeBytes();
  return num_rows == batch.num_rows ? bytes : bytes * num_rows / batch.num_rows;
}

Result<std::vector<RecordBatch>> TakeParts(const std::vector<BatchPart>& parts) {
  std::vector<RecordBatch> batches;
  batches.reserve(parts.size());
  for (const BatchPart& part : parts) {
    if (!part.rows) {
      batches.push_back(part.batch);
      continue;
    }
    const auto* rows = reinterpret_cast<const int32_t*>(part.rows->data());
    HR_ASSIGN_OR_RETURN(RecordBatch taken, part.batch.Take(rows, part.num_rows));
    batches.push_back(std::move(taken));
  }
  if (batches.size() == 1) return batches;
  Result<RecordBatch> merged = ConcatBatches(batches);
  if (merged.ok()) return std::vector<RecordBatch>{std::move(*merged)};
  if (merged.status().code() == StatusCode::kUnimplemented) return batches;
  return merged.status();
}

}  // namespace headrace
