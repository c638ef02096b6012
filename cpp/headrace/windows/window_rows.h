#pragma once

#include <memory>
#include <vector>

#include "headrace/operators/aggregate_row.h"
#include "headrace/operators/key_column_builder.h"
#include "headrace/windows/time_window.h"

namespace headrace {

/// Schema of the rows of a window aggregation: key field(s), `window_start`, `window_end` (int64
/// ms), then the aggregates. kInvalidArgument when two columns would have the same name.
Result<SchemaPtr> WindowRowsSchema(const std::vector<Field>& key_fields,
                                   const AggregateRow& aggregates);

/// Builds batches of window results. Rows have event time window_end - 1 and the group's key.
/// Threading: owned by one task thread.
class WindowRows {
 public:
  /// `schema` as WindowRowsSchema made it; `aggregates` outlives this.
  static Result<std::unique_ptr<WindowRows>> Make(SchemaPtr schema, std::vector<Field> key_fields,
                                                  ObjectHooks* hooks,
                                                  const AggregateRow* aggregates);

  void SetHooks(ObjectHooks* hooks) { keys_->SetHooks(hooks); }
  Status Append(const KeyDictionary& keys, KeyId id, const TimeWindow& window,
                const char* accumulators);
  int64_t rows() const { return static_cast<int64_t>(windows_.size()); }
  /// The rows appended since the last call, as a batch.
  RecordBatch Finish();

 private:
  WindowRows() = default;

  SchemaPtr schema_;
  const AggregateRow* aggregates_ = nullptr;
  std::unique_ptr<KeyColumnBuilder> keys_;
  std::vector<std::unique_ptr<ColumnBuilder>> results_;
  std::vector<TimeWindow> windows_;
};

}  // namespace headrace
