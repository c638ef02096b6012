#include "headrace/runtime/task.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "headrace/base/planted_bug.h"

namespace headrace {

Task::Task(int index, std::string name, TaskHost* host, Env* env)
    : index_(index), name_(std::move(name)), host_(host), env_(env) {}
Task::~Task() = default;

ChainNode* Task::AddNode(ChainNodeSpec spec) {
  nodes_.push_back(std::make_unique<ChainNode>(std::move(spec)));
  return nodes_.back().get();
}

ExchangeWriter* Task::AddWriter(ExchangeWriter::Options options,
                                std::vector<std::shared_ptr<Channel>> channels) {
  writers_.push_back(std::make_unique<ExchangeWriter>(options, std::move(channels)));
  return writers_.back().get();
}

void Task::SetInputs(std::vector<InputGate::Input> inputs, bool at_least_once) {
  gate_ = std::make_unique<InputGate>(std::move(inputs), at_least_once);
}

Status Task::Open() {
  // Tail first: a head may emit what it restored as soon as rows flow.
  for (size_t i = nodes_.size(); i-- > 0;) {
    current_node_ = static_cast<int>(i);
    const Status status = nodes_[i]->Open();
    if (!status.ok()) return status.WithContext(nodes_[i]->Describe());
  }
  if (source_) {
    const ChainNode& node = *nodes_[0];
    Result<std::unique_ptr<SourceReader>> made =
        source_->factory->Make(node.context().subtask_index);
    if (!made.ok()) return made.status().WithContext(node.Describe());
    std::shared_ptr<SourceReader> reader = std::move(*made);
    reader->SetWaker([weak = weak_from_this()] {
      if (const auto task = weak.lock()) task->OnRowsArrived();
    });
    {
      std::lock_guard lock(mutex_);
      reader_ = reader;
      if (cancelled_) reader->Cancel();
    }
    driver_ = std::make_unique<SourceDriver>(std::move(reader), source_->options,
                                             std::move(source_->splits));
    const Status status = driver_->Open(node.context());
    if (!status.ok()) return status.WithContext(node.Describe());
  }
  UpdateRegistry();
  return Status::Ok();
}

void Task::UpdateRegistry() {
  std::vector<RegisteredState> registry;
  for (const auto& node : nodes_) {
    const OperatorContext& context = node->context();
    for (StateRegistration& state : node->Registry()) {
      registry.push_back({context.uid, context.name, context.subtask_index, std::move(state)});
    }
  }
  std::lock_guard lock(mutex_);
  registry_ = std::move(registry);
}

Status Task::Close() {
  if (phase_ == Phase::kClosed) return Status::Ok();
  if (phase_ != Phase::kNew) UpdateRegistry();
  phase_ = Phase::kClosed;
  Status first;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    current_node_ = static_cast<int>(i);
    const Status status = nodes_[i]->Close().WithContext(nodes_[i]->Describe());
    if (first.ok()) first = status;
  }
  std::shared_ptr<SourceReader> reader;
  {
    std::lock_guard lock(mutex_);
    reader.swap(reader_);
  }
  if (reader) {
    const Status status = reader->Close().WithContext(nodes_[0]->Describe());
    if (first.ok()) first = status;
  }
  driver_.reset();
  snapshots_.clear();
  return first;
}

void Task::TriggerCheckpoint(CheckpointId id) {
  {
    std::lock_guard lock(mutex_);
    trigger_command_ = std::max(trigger_command_, id);
    has_commands_ = true;
  }
  Wake();
}

void Task::NotifyComplete(CheckpointId id) {
  {
    std::lock_guard lock(mutex_);
    complete_command_ = std::max(complete_command_, id);
    has_commands_ = true;
  }
  Wake();
}

void Task::Drain() {
  {
    std::lock_guard lock(mutex_);
    drain_command_ = true;
    has_commands_ = true;
  }
  Wake();
}

void Task::Resume() {
  {
    std::lock_guard lock(mutex_);
    resume_command_ = true;
    has_commands_ = true;
  }
  Wake();
}

void Task::OnRowsArrived() {
  // A reader's own thread may call this late. Until Close the attempt that wake_ leads to is alive.
  std::lock_guard lock(mutex_);
  if (!reader_) return;
  rows_arrived_ = true;
  has_commands_ = true;
  Wake();
}

void Task::CancelSource() {
  std::shared_ptr<SourceReader> reader;
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
    reader = reader_;
  }
  if (reader) reader->Cancel();
}

Status Task::ReadCommands() {
  if (has_commands_.load(std::memory_order_acquire)) {
    std::lock_guard lock(mutex_);
    has_commands_ = false;
    triggered_ = std::max(triggered_, trigger_command_);
    completed_ = std::max(completed_, complete_command_);
    if (std::exchange(rows_arrived_, false) && driver_) driver_->PollSoon();
    draining_ = drain_command_;
    if (std::exchange(resume_command_, false)) {
      source_suspended_ = false;
      for (const auto& node : nodes_) node->set_suspended(false);
    }
  }
  if (completed_ <= told_source_) return Status::Ok();
  told_source_ = completed_;
  for (const auto& node : nodes_) node->NotifyComplete(completed_);
  if (!driver_) return Status::Ok();
  std::shared_ptr<SourceReader> reader;
  {
    std::lock_guard lock(mutex_);
    reader = reader_;
  }
  return reader->OnCheckpointComplete(completed_).WithContext(nodes_[0]->Describe());
}

Result<Task::Outcome> Task::Step() {
  now_ns_ = env_->SteadyNs();
  now_ms_ = env_->NowMs();
  next_wake_ns_ = std::numeric_limits<int64_t>::max();
  quiet_again_ms_ = kMaxWatermark;
  if (phase_ == Phase::kNew) {
    HR_RETURN_IF_ERROR(Open());
    phase_ = Phase::kOpening;
    host_->OnOpened();
    return Outcome::kProgress;
  }
  if (phase_ == Phase::kOpening) {
    if (!host_->all_open()) return Outcome::kIdle;
    phase_ = Phase::kRunning;
  }
  HR_RETURN_IF_ERROR(ReadCommands());
  for (const auto& node : nodes_) node->set_now_ns(now_ns_);

  bool progressed = false;
  for (int i = 0; i < elements_per_step_; ++i) {
    HR_ASSIGN_OR_RETURN(bool did, RunDeepest());
    if (!did) {
      HR_ASSIGN_OR_RETURN(did, AnswerTrigger());
    }
    if (!did) {
      HR_ASSIGN_OR_RETURN(did, PullInput());
    }
    if (!did) break;
    progressed = true;
  }
  for (const auto& writer : writers_) writer->FlushIfDue(now_ns_);
  if (acknowledged() < completed_) Acknowledge();
  if (progressed) return Outcome::kProgress;

  const bool blocked = nodes_[0]->RoomRows() == 0 || !nodes_[0]->inbox_empty();
  if (!blocked) {
    // Nothing more is ready: rows that wait for company go out alone.
    for (const auto& writer : writers_) writer->Flush();
    HR_ASSIGN_OR_RETURN(const bool told, TellQuiet());
    if (told) return Outcome::kProgress;
  }
  ComputeNextWake(now_ms_);
  if (phase_ == Phase::kFinished) return Outcome::kFinished;
  return blocked ? Outcome::kBlocked : Outcome::kIdle;
}

Result<bool> Task::RunDeepest() {
  for (size_t i = nodes_.size(); i-- > 0;) {
    ChainNode* node = nodes_[i].get();
    current_node_.store(static_cast<int>(i), std::memory_order_relaxed);
    const Result<ChainNode::Ran> ran = node->Run(now_ms_, now_ns_);
    if (!ran.ok()) return ran.status().WithContext(node->Describe());
    if (*ran == ChainNode::Ran::kNothing) continue;
    if (*ran == ChainNode::Ran::kBarrier) {
      HR_RETURN_IF_ERROR(SnapshotNode(node, node->front_barrier()));
      node->PassBarrier();
    }
    if (*ran == ChainNode::Ran::kFinished) CheckFinished();
    return true;
  }
  return false;
}

// A task without live input is asked for its snapshot directly: no barrier will come through its
// channels.
Result<bool> Task::AnswerTrigger() {
  if (triggered_ <= answered_) return false;
  if (phase_ == Phase::kFinished) {
    const CheckpointId id = triggered_;
    for (const auto& node : nodes_) HR_RETURN_IF_ERROR(SnapshotNode(node.get(), id));
    return true;
  }
  if (!driver_ || nodes_[0]->finished() || !driver_->at_cut()) return false;
  const CheckpointId id = triggered_;
  HR_RETURN_IF_ERROR(SnapshotNode(nodes_[0].get(), id));
  if (Planted(PlantedBug::kRowAfterBarrier) && id > 5) {
    HR_RETURN_IF_ERROR(PullInput().status());
    if (nodes_[0]->finished()) return true;
  }
  nodes_[0]->Forward(StreamElement::Barrier(id));
  return true;
}

Result<bool> Task::PullInput() {
  ChainNode* head = nodes_[0].get();
  current_node_.store(0, std::memory_order_relaxed);
  if (driver_) {
    if (head->finished() || source_suspended_) return false;
    const Result<SourceDriver::Pulled> pulled =
        draining_ ? driver_->Drain(head) : driver_->Pull(now_ns_, head);
    if (!pulled.ok()) return pulled.status().WithContext(head->Describe());
    if (*pulled == SourceDriver::Pulled::kEnded) CheckFinished();
    return *pulled != SourceDriver::Pulled::kNothing;
  }
  if (!gate_ || !head->inbox_empty()) return false;
  StreamElement element;
  if (!gate_->Next(&element)) return false;
  if (element.parts.empty()) {
    head->Enqueue(std::move(element));
    return true;
  }
  Result<std::vector<RecordBatch>> batches = TakeParts(element.parts);
  if (!batches.ok()) return batches.status().WithContext(head->Describe());
  for (RecordBatch& batch : *batches) {
    head->Enqueue(StreamElement::Batch(std::move(batch), element.input));
  }
  return true;
}

Status Task::SnapshotNode(ChainNode* node, CheckpointId id) {
  // A newer barrier says that older checkpoints were given up. Where their barriers are still
  // inside the chain, what its head put aside for them goes first: a table has one open snapshot.
  snapshots_.erase(snapshots_.begin(), snapshots_.lower_bound(id));
  const BarrierRequest request = host_->RequestOf(id);
  Result<OperatorSnapshot> taken = node->TakeSnapshot(id, request.full);
  if (!taken.ok()) return taken.status().WithContext(node->Describe());
  if (request.suspend) {
    node->set_suspended(true);
    source_suspended_ = true;
  }
  if (driver_ && node == nodes_[0].get()) {
    Result<std::vector<SplitSnapshot>> splits = driver_->Snapshot();
    if (!splits.ok()) return splits.status().WithContext(node->Describe());
    taken->splits = std::move(*splits);
  }
  TaskSnapshot& snapshot = snapshots_[id];
  snapshot.task = index_;
  snapshot.operators.push_back(std::move(*taken));
  answered_ = std::max(answered_, id);
  if (snapshot.operators.size() < nodes_.size()) return Status::Ok();
  {
    std::lock_guard lock(mutex_);
    registry_.clear();
    for (const OperatorSnapshot& part : snapshot.operators) {
      for (const StateRegistration& state : part.registry) {
        registry_.push_back({part.operator_id, part.name, part.subtask_index, state});
      }
    }
  }
  TaskSnapshot whole = std::move(snapshot);
  snapshots_.erase(id);
  host_->OnSnapshot(id, std::move(whole));
  return Status::Ok();
}

// Time passes without rows: idle timeouts run, and what live input has shown of event time goes on.
Result<bool> Task::TellQuiet() {
  for (const auto& node : nodes_) {
    if (!node->quiet() || node->suspended()) return false;
  }
  bool told = false;
  for (const auto& node : nodes_) {
    int64_t again_ms = kMaxWatermark;
    const Result<bool> did = node->OnQuiet(now_ms_, &again_ms);
    if (!did.ok()) return did.status().WithContext(node->Describe());
    told = told || *did;
    quiet_again_ms_ = std::min(quiet_again_ms_, again_ms);
  }
  return told;
}

void Task::ComputeNextWake(int64_t now_ms) {
  int64_t wake = std::numeric_limits<int64_t>::max();
  if (quiet_again_ms_ != kMaxWatermark) {
    const int64_t wait_ms = std::clamp<int64_t>(quiet_again_ms_ - now_ms, 1, 1000);
    wake = now_ns_ + wait_ms * 1'000'000;
  }
  for (const auto& writer : writers_) {
    if (writer->flush_due_ns()) wake = std::min(wake, *writer->flush_due_ns());
  }
  for (const auto& node : nodes_) {
    const TimestampMs timer = node->next_processing_time();
    if (timer == kMaxWatermark || node->finished() || node->suspended()) continue;
    const int64_t wait_ms = std::clamp<int64_t>(timer - now_ms, 1, 1000);
    wake = std::min(wake, now_ns_ + wait_ms * 1'000'000);
  }
  if (driver_ && !nodes_[0]->finished() && driver_->next_poll_ns() > now_ns_) {
    wake = std::min(wake, driver_->next_poll_ns());
  }
  next_wake_ns_ = wake;
}

void Task::CheckFinished() {
  std::vector<PendingRename> renames;
  for (const auto& node : nodes_) {
    if (!node->finished()) return;
    for (PendingRename& rename : node->UnconfirmedRenames()) renames.push_back(std::move(rename));
  }
  UpdateRegistry();
  phase_ = Phase::kFinished;
  host_->OnFinished(std::move(renames));
}

void Task::Acknowledge() {
  for (const auto& node : nodes_) {
    if (!node->told_complete(completed_)) return;
  }
  acknowledged_.store(completed_, std::memory_order_release);
}

std::string Task::DescribeCurrent() const {
  return nodes_[current_node_.load(std::memory_order_relaxed)]->Describe();
}

std::vector<RegisteredState> Task::Registry() const {
  std::lock_guard lock(mutex_);
  return registry_;
}

}  // namespace headrace
