#pragma once

#include "headrace/types/batch.h"

namespace headrace {

/// Ok when a column of this type can carry event time: int64 (ms) or a timestamp of any unit. The
/// message names `field`.
Status CheckEventTimeType(const Field& field);

/// `batch` with the event times of column `column`, in ms (finer units round down). int64 and ms
/// columns share their memory. kInvalidArgument naming field and row when a value is null or does
/// not fit.
Result<RecordBatch> WithEventTimesFrom(RecordBatch batch, int column);

}  // namespace headrace
