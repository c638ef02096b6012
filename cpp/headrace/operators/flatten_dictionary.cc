#include "headrace/operators/flatten_dictionary.h"

namespace headrace {
namespace {

class FlattenDictionaryOperator final : public Operator {
 public:
  explicit FlattenDictionaryOperator(SchemaPtr output) : output_(std::move(output)) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    RecordBatch plain = batch;
    plain.schema = output_;
    for (ColumnPtr& column : plain.columns) {
      HR_ASSIGN_OR_RETURN(column, Column::DecodeDictionary(column));
    }
    out.Emit(std::move(plain));
    return Progress::kDone;
  }

 private:
  const SchemaPtr output_;
};

}  // namespace

DataTypePtr PlainType(const DataTypePtr& type) {
  return type->kind() == TypeKind::kDictionary ? PlainType(type->children()[1].type) : type;
}

SchemaPtr FlattenedSchema(const SchemaPtr& schema) {
  std::vector<Field> fields = schema->fields();
  for (Field& field : fields) field.type = PlainType(field.type);
  return std::make_shared<const Schema>(schema->shape(), std::move(fields));
}

OperatorFactoryPtr FlattenDictionary(SchemaPtr output) {
  return NativeOperator([output](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<FlattenDictionaryOperator>(output));
  });
}

}  // namespace headrace
