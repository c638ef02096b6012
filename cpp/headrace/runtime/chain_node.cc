#include "headrace/runtime/chain_node.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "headrace/runtime/batch_concat.h"

namespace headrace {

namespace {

constexpr size_t kInboxElementsMax = 64;
// Event time a node had reached goes into its operator state, so that a row that was late before a
// crash is late after it too and cannot fire a window a second time. The item:
//
//   8 bytes  watermark in ms, little-endian
constexpr std::string_view kWatermarkItem = "headrace.watermark";

// As often as costs nothing: at barriers and in the end.
void ReportStore(const KeyedState& state, TaskMetrics* metrics) {
  for (const auto& [name, value] : state.ColdStatistics()) {
    metrics->UserGauge("state_store." + name).Set(value);
  }
}

}  // namespace

ChainNode::ChainNode(ChainNodeSpec spec) : spec_(std::move(spec)) {}
ChainNode::~ChainNode() = default;

void ChainNode::AddReader(const std::string& tag, ChainNode* node) {
  Reader reader{node, nullptr};
  (tag.empty() ? main_readers_ : side_readers_[tag]).push_back(reader);
  all_readers_.push_back(reader);
}

void ChainNode::AddReader(const std::string& tag, ExchangeWriter* writer) {
  Reader reader{nullptr, writer};
  (tag.empty() ? main_readers_ : side_readers_[tag]).push_back(reader);
  all_readers_.push_back(reader);
}

std::string ChainNode::Describe() const {
  return "operator '" + spec_.context.name + "' (subtask " +
         std::to_string(spec_.context.subtask_index) + "/" +
         std::to_string(spec_.context.parallelism) + ")";
}

Status ChainNode::Open() {
  spec_.context.metrics = spec_.metrics.get();
  if (!spec_.factory) return Status::Ok();
  if (spec_.keyed) {
    std::unique_ptr<ColdStore> cold;
    if (spec_.cold_stores) {
      ColdStoreOptions options;
      options.directory = spec_.cold_directory;
      options.memory_bytes = spec_.state_memory_budget_bytes / KeyedState::kColdStoreShare;
      HR_ASSIGN_OR_RETURN(cold, spec_.cold_stores->Open(spec_.context.env, options));
    }
    keyed_ = std::make_unique<KeyedState>(
        KeyGroupRangeOf(spec_.context.subtask_index, spec_.context.parallelism,
                        spec_.context.max_parallelism),
        spec_.context.max_parallelism, spec_.state_memory_budget_bytes, std::move(cold));
    keyed_->SetPartitionBytes(spec_.partition_bytes);
    if (spec_.row_cache_bytes >= 0) keyed_->LimitCache(spec_.row_cache_bytes);
  }
  if (spec_.restore && spec_.restore->Has(spec_.context.uid)) HR_RETURN_IF_ERROR(RestoreState());
  spec_.context.keyed_state = keyed_.get();
  spec_.context.operator_state = &operator_state_;
  HR_ASSIGN_OR_RETURN(op_, spec_.factory->Make(spec_.context.subtask_index));
  if (keyed_) keyed_->SetWriteBack([this] { return op_->FlushState(); });
  HR_RETURN_IF_ERROR(op_->Open(spec_.context));
  if (keyed_) spec_.metrics->state_bytes.Set(keyed_->memory_bytes());
  next_processing_time_ = op_->NextProcessingTime();
  return Status::Ok();
}

Status ChainNode::RestoreState() {
  const OperatorContext& context = spec_.context;
  spec_.context.restored = true;
  spec_.context.restored_checkpoint = spec_.restore->manifest().id;
  if (keyed_) {
    HR_ASSIGN_OR_RETURN(
        StoredKeyedState stored,
        spec_.restore->KeyedStateFor(context.uid, context.subtask_index, context.parallelism));
    HR_RETURN_IF_ERROR(keyed_->Restore(std::move(stored)));
  }
  HR_ASSIGN_OR_RETURN(
      operator_state_,
      spec_.restore->OperatorStateFor(context.uid, context.subtask_index, context.parallelism));
  TimestampMs watermark = kMaxWatermark;
  for (const std::string& item : operator_state_.Items(kWatermarkItem)) {
    ByteReader in(item);
    TimestampMs former = kMinWatermark;
    HR_RETURN_IF_ERROR(in.Fixed(&former));
    watermark = std::min(watermark, former);
  }
  if (!operator_state_.Items(kWatermarkItem).empty() && watermark > kMinWatermark) {
    Enqueue(StreamElement::Watermark(watermark));
  }
  // An operator that had used up its input has emitted its last rows; they are in the state of its
  // readers. Where only some subtasks had, the input of the others may now come here too, so the
  // end must be handled again.
  const OperatorManifest* manifest = spec_.restore->manifest().Find(context.uid);
  restored_finished_ = manifest && !manifest->subtasks.empty() &&
                       std::all_of(manifest->subtasks.begin(), manifest->subtasks.end(),
                                   [](const SubtaskManifest& subtask) { return subtask.finished; });
  return Status::Ok();
}

Status ChainNode::Close() {
  inbox_.clear();
  if (keyed_) ReportStore(*keyed_, spec_.metrics.get());
  Status status = op_ ? op_->Close() : Status::Ok();
  op_.reset();
  return status;
}

int64_t ChainNode::InboxRoomRows() const {
  if (inbox_.size() >= kInboxElementsMax) return 0;
  return std::max<int64_t>(0, spec_.context.batch_rows - inbox_rows_);
}

int64_t ChainNode::RoomRows() const {
  int64_t room = spec_.context.batch_rows;
  for (const Reader& reader : all_readers_) {
    if (reader.node) {
      room = std::min(room, reader.node->InboxRoomRows());
    } else if (!reader.writer->HasRoom()) {
      room = 0;
    }
    if (room == 0) break;
  }
  return room;
}

bool ChainNode::HasSideReader(const std::string& tag) const {
  return side_readers_.find(tag) != side_readers_.end();
}

void ChainNode::Emit(RecordBatch batch) {
  if (batch.num_rows == 0 || !StateIsReadable()) return;
  spec_.metrics->rows_out.Add(batch.num_rows);
  spec_.metrics->batches_out.Increment();
  EmitTo(main_readers_, std::move(batch));
}

void ChainNode::EmitSide(const std::string& tag, RecordBatch batch) {
  const auto readers = side_readers_.find(tag);
  if (readers == side_readers_.end() || batch.num_rows == 0 || !StateIsReadable()) return;
  EmitTo(readers->second, std::move(batch));
}

// What was made of rows that could not be read must not leave the node.
bool ChainNode::StateIsReadable() {
  if (!keyed_ || keyed_->cold_status().ok()) return true;
  if (emit_failure_.ok()) emit_failure_ = keyed_->cold_status();
  return false;
}

void ChainNode::EmitTo(const std::vector<Reader>& readers, RecordBatch batch) {
  if (readers.empty()) return;
  for (size_t i = 1; i < readers.size(); ++i) {
    if (spec_.object_reuse) {
      Deliver(readers[i], batch);
      continue;
    }
    Result<RecordBatch> copy = CopyMutableObjects(batch);
    if (!copy.ok()) {
      emit_failure_ = copy.status();
      return;
    }
    Deliver(readers[i], std::move(*copy));
  }
  Deliver(readers[0], std::move(batch));
}

void ChainNode::Deliver(const Reader& reader, RecordBatch batch) {
  if (reader.node) {
    reader.node->Enqueue(StreamElement::Batch(std::move(batch)));
    return;
  }
  Status status = reader.writer->Write(batch, now_ns_);
  if (!status.ok() && emit_failure_.ok()) emit_failure_ = std::move(status);
}

void ChainNode::Enqueue(StreamElement element) {
  if (element.kind == StreamElement::Kind::kBatch) inbox_rows_ += element.batch.num_rows;
  inbox_.push_back(std::move(element));
}

void ChainNode::Forward(const StreamElement& element) {
  for (const Reader& reader : all_readers_) {
    if (reader.node) {
      reader.node->Enqueue(element);
    } else {
      reader.writer->WriteControl(element);
    }
  }
}

void ChainNode::ForwardWatermark(TimestampMs watermark) {
  if (watermark <= watermark_out_) return;
  watermark_out_ = watermark;
  Forward(StreamElement::Watermark(watermark));
}

void ChainNode::FinishSource() {
  ForwardWatermark(kMaxWatermark);
  finished_ = true;
  Forward(StreamElement::Control(StreamElement::Kind::kEndOfInput));
}

Result<ChainNode::Ran> ChainNode::Run(int64_t now_ms, int64_t now_ns) {
  now_ns_ = now_ns;
  if (!op_) return Ran::kNothing;
  if (completed_ > told_completed_ && call_ == Call::kNone) {
    told_completed_ = completed_;
    std::erase_if(unconfirmed_, [&](const auto& entry) { return entry.first <= completed_; });
    if (keyed_) keyed_->OnCheckpointComplete();
    HR_RETURN_IF_ERROR(op_->OnCheckpointComplete(completed_));
    return Ran::kProgress;
  }
  if (call_ == Call::kProcessingTime ||
      (call_ == Call::kNone && !finished_ && !suspended_ && next_processing_time_ <= now_ms)) {
    return RunProcessingTime(now_ms);
  }
  if (inbox_.empty()) return Ran::kNothing;
  return RunElement();
}

Result<ChainNode::Ran> ChainNode::RunProcessingTime(int64_t now_ms) {
  if (RoomRows() == 0) return Ran::kNothing;
  if (call_ == Call::kNone) {
    call_ = Call::kProcessingTime;
    call_time_ = now_ms;
  }
  HR_ASSIGN_OR_RETURN(const Progress progress, AfterCall(op_->OnProcessingTime(call_time_, *this)));
  if (progress == Progress::kDone) {
    call_ = Call::kNone;
    HR_RETURN_IF_ERROR(MaintainState());
  }
  return Ran::kProgress;
}

Result<ChainNode::Ran> ChainNode::RunElement() {
  switch (inbox_.front().kind) {
    case StreamElement::Kind::kBarrier:
      return Ran::kBarrier;
    case StreamElement::Kind::kIdle:
    case StreamElement::Kind::kActive:
      inputs_idle_ = inbox_.front().kind == StreamElement::Kind::kIdle;
      inbox_.pop_front();
      SendIdleness();
      return Ran::kProgress;
    default:
      break;
  }
  // Watermarks and the end of input may emit, and a full reader must not collect control elements
  // without bound.
  if (RoomRows() == 0) return Ran::kNothing;
  if (call_ == Call::kNone && inbox_.front().kind == StreamElement::Kind::kBatch) {
    spec_.metrics->rows_in.Add(inbox_.front().batch.num_rows);
    spec_.metrics->batches_in.Increment();
    own_idle_ = false;
    SendIdleness();
  }
  call_ = Call::kElement;
  HR_ASSIGN_OR_RETURN(const Progress progress, AfterCall(CallForFront()));
  if (progress == Progress::kBlocked) return Ran::kProgress;
  call_ = Call::kNone;
  return CompleteFront();
}

Result<Progress> ChainNode::CallForFront() {
  StreamElement& front = inbox_.front();
  switch (front.kind) {
    case StreamElement::Kind::kBatch:
      return op_->Process(front.batch, front.input, *this);
    case StreamElement::Kind::kWatermark:
      if (restored_finished_) return Progress::kDone;
      return op_->OnWatermark(front.watermark, *this);
    default:
      if (restored_finished_) return Progress::kDone;
      return op_->Finish(*this);
  }
}

Result<Progress> ChainNode::AfterCall(Result<Progress> progress) {
  // First, as a row that could not be read looks as if it were not there: what the operator says
  // then is not the cause.
  if (keyed_) HR_RETURN_IF_ERROR(keyed_->cold_status());
  if (!emit_failure_.ok()) return std::move(emit_failure_);
  HR_RETURN_IF_ERROR(progress.status());
  ForwardProduced();
  next_processing_time_ = op_->NextProcessingTime();
  return progress;
}

void ChainNode::ForwardProduced() {
  const TimestampMs produced = op_->TakeProducedWatermark();
  if (produced != kMinWatermark) ForwardWatermark(produced);
}

void ChainNode::SendIdleness() {
  const bool idle = inputs_idle_ || own_idle_;
  if (idle == sent_idle_) return;
  sent_idle_ = idle;
  Forward(StreamElement::Control(idle ? StreamElement::Kind::kIdle : StreamElement::Kind::kActive));
}

Result<bool> ChainNode::OnQuiet(int64_t now_ms, int64_t* again_ms) {
  *again_ms = kMaxWatermark;
  if (!op_ || finished_) return false;
  *again_ms = op_->OnQuiet(now_ms);
  const TimestampMs watermark_before = watermark_out_;
  const bool idle_before = sent_idle_;
  ForwardProduced();
  own_idle_ = op_->ProducesIdle();
  SendIdleness();
  return watermark_out_ != watermark_before || sent_idle_ != idle_before;
}

Result<ChainNode::Ran> ChainNode::CompleteFront() {
  const StreamElement done = std::move(inbox_.front());
  inbox_.pop_front();
  switch (done.kind) {
    case StreamElement::Kind::kBatch:
      inbox_rows_ -= done.batch.num_rows;
      HR_RETURN_IF_ERROR(MaintainState());
      return Ran::kProgress;
    case StreamElement::Kind::kWatermark:
      watermark_in_ = std::max(watermark_in_, done.watermark);
      spec_.metrics->watermark_ms.Set(watermark_in_);
      ForwardWatermark(op_->ForwardedWatermark(done.watermark));
      HR_RETURN_IF_ERROR(MaintainState());
      return Ran::kProgress;
    default:
      break;
  }
  finished_ = true;
  for (PendingRename& rename : op_->TakePendingRenames()) {
    unconfirmed_.emplace_back(std::numeric_limits<CheckpointId>::max(), std::move(rename));
  }
  Forward(done);
  return Ran::kFinished;
}

Status ChainNode::MaintainState() {
  if (!keyed_) return Status::Ok();
  keyed_->Maintain();
  spec_.metrics->state_bytes.Set(keyed_->memory_bytes());
  return keyed_->CheckBudget();
}

Result<OperatorSnapshot> ChainNode::TakeSnapshot(CheckpointId id, bool full) {
  OperatorSnapshot snapshot;
  snapshot.operator_id = spec_.context.uid;
  snapshot.name = spec_.context.name;
  snapshot.kind = spec_.kind;
  snapshot.subtask_index = spec_.context.subtask_index;
  snapshot.parallelism = spec_.context.parallelism;
  snapshot.max_parallelism = spec_.context.max_parallelism;
  snapshot.finished = finished_;
  if (!op_) return snapshot;
  // The operator first: it may still write cached values back into its keyed state.
  HR_RETURN_IF_ERROR(op_->Snapshot(id, &snapshot.operator_state));
  if (keyed_) {
    snapshot.key_groups = keyed_->range();
    if (full || !spec_.incremental_checkpoints) keyed_->RequireFullSnapshot();
    snapshot.keyed = keyed_->Snapshot();
    HR_RETURN_IF_ERROR(keyed_->cold_status());
    ReportStore(*keyed_, spec_.metrics.get());
  }
  snapshot.registry = Registry();
  // Not for operators that remember nothing: a program may leave them out when it resumes.
  if (keyed_ || !snapshot.operator_state.lists().empty()) {
    ByteWriter watermark;
    watermark.Fixed(watermark_in_);
    snapshot.operator_state.Set(kWatermarkItem, Redistribution::kUnion, {watermark.Take()});
  }
  for (auto& entry : unconfirmed_) entry.first = std::min(entry.first, id);
  for (PendingRename& rename : op_->TakePendingRenames()) {
    unconfirmed_.emplace_back(id, std::move(rename));
  }
  // Renames of a checkpoint that failed go into the next one; publishing twice is harmless.
  snapshot.renames = UnconfirmedRenames();
  return snapshot;
}

void ChainNode::PassBarrier() {
  const StreamElement barrier = std::move(inbox_.front());
  inbox_.pop_front();
  Forward(barrier);
}

std::vector<PendingRename> ChainNode::UnconfirmedRenames() const {
  std::vector<PendingRename> renames;
  for (const auto& entry : unconfirmed_) renames.push_back(entry.second);
  return renames;
}

std::vector<StateRegistration> ChainNode::Registry() const {
  std::vector<StateRegistration> registry;
  if (keyed_) registry = keyed_->Registry();
  if (!op_) return registry;
  for (StateRegistration& line : op_->OperatorStateRegistry()) registry.push_back(std::move(line));
  return registry;
}

}  // namespace headrace
