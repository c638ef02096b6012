#include "testing/operator_harness.h"

#include "headrace/base/check.h"
#include "headrace/types/row_text.h"

namespace headrace {
namespace {

constexpr int64_t kStateBudgetBytes = int64_t{1} << 32;

void AppendRowsText(const RecordBatch& batch, std::vector<std::string>* out) {
  for (int64_t row = 0; row < batch.num_rows; ++row) {
    std::string text;
    const Status status = AppendRowText(batch, row, &text);
    if (!status.ok()) text += "<" + status.ToString() + ">";
    if (batch.timestamps) text += " @" + std::to_string(batch.TimestampAt(row));
    out->push_back(std::move(text));
  }
}

}  // namespace

class OperatorHarness::RoomyOutput final : public Output {
 public:
  explicit RoomyOutput(OperatorHarness* harness) : harness_(harness) {}

  int64_t RoomRows() const override { return room_; }
  void Emit(RecordBatch batch) override {
    HR_CHECK_GT(room_, 0);
    HR_CHECK_EQ(batch.columns.size(), batch.schema->size());
    for (const ColumnPtr& column : batch.columns) HR_CHECK_EQ(column->length, batch.num_rows);
    if (batch.key) HR_CHECK_EQ(batch.key->length, batch.num_rows);
    room_ = batch.num_rows >= room_ ? 0 : room_ - batch.num_rows;
    if (batch.num_rows > 0) harness_->output_.push_back(Element{std::move(batch), kMinWatermark});
  }
  void EmitSide(const std::string& tag, RecordBatch batch) override {
    if (HasSideReader(tag)) harness_->side_[tag].push_back(std::move(batch));
  }
  bool HasSideReader(const std::string& tag) const override {
    return harness_->options_.side_readers.count(tag) > 0;
  }
  void SetRoom(int64_t rows) { room_ = rows; }

 private:
  OperatorHarness* const harness_;
  int64_t room_ = 0;
};

OperatorHarness::OperatorHarness(OperatorFactoryPtr factory, Options options)
    : factory_(std::move(factory)),
      options_(std::move(options)),
      random_(options_.seed),
      out_(std::make_unique<RoomyOutput>(this)) {}

OperatorHarness::~OperatorHarness() {
  if (operator_) (void)operator_->Close();
}

Status OperatorHarness::Open() {
  OperatorContext context;
  context.name = "tested";
  context.uid = options_.uid;
  context.job_key = "test-job";
  context.subtask_index = options_.subtask_index;
  context.parallelism = options_.parallelism;
  context.max_parallelism = options_.max_parallelism;
  context.attempt = attempt_++;
  context.restored = checkpoint_id_ > 0;
  context.env = options_.env;
  context.operator_state = &operator_state_;
  context.metrics = &metrics_;
  context.batch_rows = options_.batch_rows;
  if (options_.keyed) {
    const KeyGroupRange range =
        KeyGroupRangeOf(options_.subtask_index, options_.parallelism, options_.max_parallelism);
    keyed_state_ = std::make_unique<KeyedState>(range, options_.max_parallelism, kStateBudgetBytes);
    if (checkpoint_id_ > 0) HR_RETURN_IF_ERROR(keyed_state_->Restore(stored_.Stored()));
    context.keyed_state = keyed_state_.get();
  }
  HR_ASSIGN_OR_RETURN(operator_, factory_->Make(options_.subtask_index));
  return operator_->Open(context);
}

template <typename Call>
Status OperatorHarness::Drive(Call call) {
  while (true) {
    int64_t room = options_.batch_rows;
    if (options_.room_rows_max > 0) {
      room = static_cast<int64_t>(random_() % static_cast<uint64_t>(options_.room_rows_max + 1));
    }
    out_->SetRoom(room);
    HR_ASSIGN_OR_RETURN(const Progress progress, call());
    TakeWatermark();
    if (progress == Progress::kDone) return Status::Ok();
    ++blocked_calls_;
  }
}

void OperatorHarness::TakeWatermark() {
  const TimestampMs produced = operator_->TakeProducedWatermark();
  if (produced != kMinWatermark) output_.push_back(Element{RecordBatch(), produced});
}

Status OperatorHarness::AfterElement() {
  if (!options_.restore_after_each) return Status::Ok();
  HR_RETURN_IF_ERROR(Snapshot());
  HR_RETURN_IF_ERROR(CompleteCheckpoint());
  return Restore();
}

Status OperatorHarness::Process(const RecordBatch& batch, int input) {
  HR_RETURN_IF_ERROR(Drive([&] { return operator_->Process(batch, input, *out_); }));
  return AfterElement();
}

Status OperatorHarness::Watermark(TimestampMs watermark) {
  HR_RETURN_IF_ERROR(Drive([&] { return operator_->OnWatermark(watermark, *out_); }));
  const TimestampMs forwarded = operator_->ForwardedWatermark(watermark);
  if (forwarded != kMinWatermark) output_.push_back(Element{RecordBatch(), forwarded});
  return AfterElement();
}

Status OperatorHarness::ProcessingTime(TimestampMs now) {
  if (now < operator_->NextProcessingTime()) return Status::Ok();
  HR_RETURN_IF_ERROR(Drive([&] { return operator_->OnProcessingTime(now, *out_); }));
  return AfterElement();
}

Status OperatorHarness::Finish() {
  HR_RETURN_IF_ERROR(Watermark(kMaxWatermark));
  HR_RETURN_IF_ERROR(Drive([&] { return operator_->Finish(*out_); }));
  renames_ = operator_->TakePendingRenames();
  return Status::Ok();
}

Status OperatorHarness::Snapshot() {
  OperatorState state;
  HR_RETURN_IF_ERROR(operator_->Snapshot(++checkpoint_id_, &state));
  renames_ = operator_->TakePendingRenames();
  // As from the manifest, so that what does not survive the encoding is noticed.
  HR_ASSIGN_OR_RETURN(operator_state_, OperatorState::Decode(state.Encode()));
  return keyed_state_ ? stored_.Add(keyed_state_->Snapshot()) : Status::Ok();
}

Status OperatorHarness::CompleteCheckpoint() {
  if (keyed_state_) keyed_state_->OnCheckpointComplete();
  return operator_->OnCheckpointComplete(checkpoint_id_);
}

Status OperatorHarness::Restore() {
  HR_RETURN_IF_ERROR(operator_->Close());
  operator_.reset();
  keyed_state_.reset();
  return Open();
}

std::vector<std::string> OperatorHarness::OutputText() const {
  std::vector<std::string> rows;
  for (const Element& element : output_) {
    if (element.batch.schema) {
      AppendRowsText(element.batch, &rows);
    } else {
      rows.push_back("Watermark(" + std::to_string(element.watermark) + ")");
    }
  }
  return rows;
}

std::vector<std::string> OperatorHarness::SideText(const std::string& tag) {
  std::vector<std::string> rows;
  for (const RecordBatch& batch : side_[tag]) AppendRowsText(batch, &rows);
  return rows;
}

void OperatorHarness::ClearOutput() {
  output_.clear();
  side_.clear();
}

}  // namespace headrace
