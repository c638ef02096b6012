#pragma once

#include <memory>

#include "headrace/connectors/collect_buffer.h"
#include "headrace/operators/operator.h"

namespace headrace {

/// Appends everything to `buffer`, which outlives the attempts of the job: rows reach the caller
/// exactly once as CollectBuffer says. While the buffer has no room, Process returns kBlocked
/// although the output has some: it is to be called again later.
///
/// Operator state: the id of the checkpoint, so that a restored subtask knows which rows are
/// covered.
OperatorFactoryPtr CollectSink(std::shared_ptr<CollectBuffer> buffer);

}  // namespace headrace
