#pragma once

#include "headrace/types/batch.h"

namespace headrace {

/// Makes column `column` (int64 milliseconds or a timestamp of any unit) the event time of the batch. Shares the
/// column's memory when it holds milliseconds without nulls; a null becomes kNoTimestamp, finer units round down.
/// kInvalidArgument naming the field and its type for other types.
Status SetEventTime(int column, RecordBatch* batch);

}  // namespace headrace
