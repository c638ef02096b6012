#include "headrace/operators/union.h"

namespace headrace {
namespace {

class UnionOperator final : public Operator {
 public:
  explicit UnionOperator(SchemaPtr schema) : schema_(std::move(schema)) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    RecordBatch passed = batch;
    if (schema_) passed.schema = schema_;
    // A key belongs to one input's key_by; the merged stream is not keyed.
    passed.key = nullptr;
    out.Emit(std::move(passed));
    return Progress::kDone;
  }

 private:
  const SchemaPtr schema_;
};

}  // namespace

OperatorFactoryPtr Union(SchemaPtr schema) {
  return NativeOperator([schema](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<UnionOperator>(schema));
  });
}

}  // namespace headrace
