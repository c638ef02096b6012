#pragma once

#include "headrace/connectors/source.h"

namespace headrace {

/// The int64 numbers start..end (inclusive) in a column `value`, in order within each split.
///
/// Planned as `parallelism` contiguous ranges at the first start (fewer when there are fewer
/// numbers), split ids "range:a-b". Position: the next number in decimal, or "end". Replayable. An
/// empty range (end < start) is a source without rows.
SourceFactoryPtr NumberSequenceSource(int64_t start, int64_t end);

}  // namespace headrace
