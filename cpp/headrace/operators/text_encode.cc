#include "headrace/operators/text_encode.h"

#include "headrace/types/column_builder.h"
#include "headrace/types/row_text.h"

namespace headrace {
namespace {

class TextEncodeOperator final : public Operator {
 public:
  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    RecordBatch texts = batch;
    texts.schema = TextSchema();
    const bool plain = batch.schema->shape() == RecordShape::kScalar && batch.columns.size() == 1 &&
                       batch.columns[0]->type->kind() == TypeKind::kString &&
                       !batch.columns[0]->validity;
    if (!plain) {
      if (!builder_) {
        HR_ASSIGN_OR_RETURN(builder_, ColumnBuilder::Make(StringType()));
      }
      for (int64_t row = 0; row < batch.num_rows; ++row) {
        text_.clear();
        HR_RETURN_IF_ERROR(AppendRowText(batch, row, &text_));
        builder_->AppendString(text_);
      }
      texts.columns = {builder_->Finish()};
    }
    out.Emit(std::move(texts));
    return Progress::kDone;
  }

 private:
  std::unique_ptr<ColumnBuilder> builder_;
  std::string text_;
};

}  // namespace

SchemaPtr TextSchema() {
  static const SchemaPtr schema = std::make_shared<const Schema>(
      RecordShape::kScalar, std::vector<Field>{Field{"value", StringType(), false}});
  return schema;
}

OperatorFactoryPtr TextEncode() {
  return NativeOperator([](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<TextEncodeOperator>());
  });
}

}  // namespace headrace
