#pragma once

#include "headrace/operators/operator.h"
#include "headrace/time/watermark_generator.h"

namespace headrace {

/// Timestamps are in the batch already, put there by an assigner before this operator in the chain.
inline constexpr int kTimestampsInBatch = -1;

/// Gives rows their event time and makes watermarks of it (assign_timestamps_and_watermarks).
///
/// Time comes from column `timestamp_column`, or with kTimestampsInBatch is what the batch has.
/// Watermarks stand at multiples of the stride of this subtask's rows, so batches are cut there:
/// after such a piece the call returns kBlocked with the watermark in TakeProducedWatermark().
/// Incoming watermarks are swallowed but for the last one, kMaxWatermark.
///
/// Operator state: the generator (rows, maximum) of each subtask. At another parallelism every
/// subtask goes on from the slowest of them.
OperatorFactoryPtr TimestampsAndWatermarks(int timestamp_column, WatermarkSpec spec);

}  // namespace headrace
