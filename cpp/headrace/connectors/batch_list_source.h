#pragma once

#include <vector>

#include "headrace/connectors/source.h"

namespace headrace {

/// Bounded source over batches in memory (imported Arrow data, collections), row order kept.
/// Batches go out as slices of the given ones, nothing is copied.
///
/// Planned as `splits` contiguous row ranges (never more than there are rows), split ids "rows:a-b"
/// (b exclusive). Position: the next row in decimal. Replayable as long as the program gives the
/// same rows; a position beyond the rows there are is kInvalidArgument.
/// REQUIRES: all batches have columns as `schema` says.
SourceFactoryPtr BatchListSource(SchemaPtr schema, std::vector<RecordBatch> batches,
                                 int splits = 1);

}  // namespace headrace
