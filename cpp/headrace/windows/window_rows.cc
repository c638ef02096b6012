#include "headrace/windows/window_rows.h"

#include <set>

#include "headrace/base/check.h"

namespace headrace {

Result<SchemaPtr> WindowRowsSchema(const std::vector<Field>& key_fields,
                                   const AggregateRow& aggregates) {
  std::vector<Field> fields = key_fields;
  fields.push_back(Field{"window_start", Int64Type(), false});
  fields.push_back(Field{"window_end", Int64Type(), false});
  for (Field& field : aggregates.OutputFields()) fields.push_back(std::move(field));
  std::set<std::string> names;
  for (const Field& field : fields) {
    if (names.insert(field.name).second) continue;
    return Status::InvalidArgument("two output columns of the window would be named '" +
                                   field.name + "': rename the aggregate");
  }
  return SchemaPtr(std::make_shared<const Schema>(RecordShape::kRow, std::move(fields)));
}

Result<std::unique_ptr<WindowRows>> WindowRows::Make(SchemaPtr schema,
                                                     std::vector<Field> key_fields,
                                                     ObjectHooks* hooks,
                                                     const AggregateRow* aggregates) {
  std::unique_ptr<WindowRows> made(new WindowRows());
  made->schema_ = std::move(schema);
  made->aggregates_ = aggregates;
  HR_ASSIGN_OR_RETURN(made->keys_, KeyColumnBuilder::Make(std::move(key_fields), hooks));
  for (const Field& field : aggregates->OutputFields()) {
    HR_ASSIGN_OR_RETURN(auto builder, ColumnBuilder::Make(field.type));
    made->results_.push_back(std::move(builder));
  }
  return made;
}

Status WindowRows::Append(const KeyDictionary& keys, KeyId id, const TimeWindow& window,
                          const char* accumulators) {
  HR_RETURN_IF_ERROR(keys_->Append(keys, id));
  for (size_t i = 0; i < results_.size(); ++i) {
    aggregates_->AppendResult(i, accumulators, results_[i].get());
  }
  windows_.push_back(window);
  return Status::Ok();
}

RecordBatch WindowRows::Finish() {
  RecordBatch batch;
  batch.schema = schema_;
  batch.num_rows = rows();
  KeyColumnBuilder::Finished keys = keys_->Finish();
  batch.columns = std::move(keys.columns);
  batch.key = std::move(keys.key);
  const size_t bytes = windows_.size() * sizeof(TimestampMs);
  auto starts = Buffer::Allocate(bytes);
  auto ends = Buffer::Allocate(bytes);
  auto times = Buffer::Allocate(bytes);
  auto* start = reinterpret_cast<TimestampMs*>(starts->mutable_data());
  auto* end = reinterpret_cast<TimestampMs*>(ends->mutable_data());
  auto* time = reinterpret_cast<TimestampMs*>(times->mutable_data());
  for (size_t i = 0; i < windows_.size(); ++i) {
    start[i] = windows_[i].start;
    end[i] = windows_[i].end;
    time[i] = windows_[i].max_timestamp();
  }
  batch.columns.push_back(Column::OfFixed(Int64Type(), batch.num_rows, std::move(starts)));
  batch.columns.push_back(Column::OfFixed(Int64Type(), batch.num_rows, std::move(ends)));
  for (const auto& result : results_) batch.columns.push_back(result->Finish());
  batch.timestamps = std::move(times);
  windows_.clear();
  HR_CHECK_EQ(batch.columns.size(), batch.schema->size());
  return batch;
}

}  // namespace headrace
