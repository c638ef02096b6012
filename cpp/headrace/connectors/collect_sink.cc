#include "headrace/connectors/collect_sink.h"

#include <algorithm>

namespace headrace {
namespace {

constexpr char kStateName[] = "collected-through";

class CollectSinkOperator final : public Operator {
 public:
  explicit CollectSinkOperator(std::shared_ptr<CollectBuffer> buffer)
      : buffer_(std::move(buffer)) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    uint64_t restored = 0;
    if (context.operator_state) {
      for (const std::string& item : context.operator_state->Items(kStateName)) {
        ByteReader in(item);
        uint64_t checkpoint = 0;
        HR_RETURN_IF_ERROR(in.Fixed(&checkpoint));
        HR_RETURN_IF_ERROR(in.ExpectDone());
        restored = std::max(restored, checkpoint);
      }
    }
    buffer_->BeginAttempt(context.subtask_index, restored);
    return Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
    if (!buffer_->HasRoom()) return Progress::kBlocked;
    buffer_->Append(context_.subtask_index, batch);
    return Progress::kDone;
  }

  // The item of operator state:
  //
  //   8 bytes  id of the checkpoint, little-endian
  Status Snapshot(uint64_t checkpoint_id, OperatorState* state) override {
    buffer_->Cut(context_.subtask_index, checkpoint_id);
    ByteWriter item;
    item.Fixed(checkpoint_id);
    state->Set(kStateName, Redistribution::kUnion, {item.Take()});
    return Status::Ok();
  }

  Status OnCheckpointComplete(uint64_t checkpoint_id) override {
    buffer_->OnCheckpointComplete(context_.subtask_index, checkpoint_id);
    return Status::Ok();
  }

 private:
  const std::shared_ptr<CollectBuffer> buffer_;
};

}  // namespace

OperatorFactoryPtr CollectSink(std::shared_ptr<CollectBuffer> buffer) {
  return NativeOperator([buffer](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(std::make_unique<CollectSinkOperator>(buffer));
  });
}

}  // namespace headrace
