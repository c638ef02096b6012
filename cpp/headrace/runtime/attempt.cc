#include "headrace/runtime/attempt.h"

#include <algorithm>
#include <utility>

namespace headrace {

namespace {

constexpr int kNativeElementsPerStep = 8;
// A step of a task that calls Python holds the interpreter's lock: about one batch through a short
// chain.
constexpr int kHostElementsPerStep = 4;
constexpr int64_t kChannelRowsMin = 1024;
// A host object lies apart from its neighbours and has others below it, so that fewer of them fit a
// core's cache than of typed rows.
constexpr int64_t kObjectRowsDivisor = 4;
constexpr int64_t kObjectRowsMin = 256;

// Of a limit that is meant for typed rows, what is right for those of a node.
int64_t RowsFor(const StreamNode& node, int64_t rows) {
  if (!EmitsHostObjects(node)) return rows;
  return std::min(rows, std::max(rows / kObjectRowsDivisor, kObjectRowsMin));
}

int KeyedSubtasks(const StreamGraph& stream) {
  int count = 0;
  for (const StreamNode& node : stream.nodes) count += node.keyed ? node.parallelism : 0;
  return count;
}

}  // namespace

Result<std::shared_ptr<Attempt>> Attempt::Make(Inputs inputs) {
  auto attempt = std::make_shared<Attempt>(std::move(inputs));
  HR_RETURN_IF_ERROR(attempt->Build());
  return attempt;
}

Attempt::Attempt(Inputs inputs) : inputs_(std::move(inputs)) {}
Attempt::~Attempt() = default;

Status Attempt::Build() {
  const JobGraph& graph = *inputs_.graph;
  int count = 0;
  for (const ChainSpec& chain : graph.chains) {
    first_task_of_chain_.push_back(count);
    count += chain.parallelism;
  }
  task_inputs_.resize(count);
  for (const ChainSpec& chain : graph.chains) {
    for (int subtask = 0; subtask < chain.parallelism; ++subtask) {
      HR_RETURN_IF_ERROR(BuildTask(chain, subtask));
    }
  }
  for (const ExchangeSpec& exchange : graph.exchanges) Connect(exchange);

  TaskScheduler::Options options;
  options.env = inputs_.options.env;
  options.native_threads = inputs_.options.native_threads;
  options.hooks = inputs_.options.hooks;
  options.stepped = inputs_.stepped;
  options.on_failure = [this](Status status) { Fail(std::move(status)); };
  options.on_closed = inputs_.notify;
  scheduler_ = std::make_unique<TaskScheduler>(std::move(options));
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (!task_inputs_[i].empty()) {
      tasks_[i]->SetInputs(std::move(task_inputs_[i]), inputs_.options.checkpoints.at_least_once);
    }
    scheduler_->Add(tasks_[i], own_thread_[i]);
  }
  if (!inputs_.store) return Status::Ok();
  writer_ = std::make_unique<SnapshotWriter>(inputs_.options.env, inputs_.store.get());
  if (inputs_.restore && inputs_.store->Holds(inputs_.restore->manifest())) {
    std::vector<std::string> unchanged;
    for (const StreamNode& node : graph.stream->nodes) {
      const std::string& id = graph.operator_ids[node.id];
      if (inputs_.restore->Has(id) && inputs_.restore->SameParallelism(id, node.parallelism)) {
        unchanged.push_back(id);
      }
    }
    writer_->Seed(inputs_.restore->manifest(), unchanged);
  }
  coordinator_ = std::make_unique<CheckpointCoordinator>(
      inputs_.options.env, inputs_.options.checkpoints, inputs_.store.get(), writer_.get(),
      static_cast<int>(tasks_.size()), inputs_.first_checkpoint);
  return Status::Ok();
}

ChainNodeSpec Attempt::NodeSpec(const StreamNode& node, int subtask) const {
  ChainNodeSpec spec;
  spec.context.name = node.name;
  spec.context.uid = inputs_.graph->operator_ids[node.id];
  spec.context.subtask_index = subtask;
  spec.context.parallelism = node.parallelism;
  spec.context.max_parallelism = node.max_parallelism;
  spec.context.attempt = inputs_.number;
  spec.context.env = inputs_.options.env;
  spec.context.batch_rows = RowsFor(node, inputs_.options.batch_rows);
  spec.context.job_parameters = &inputs_.options.job_parameters;
  spec.kind = node.kind;
  spec.factory = node.op;
  spec.keyed = node.keyed;
  spec.object_reuse = inputs_.options.object_reuse;
  spec.state_memory_budget_bytes = inputs_.options.state_memory_budget_bytes;
  spec.partition_bytes = inputs_.options.partition_bytes;
  spec.incremental_checkpoints = inputs_.options.incremental_checkpoints;
  if (node.keyed && inputs_.options.cold_stores) {
    spec.state_memory_budget_bytes /= KeyedSubtasks(*inputs_.graph->stream);
    spec.cold_stores = inputs_.options.cold_stores;
    spec.row_cache_bytes = inputs_.options.row_cache_bytes;
    spec.cold_directory = inputs_.options.scratch_directory + "/" + std::to_string(inputs_.number) +
                          "-" + std::to_string(node.id) + "-" + std::to_string(subtask);
  }
  spec.restore = inputs_.restore.get();
  spec.metrics = inputs_.metrics->Register(node.name, subtask);
  return spec;
}

Status Attempt::BuildTask(const ChainSpec& chain, int subtask) {
  const StreamGraph& stream = *inputs_.graph->stream;
  const int index = static_cast<int>(tasks_.size());
  auto task = std::make_shared<Task>(index,
                                     chain.name + " (" + std::to_string(subtask + 1) + "/" +
                                         std::to_string(chain.parallelism) + ")",
                                     this, inputs_.options.env);
  for (const int id : chain.nodes) {
    const StreamNode& node = stream.nodes[id];
    ChainNode* made = task->AddNode(NodeSpec(node, subtask));
    nodes_[{id, subtask}] = made;
    if (id != chain.nodes[0]) {
      const StreamEdge& edge = node.inputs[0];
      nodes_.at({edge.from, subtask})->AddReader(edge.side_tag, made);
    }
  }
  const StreamNode& head = stream.nodes[chain.nodes[0]];
  if (head.source) {
    HR_ASSIGN_OR_RETURN(TaskSource source, SourceFor(head, subtask));
    task->SetSource(std::move(source));
  }
  // In simulation any other task may run between two elements.
  const int elements = chain.calls_python ? kHostElementsPerStep : kNativeElementsPerStep;
  task->set_elements_per_step(inputs_.stepped ? 1 : elements);
  tasks_.push_back(std::move(task));
  own_thread_.push_back(chain.calls_python);
  return Status::Ok();
}

Result<TaskSource> Attempt::SourceFor(const StreamNode& node, int subtask) const {
  TaskSource source;
  source.factory = node.source;
  source.options.source = node.source_options;
  source.options.replayable = node.source->replayable();
  source.options.bounded = node.source->bounded();
  source.options.time_ordered = node.source->time_ordered();
  source.options.batch_rows = RowsFor(node, inputs_.options.batch_rows);
  const std::string& id = inputs_.graph->operator_ids[node.id];
  if (inputs_.restore && inputs_.restore->Has(id)) {
    Result<std::vector<SourceDriver::OwnedSplit>> stored =
        DealStoredSplits(inputs_.restore->SplitsOf(id), subtask, node.parallelism);
    if (!stored.ok()) return stored.status().WithContext("operator '" + node.name + "'");
    source.splits = std::move(*stored);
  } else {
    const auto planned = inputs_.planned_splits.find(node.id);
    if (planned == inputs_.planned_splits.end()) {
      return Status::Internal("operator '" + node.name + "': its splits were not planned");
    }
    source.splits = DealPlannedSplits(planned->second, subtask, node.parallelism);
  }
  return source;
}

void Attempt::Connect(const ExchangeSpec& exchange) {
  const JobGraph& graph = *inputs_.graph;
  const StreamNode& from = graph.stream->nodes[exchange.from_node];
  const StreamNode& to = graph.stream->nodes[exchange.to_node];
  const int from_chain = graph.chain_of_node[from.id];
  const int to_chain = graph.chain_of_node[to.id];
  const int producers = exchange.partitioning == Partitioning::kForward ? 1 : from.parallelism;
  // What waits for one consumer should fit a core's cache, however many producers there are.
  const int64_t consumer_rows = RowsFor(from, inputs_.options.channel_rows);
  const int64_t channel_rows =
      std::max(std::min(consumer_rows, kChannelRowsMin), consumer_rows / producers);
  for (int i = 0; i < from.parallelism; ++i) {
    Task* producer = tasks_[TaskIndex(from_chain, i)].get();
    std::vector<std::shared_ptr<Channel>> channels;
    for (int j = 0; j < to.parallelism; ++j) {
      if (exchange.partitioning == Partitioning::kForward && i != j) continue;
      const int consumer_index = TaskIndex(to_chain, j);
      Task* consumer = tasks_[consumer_index].get();
      auto channel = std::make_shared<Channel>(channel_rows, inputs_.options.channel_bytes);
      channel->SetWakers([consumer] { consumer->Wake(); }, [producer] { producer->Wake(); });
      channels.push_back(channel);
      channels_.push_back(channel);
      task_inputs_[consumer_index].push_back({channel, exchange.input});
    }
    ExchangeWriter::Options options;
    options.partitioning = exchange.partitioning;
    options.max_parallelism = to.max_parallelism;
    options.batch_rows = RowsFor(from, inputs_.options.batch_rows);
    options.buffer_timeout_ms =
        from.buffer_timeout_ms >= 0 ? from.buffer_timeout_ms : inputs_.options.buffer_timeout_ms;
    options.first_consumer = i;
    options.copy_objects = !inputs_.options.object_reuse;
    nodes_.at({from.id, i})
        ->AddReader(exchange.side_tag, producer->AddWriter(options, std::move(channels)));
  }
}

void Attempt::Start() { scheduler_->Start(shared_from_this()); }

Attempt::Report Attempt::Tick() {
  Report report;
  if (all_open() && coordinator_) {
    const bool all_finished = finished_.load() == static_cast<int>(tasks_.size());
    if (all_finished && !final_requested_) {
      final_requested_ = true;
      for (SavepointRequestPtr& request : drains_) {
        coordinator_->RequestSavepoint(std::move(request));
      }
      drains_.clear();
      coordinator_->RequestNow(/*final=*/true);
    }
    std::vector<CheckpointCoordinator::Event> events;
    if (final_complete_ == 0) events = coordinator_->Tick();
    for (const CheckpointCoordinator::Event& event : events) {
      if (final_complete_ > 0) break;  // nothing follows the last word
      Handle(event);
    }
    report.settled = final_complete_ > 0;
    report.finished =
        final_complete_ > 0 && std::all_of(tasks_.begin(), tasks_.end(), [&](const auto& task) {
          return task->acknowledged() >= final_complete_;
        });
  } else if (all_open()) {
    report.finished = finished_.load() == static_cast<int>(tasks_.size());
  }
  report.failure = failure();
  return report;
}

void Attempt::Handle(const CheckpointCoordinator::Event& event) {
  using Kind = CheckpointCoordinator::Event::Kind;
  switch (event.kind) {
    case Kind::kTrigger:
      Trigger(event);
      break;
    case Kind::kCompleted:
      for (const auto& task : tasks_) task->NotifyComplete(event.id);
      last_complete_ = event.id;
      final_decided_ = event.final;
      if (event.final && !event.savepoint) EndWith(event.id);
      break;
    case Kind::kAborted:
      if (wanted_checkpoint_ > last_complete_) coordinator_->RequestNow(/*final=*/false);
      break;
    case Kind::kFailJob:
      Fail(event.status);
      break;
    case Kind::kSavepointEnded: {
      const bool suspends = event.stop == SavepointStop::kSuspend;
      if (final_decided_ || (suspends && event.status.ok())) {
        EndWith(event.id);
      } else if (suspends) {
        for (const auto& task : tasks_) task->Resume();
      }
      break;
    }
  }
}

void Attempt::Trigger(const CheckpointCoordinator::Event& event) {
  // Told before any barrier is on its way.
  if (event.savepoint) full_checkpoint_.store(event.id, std::memory_order_release);
  if (event.stop == SavepointStop::kSuspend) {
    suspending_checkpoint_.store(event.id, std::memory_order_release);
  }
  for (const auto& task : tasks_) task->TriggerCheckpoint(event.id);
}

void Attempt::EndWith(CheckpointId id) {
  final_complete_ = id;
  coordinator_->Shutdown();
}

void Attempt::RequestSavepoint(SavepointRequestPtr request) {
  if (request->stop() != SavepointStop::kDrain || final_requested_) {
    coordinator_->RequestSavepoint(std::move(request));
    return;
  }
  drains_.push_back(std::move(request));
  for (const auto& task : tasks_) task->Drain();
}

CheckpointId Attempt::RequestCheckpoint() {
  wanted_checkpoint_ = coordinator_->RequestNow(/*final=*/false);
  return wanted_checkpoint_;
}

void Attempt::SetCheckpointInterval(int64_t interval_ms) {
  if (coordinator_) coordinator_->SetInterval(interval_ms);
}

BarrierRequest Attempt::RequestOf(CheckpointId id) const {
  return {.full = full_checkpoint_.load(std::memory_order_acquire) == id,
          .suspend = suspending_checkpoint_.load(std::memory_order_acquire) == id};
}

Status Attempt::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

void Attempt::RequestStop() {
  if (coordinator_) coordinator_->Shutdown();
  scheduler_->RequestStop();
}

void Attempt::Fail(Status status) {
  {
    std::lock_guard lock(mutex_);
    if (!failure_.ok()) return;
    failure_ = std::move(status);
  }
  inputs_.notify();
}

void Attempt::OnOpened() {
  if (opened_.fetch_add(1) + 1 < static_cast<int>(tasks_.size())) return;
  all_open_.store(true, std::memory_order_release);
  scheduler_->WakeAll();
  inputs_.notify();
}

void Attempt::OnSnapshot(CheckpointId id, TaskSnapshot snapshot) {
  if (!coordinator_) return;
  coordinator_->OnSnapshot(id, std::move(snapshot));
  inputs_.notify();
}

void Attempt::OnFinished(std::vector<PendingRename> renames) {
  {
    std::lock_guard lock(mutex_);
    for (PendingRename& rename : renames) renames_.push_back(std::move(rename));
  }
  finished_.fetch_add(1);
  inputs_.notify();
}

std::vector<PendingRename> Attempt::TakeRenames() {
  std::lock_guard lock(mutex_);
  return std::move(renames_);
}

std::vector<CheckpointRecord> Attempt::Checkpoints() const {
  return coordinator_ ? coordinator_->History() : std::vector<CheckpointRecord>();
}

std::vector<RegisteredState> Attempt::StateRegistry() const {
  std::vector<RegisteredState> registry;
  for (const auto& task : tasks_) {
    for (RegisteredState& line : task->Registry()) registry.push_back(std::move(line));
  }
  return registry;
}

}  // namespace headrace
