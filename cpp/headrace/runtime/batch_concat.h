#pragma once

#include <vector>

#include "headrace/types/batch.h"

namespace headrace {

/// The rows of several batches of one schema behind each other. A key that was one of the columns
/// stays that column. REQUIRES: at least one batch; all have event times and keys, or none has.
Result<RecordBatch> ConcatBatches(const std::vector<RecordBatch>& parts);

/// The batch with mutable host values replaced by copies (ObjectHooks::CopyForFanOut), so that a
/// second reader does not see what the first one changes. Columns without host values are shared.
/// REQUIRES: the calling thread may touch host values if there are any.
Result<RecordBatch> CopyMutableObjects(const RecordBatch& batch);

}  // namespace headrace
