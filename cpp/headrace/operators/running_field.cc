#include "headrace/operators/running_field.h"

#include <algorithm>
#include <limits>

#include "headrace/base/check.h"
#include "headrace/operators/encoded_value.h"
#include "headrace/operators/flatten_dictionary.h"
#include "headrace/operators/running_aggregator.h"
#include "headrace/operators/widened_state.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr char kFirstRecordName[] = "running-first-record";

/// The results of an aggregate as a column of the narrower type of its input.
Result<ColumnPtr> Narrow(const ColumnPtr& results, const Field& field) {
  if (results->type->Equals(*field.type)) return results;
  HR_ASSIGN_OR_RETURN(auto narrow, ColumnBuilder::Make(field.type));
  const int bits = 8 * field.type->fixed_width();
  for (int64_t row = 0; row < results->length; ++row) {
    if (results->IsNull(row)) {
      narrow->AppendNull();
    } else if (results->type->is_floating()) {
      narrow->AppendFloat(results->Values<double>()[row]);
    } else {
      const int64_t value = results->Values<int64_t>()[row];
      if (bits < 64 && (value >> (bits - 1)) != (value < 0 ? -1 : 0)) {
        return Status::ResourceExhausted("field '" + field.name + "': the running value " +
                                         std::to_string(value) + " does not fit " +
                                         field.type->ToString());
      }
      narrow->AppendInt(value);
    }
  }
  return narrow->Finish();
}

class RunningFieldOperator final : public Operator {
 public:
  RunningFieldOperator(RunningFieldSpec spec, SchemaPtr output)
      : spec_(std::move(spec)), output_(std::move(output)) {
    for (int column = 0; column < static_cast<int>(output_->size()); ++column) {
      const bool in_key = std::find(spec_.key_columns.begin(), spec_.key_columns.end(), column) !=
                          spec_.key_columns.end();
      if (column != spec_.column && !in_key) first_columns_.push_back(column);
    }
  }

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    HR_CHECK(context.keyed_state != nullptr);
    const std::vector<AggregateSpec> specs = {{spec_.function, spec_.column, "value"}};
    HR_ASSIGN_OR_RETURN(running_,
                        RunningAggregator::Make(specs, *spec_.input_schema, context.keyed_state));
    HR_ASSIGN_OR_RETURN(auto results,
                        ColumnBuilder::Make(running_->aggregates().OutputFields()[0].type));
    results_.push_back(std::move(results));
    if (first_columns_.empty()) return Status::Ok();
    std::string fingerprint = "value<";
    for (const int column : first_columns_) {
      const Field& field = output_->fields()[static_cast<size_t>(column)];
      fingerprint += field.name + ": " + field.type->ToString() + ", ";
      HR_ASSIGN_OR_RETURN(auto builder, ColumnBuilder::Make(field.type));
      first_builders_.push_back(std::move(builder));
    }
    fingerprint += ">";
    AdoptWidened(context.keyed_state, kFirstRecordName, fingerprint);
    HR_ASSIGN_OR_RETURN(first_records_,
                        context.keyed_state->RegisterRows(kFirstRecordName, fingerprint));
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (batch.num_rows == 0) return Progress::kDone;
    if (out.RoomRows() == 0) return Progress::kBlocked;
    HR_CHECK(batch.key != nullptr);
    HR_RETURN_IF_ERROR(running_->Run(batch, &results_));
    RecordBatch record = batch;
    record.schema = output_;
    for (ColumnPtr& column : record.columns) {
      HR_ASSIGN_OR_RETURN(column, Column::DecodeDictionary(column));
    }
    const auto replaced = static_cast<size_t>(spec_.column);
    HR_ASSIGN_OR_RETURN(record.columns[replaced],
                        Narrow(results_[0]->Finish(), output_->fields()[replaced]));
    if (!first_columns_.empty()) HR_RETURN_IF_ERROR(UseFirstRecords(batch, &record));
    out.Emit(std::move(record));
    HR_RETURN_IF_ERROR(context_.keyed_state->CheckBudget());
    return Progress::kDone;
  }

 private:
  // A row of state a key, its value:
  //
  //   the fields that are not aggregated, of the key's first record, as value_codec.h draws values,
  //   one behind the other
  Status UseFirstRecords(const RecordBatch& batch, RecordBatch* record) {
    std::vector<KeyId>& ids = key_ids_;
    ids.resize(static_cast<size_t>(batch.num_rows));
    HR_RETURN_IF_ERROR(context_.keyed_state->keys().LookupOrInsertBatch(
        *batch.key, 0, batch.num_rows, ids.data()));
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      const KeyId id = ids[static_cast<size_t>(row)];
      std::string_view stored;
      if (!first_records_->Get(id, {}, {}, &stored)) {
        ByteWriter first;
        for (const int column : first_columns_) {
          HR_RETURN_IF_ERROR(EncodeColumnValue(*record->columns[static_cast<size_t>(column)], row,
                                               /*as_key=*/false, &first));
        }
        first_records_->Put(id, {}, {}, first.view());
        for (size_t i = 0; i < first_columns_.size(); ++i) {
          first_builders_[i]->AppendFrom(*record->columns[static_cast<size_t>(first_columns_[i])],
                                         row);
        }
        continue;
      }
      ByteReader in(stored);
      for (size_t i = 0; i < first_columns_.size(); ++i) {
        const Column& now = *record->columns[static_cast<size_t>(first_columns_[i])];
        ObjectHooks* hooks = now.objects ? now.objects->hooks() : nullptr;
        HR_RETURN_IF_ERROR(AppendEncodedValue(*now.type, hooks, &in, first_builders_[i].get()));
      }
      HR_RETURN_IF_ERROR(in.ExpectDone());
    }
    for (size_t i = 0; i < first_columns_.size(); ++i) {
      record->columns[static_cast<size_t>(first_columns_[i])] = first_builders_[i]->Finish();
    }
    return Status::Ok();
  }

  const RunningFieldSpec spec_;
  const SchemaPtr output_;
  std::vector<int> first_columns_;  // taken from the key's first record
  std::unique_ptr<RunningAggregator> running_;
  std::vector<std::unique_ptr<ColumnBuilder>> results_;
  std::vector<std::unique_ptr<ColumnBuilder>> first_builders_;
  RowState* first_records_ = nullptr;
  std::vector<KeyId> key_ids_;
};

}  // namespace

Result<SchemaPtr> RunningFieldSchema(const RunningFieldSpec& spec) {
  if (spec.function != "sum" && spec.function != "min" && spec.function != "max") {
    return Status::InvalidArgument("no running function '" + spec.function + "'");
  }
  if (spec.column < 0 || static_cast<size_t>(spec.column) >= spec.input_schema->size()) {
    return Status::InvalidArgument(spec.function + ": field " + std::to_string(spec.column) +
                                   " does not exist: the record has " +
                                   std::to_string(spec.input_schema->size()) + " fields");
  }
  const std::vector<AggregateSpec> specs = {{spec.function, spec.column, "value"}};
  HR_ASSIGN_OR_RETURN(auto aggregates, AggregateRow::Make(specs, *spec.input_schema));
  return FlattenedSchema(spec.input_schema);
}

OperatorFactoryPtr RunningField(RunningFieldSpec spec) {
  return NativeOperator([spec = std::move(spec)](int) -> Result<std::unique_ptr<Operator>> {
    HR_ASSIGN_OR_RETURN(SchemaPtr output, RunningFieldSchema(spec));
    return std::unique_ptr<Operator>(std::make_unique<RunningFieldOperator>(spec, output));
  });
}

}  // namespace headrace
