#include "headrace/operators/running_aggregate.h"

#include "headrace/base/check.h"
#include "headrace/operators/running_aggregator.h"

namespace headrace {
namespace {

class RunningAggregateOperator final : public Operator {
 public:
  RunningAggregateOperator(RunningAggregateSpec spec, SchemaPtr output)
      : spec_(std::move(spec)), output_(std::move(output)) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    HR_CHECK(context.keyed_state != nullptr);
    HR_ASSIGN_OR_RETURN(running_, RunningAggregator::Make(spec_.aggregates, *spec_.input_schema,
                                                          context.keyed_state));
    for (const Field& field : running_->aggregates().OutputFields()) {
      HR_ASSIGN_OR_RETURN(auto builder, ColumnBuilder::Make(field.type));
      builders_.push_back(std::move(builder));
    }
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (batch.num_rows == 0) return Progress::kDone;
    if (out.RoomRows() == 0) return Progress::kBlocked;
    HR_CHECK(batch.key != nullptr);
    HR_RETURN_IF_ERROR(running_->Run(batch, &builders_));
    RecordBatch results;
    results.schema = output_;
    results.num_rows = batch.num_rows;
    results.key = batch.key;
    results.timestamps = batch.timestamps;
    results.timestamps_offset = batch.timestamps_offset;
    if (spec_.key_fields.size() == 1) {
      HR_ASSIGN_OR_RETURN(ColumnPtr plain, Column::DecodeDictionary(batch.key));
      results.columns.push_back(std::move(plain));
    } else {
      for (const ColumnPtr& child : batch.key->children) {
        HR_ASSIGN_OR_RETURN(ColumnPtr plain, Column::DecodeDictionary(Column::Slice(
                                                 child, batch.key->offset, batch.num_rows)));
        results.columns.push_back(std::move(plain));
      }
    }
    for (const auto& builder : builders_) results.columns.push_back(builder->Finish());
    out.Emit(std::move(results));
    HR_RETURN_IF_ERROR(context_.keyed_state->CheckBudget());
    return Progress::kDone;
  }

 private:
  const RunningAggregateSpec spec_;
  const SchemaPtr output_;
  std::unique_ptr<RunningAggregator> running_;
  std::vector<std::unique_ptr<ColumnBuilder>> builders_;
};

}  // namespace

Result<SchemaPtr> RunningAggregateSchema(const RunningAggregateSpec& spec) {
  HR_ASSIGN_OR_RETURN(auto aggregates, AggregateRow::Make(spec.aggregates, *spec.input_schema));
  std::vector<Field> fields = spec.key_fields;
  for (Field& field : aggregates->OutputFields()) {
    for (const Field& other : fields) {
      if (other.name != field.name) continue;
      return Status::InvalidArgument("two output columns would be named '" + field.name +
                                     "': rename the aggregate");
    }
    fields.push_back(std::move(field));
  }
  return SchemaPtr(std::make_shared<const Schema>(RecordShape::kRow, std::move(fields)));
}

OperatorFactoryPtr RunningAggregate(RunningAggregateSpec spec) {
  return NativeOperator([spec = std::move(spec)](int) -> Result<std::unique_ptr<Operator>> {
    HR_ASSIGN_OR_RETURN(SchemaPtr output, RunningAggregateSchema(spec));
    return std::unique_ptr<Operator>(std::make_unique<RunningAggregateOperator>(spec, output));
  });
}

}  // namespace headrace
