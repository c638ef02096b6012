#include "headrace/operators/project.h"

#include "headrace/base/check.h"

namespace headrace {
namespace {

class ProjectOperator final : public Operator {
 public:
  ProjectOperator(std::vector<int> columns, SchemaPtr output)
      : columns_(std::move(columns)), output_(std::move(output)) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    RecordBatch chosen;
    chosen.schema = output_;
    chosen.num_rows = batch.num_rows;
    chosen.columns.reserve(columns_.size());
    for (const int column : columns_) {
      chosen.columns.push_back(batch.columns[static_cast<size_t>(column)]);
    }
    chosen.timestamps = batch.timestamps;
    chosen.timestamps_offset = batch.timestamps_offset;
    chosen.key = batch.key;
    out.Emit(std::move(chosen));
    return Progress::kDone;
  }

 private:
  const std::vector<int> columns_;
  const SchemaPtr output_;
};

}  // namespace

Result<SchemaPtr> ProjectedSchema(const Schema& input, const std::vector<int>& columns,
                                  const std::vector<std::string>& names, RecordShape shape) {
  HR_CHECK(names.empty() || names.size() == columns.size());
  std::vector<Field> fields;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] < 0 || static_cast<size_t>(columns[i]) >= input.size()) {
      return Status::InvalidArgument("project: field " + std::to_string(columns[i]) +
                                     " does not exist: the record has " +
                                     std::to_string(input.size()) + " fields");
    }
    fields.push_back(input.fields()[static_cast<size_t>(columns[i])]);
    if (!names.empty()) fields.back().name = names[i];
  }
  return SchemaPtr(std::make_shared<const Schema>(shape, std::move(fields)));
}

OperatorFactoryPtr Project(std::vector<int> columns, SchemaPtr output) {
  HR_CHECK_EQ(columns.size(), output->size());
  return NativeOperator(
      [columns = std::move(columns), output](int) -> Result<std::unique_ptr<Operator>> {
        return std::unique_ptr<Operator>(std::make_unique<ProjectOperator>(columns, output));
      });
}

}  // namespace headrace
