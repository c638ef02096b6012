#include "headrace/operators/key_by_fields.h"

#include <algorithm>

#include "headrace/base/check.h"
#include "headrace/operators/flatten_dictionary.h"

namespace headrace {
namespace {

class KeyByFieldsOperator final : public Operator {
 public:
  explicit KeyByFieldsOperator(std::vector<int> columns) : columns_(std::move(columns)) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    RecordBatch keyed = batch;
    if (columns_.size() == 1) {
      keyed.key = batch.columns[static_cast<size_t>(columns_[0])];
    } else {
      keyed.key = StructKey(batch);
    }
    out.Emit(std::move(keyed));
    return Progress::kDone;
  }

 private:
  ColumnPtr StructKey(const RecordBatch& batch) {
    auto key = std::make_shared<Column>();
    std::vector<Field> fields;
    for (const int index : columns_) {
      const ColumnPtr& column = batch.columns[static_cast<size_t>(index)];
      const std::string& name = batch.schema->fields()[static_cast<size_t>(index)].name;
      // The type is made anew only when a batch's columns differ from the last one's.
      fields.push_back(Field{name, column->type, true});
      key->children.push_back(column);
    }
    if (!type_ || !SameTypes(fields)) type_ = StructType(std::move(fields));
    key->type = type_;
    key->length = batch.num_rows;
    return key;
  }

  bool SameTypes(const std::vector<Field>& fields) const {
    for (size_t i = 0; i < fields.size(); ++i) {
      const Field& have = type_->children()[i];
      if (have.name != fields[i].name || have.type != fields[i].type) return false;
    }
    return true;
  }

  const std::vector<int> columns_;
  DataTypePtr type_;
};

}  // namespace

Result<std::vector<Field>> KeyFieldsOf(const Schema& schema, const std::vector<int>& columns) {
  if (columns.empty()) return Status::InvalidArgument("key_by needs at least one field");
  std::vector<Field> fields;
  for (const int index : columns) {
    if (index < 0 || static_cast<size_t>(index) >= schema.size()) {
      return Status::InvalidArgument("key_by field " + std::to_string(index) +
                                     " does not exist: the record has " +
                                     std::to_string(schema.size()) + " fields");
    }
    Field field = schema.fields()[static_cast<size_t>(index)];
    field.type = PlainType(field.type);
    const TypeKind kind = field.type->kind();
    if (kind == TypeKind::kForeign || kind == TypeKind::kMap || kind == TypeKind::kList) {
      return Status::InvalidArgument("field '" + field.name + "' of type " +
                                     field.type->ToString() + " cannot be a key");
    }
    const auto same_name = [&](const Field& other) { return other.name == field.name; };
    if (std::any_of(fields.begin(), fields.end(), same_name)) {
      return Status::InvalidArgument("key_by names field '" + field.name + "' twice");
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

OperatorFactoryPtr KeyByFields(std::vector<int> columns) {
  HR_CHECK(!columns.empty());
  return NativeOperator([columns = std::move(columns)](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<KeyByFieldsOperator>(columns));
  });
}

}  // namespace headrace
