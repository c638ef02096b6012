#pragma once

#include <string>
#include <vector>

#include "headrace/expr/aggregate.h"
#include "headrace/operators/operator.h"
#include "headrace/windows/window_spec.h"

namespace headrace {

/// Built-in aggregates over tumbling or sliding windows of event time. Plain data.
struct SlicingWindowSpec {
  WindowSpec window;
  /// The key as it goes out: one field, or the fields of a struct key (KeyFieldsOf; "key" of type
  /// object for a key made by a host function).
  std::vector<Field> key_fields;
  std::vector<AggregateSpec> aggregates;
  SchemaPtr input_schema;
  ObjectHooks* hooks = nullptr;  ///< of object keys; needed to fire windows right after a restore
};

/// Key field(s), `window_start`, `window_end` (int64 ms), the aggregates. kInvalidArgument naming
/// what is wrong in `spec`.
Result<SchemaPtr> SlicingWindowSchema(const SlicingWindowSpec& spec);

/// Keeps one group-by table for each slice of time (SliceLayout) and puts out a row for each key
/// and window when the watermark reaches the window's last timestamp; rows of a window come in the
/// order of key ids and carry event time window_end - 1.
///
/// Lateness is judged row by row against the watermark as WindowSpec says. A row that is late for
/// some of its windows only counts in the others. A late but allowed row fires each of its windows
/// that fired before once more at once, for its key only, the latest window first, with everything
/// counted so far.
///
/// Rows without event time fail with kInvalidArgument. Metric: late_rows. State: slices
/// `window-slices`, operator state of WindowProgress. REQUIRES: SlicingWindowSchema(spec) is ok;
/// batches have a key.
/// Cost: about one dictionary probe a row, whatever the number of windows it belongs to; firing
/// merges size / slice tables.
OperatorFactoryPtr SlicingWindow(SlicingWindowSpec spec);

}  // namespace headrace
