#include "headrace/runtime/job_impl.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <set>
#include <utility>

#include "headrace/storage/pending_rename.h"

namespace headrace {

namespace {

// Bounds how late the loop sees that a background write is done or an interval is over.
constexpr int64_t kLoopIntervalNs = 5'000'000;
// When the loop comes later than this, the whole process stood still, and nobody else got on.
constexpr int64_t kStallMaxNs = 1'000'000'000;
constexpr int64_t kInterruptAfterNs = 100'000'000;
// After a failure a slow operator is given longer than after a cancel: nobody waits at a prompt.
constexpr int64_t kFailureStopFactor = 10;

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) text.append(text.empty() ? "" : separator).append(part);
  return text;
}

}  // namespace

JobImpl::~JobImpl() {
  bool running = false;
  {
    std::lock_guard lock(mutex_);
    running = started_ && !ended_;
  }
  if (running && loop_thread_) Cancel();
  if (loop_thread_) loop_thread_->Join();
  // Simulation: dropping a job that still runs is how a process dies.
  if (attempt_ && !ended_ && !loop_thread_) attempt_->RequestStop();
}

Status JobImpl::Start() {
  {
    std::lock_guard lock(mutex_);
    if (started_) return Status::FailedPrecondition("the job was started before");
    started_ = true;
  }
  loop_thread_ = env_->StartThread("hr-job", [this] { RunLoop(); });
  return Status::Ok();
}

void JobImpl::RunLoop() {
  while (phase_ != Phase::kEnded) {
    const int64_t sleep_ns = RunLoopOnce();
    if (phase_ == Phase::kEnded || sleep_ns == 0) continue;
    std::unique_lock lock(signal_->mutex);
    if (!signal_->set) {
      signal_->changed.wait_for(lock, std::chrono::nanoseconds(sleep_ns));
    }
    signal_->set = false;
  }
}

int64_t JobImpl::RunLoopOnce() {
  const int64_t now_ns = env_->SteadyNs();
  awake_ns_ += std::min(now_ns - last_loop_ns_, kStallMaxNs);
  last_loop_ns_ = now_ns;
  const Phase before = phase_;
  switch (phase_) {
    case Phase::kStarting:
      StartAttempt();
      break;
    case Phase::kRunning:
      WatchAttempt();
      break;
    case Phase::kStopping:
      WatchStop();
      break;
    case Phase::kErasing:
      WatchErasure();
      break;
    case Phase::kDelayed: {
      std::unique_lock lock(mutex_);
      const bool cancel = cancel_requested_;
      lock.unlock();
      if (cancel) {
        End(JobState::kCanceled, Status::Cancelled("the job was cancelled"));
      } else if (last_loop_ns_ >= restart_at_ns_) {
        phase_ = Phase::kStarting;
      }
      break;
    }
    case Phase::kReleasing:
      WatchRelease();
      break;
    case Phase::kEnded:
      break;
  }
  return phase_ == before ? kLoopIntervalNs : 0;
}

void JobImpl::StartAttempt() {
  if (started_ns_ == 0) started_ns_ = last_loop_ns_;
  if (restored_final_) {
    End(JobState::kFinished, Status::Ok());
    return;
  }
  const Status status = BuildAttempt();
  if (!status.ok()) {
    OnFailure(status);
    return;
  }
  if (phase_ != Phase::kStarting) return;  // there is nothing left to do
  phase_ = Phase::kRunning;
  SetState(JobState::kRunning);
  attempt_->Start();
}

Status JobImpl::BuildAttempt() {
  std::optional<RestorePoint> point = restore_point_;
  if (attempts_ > 0 && store_) {
    std::string warning;
    HR_ASSIGN_OR_RETURN(std::optional<Manifest> latest, store_->LoadLatest(false, &warning));
    // One of an earlier run in the same directory is not ours to continue, unless we started from
    // it.
    if (latest && latest->run_id == store_->run_id()) {
      HR_RETURN_IF_ERROR(FinishPublication(env_->files(), *latest));
      point = RestorePoint{std::move(*latest), store_->job_directory()};
    }
  }
  if (attempts_ > 0) {
    std::lock_guard lock(mutex_);
    if (!result_.recoveries.empty()) {
      result_.recoveries.back().checkpoint = point ? point->manifest.id : 0;
    }
  }
  Attempt::Inputs inputs;
  inputs.graph = graph_;
  inputs.options = options_;
  inputs.options.checkpoints.interval_ms = interval_ms_;
  inputs.number = attempts_;
  inputs.stepped = stepped_;
  inputs.store = store_;
  inputs.planned_splits = planned_splits_;
  inputs.metrics = metrics_;
  inputs.notify = [signal = signal_] {
    std::lock_guard lock(signal->mutex);
    signal->set = true;
    signal->changed.notify_one();
  };
  if (point) {
    if (point->manifest.Finished()) {
      // The failure came after the last decision: everything is committed.
      End(JobState::kFinished, Status::Ok());
      return Status::Ok();
    }
    inputs.first_checkpoint = point->manifest.id + 1;
    HR_ASSIGN_OR_RETURN(inputs.restore,
                        RestorePlan::Make(env_, std::move(point->manifest), point->directory,
                                          RestoreTargets(), options_.allow_dropped_state));
    // A manifest of another directory: this store cannot add to its files.
    if (!store_ || !store_->Holds(inputs.restore->manifest())) inputs.restore->ForgetIds();
  }
  const int64_t offset = SourceRowsOf(inputs.restore ? &inputs.restore->manifest() : nullptr);
  HR_ASSIGN_OR_RETURN(std::shared_ptr<Attempt> attempt, Attempt::Make(std::move(inputs)));
  attempt_offset_ = offset - SourceRows();
  std::lock_guard lock(mutex_);
  if (!result_.recoveries.empty()) {
    result_.recoveries.back().rows_replayed = std::max<int64_t>(stopped_offset_ - offset, 0);
  }
  attempt_ = std::move(attempt);
  attempt_counted_ = false;
  erasure_checkpoint_ = 0;
  return Status::Ok();
}

void JobImpl::WatchAttempt() {
  bool cancel = false;
  {
    std::lock_guard lock(mutex_);
    cancel = cancel_requested_;
  }
  if (cancel) {
    BeginStop(Status::Cancelled("the job was cancelled"));
    return;
  }
  PassRequests();
  const Attempt::Report report = attempt_->Tick();
  if (failed_at_ns_ > 0 && attempt_->all_open()) {
    std::unique_lock lock(mutex_);
    RecoveryRecord& recovery = result_.recoveries.back();
    recovery.downtime_ms = (last_loop_ns_ - failed_at_ns_) / 1'000'000;
    failed_at_ns_ = 0;
    const RecoveryRecord recovered = recovery;
    lock.unlock();
    if (options_.on_recovered) options_.on_recovered(recovered);
  }
  if (!report.failure.ok()) {
    // After the last checkpoint there is nothing to restart for.
    stop_after_success_ = report.settled;
    BeginStop(report.failure);
    return;
  }
  if (!report.finished) {
    if (store_ && ErasureIsDue()) BeginStop(Status::Ok());
    return;
  }
  if (!store_) {
    const Status published = PublishAll(env_->files(), attempt_->TakeRenames());
    if (!published.ok()) {
      BeginStop(published);
      return;
    }
  }
  stop_after_success_ = true;
  BeginStop(Status::Ok());
}

// What clients asked for since the last look.
void JobImpl::PassRequests() {
  std::vector<SavepointRequestPtr> savepoints;
  std::optional<int64_t> interval_ms;
  {
    std::lock_guard lock(mutex_);
    savepoints.assign(savepoints_.begin() + static_cast<ptrdiff_t>(savepoints_passed_),
                      savepoints_.end());
    savepoints_passed_ = savepoints_.size();
    interval_ms = std::exchange(new_interval_ms_, std::nullopt);
  }
  if (interval_ms) {
    interval_ms_ = *interval_ms;
    attempt_->SetCheckpointInterval(*interval_ms);
  }
  for (SavepointRequestPtr& request : savepoints) attempt_->RequestSavepoint(std::move(request));
}

// Of all that are not resolved: the attempt that worked on them is over. Those that no attempt has
// seen wait for the next, if there is one.
void JobImpl::RefuseSavepoints(const Status& why) {
  std::lock_guard lock(mutex_);
  savepoints_closed_ = phase_ == Phase::kReleasing;
  const size_t count = savepoints_closed_ ? savepoints_.size() : savepoints_passed_;
  for (size_t i = 0; i < count; ++i) {
    if (savepoints_[i]->resolved() && savepoints_[i]->outcome().ok()) {
      result_.messages.push_back("savepoint " + savepoints_[i]->outcome().value());
    }
    savepoints_[i]->Resolve(why);
  }
  savepoints_.erase(savepoints_.begin(), savepoints_.begin() + static_cast<ptrdiff_t>(count));
  savepoints_passed_ = 0;
}

SavepointRequestPtr JobImpl::RequestSavepoint(std::string directory, SavepointStop stop) {
  auto request = std::make_shared<SavepointRequest>(std::move(directory), stop);
  if (options_.checkpoint_directory.empty()) {
    request->Resolve(Status::FailedPrecondition(
        "a savepoint is made of a checkpoint, but the job has no directory for them: set "
        "execution.checkpointing.dir (an interval is not needed)"));
    return request;
  }
  {
    std::lock_guard lock(mutex_);
    if (savepoints_closed_ || cancel_requested_) {
      request->Resolve(Status::FailedPrecondition("no savepoint: the job is " +
                                                  std::string(JobStateName(state_))));
      return request;
    }
    savepoints_.push_back(request);
  }
  WakeLoop();
  return request;
}

void JobImpl::SetCheckpointInterval(int64_t interval_ms) {
  {
    std::lock_guard lock(mutex_);
    new_interval_ms_ = interval_ms;
  }
  WakeLoop();
}

void JobImpl::WakeLoop() {
  std::lock_guard lock(signal_->mutex);
  signal_->set = true;
  signal_->changed.notify_one();
}

void JobImpl::BeginStop(Status why) {
  stop_reason_ = std::move(why);
  stop_started_ns_ = awake_ns_;
  interrupted_ = false;
  phase_ = Phase::kStopping;
  attempt_->RequestStop();
  RefuseSavepoints(stop_reason_.ok()
                       ? Status::FailedPrecondition(stop_after_success_
                                                        ? "no savepoint: the job ended before"
                                                        : "no savepoint: a key was to be erased")
                       : Status(stop_reason_.code(), "no savepoint: " + stop_reason_.message()));
}

void JobImpl::WatchStop() {
  {
    std::lock_guard lock(mutex_);
    if (cancel_requested_ && !stop_after_success_ &&
        stop_reason_.code() != StatusCode::kCancelled) {
      stop_reason_ = Status::Cancelled("the job was cancelled");
    }
  }
  if (attempt_->scheduler().all_closed()) {
    AfterStop(/*abandoned=*/false);
    return;
  }
  const int64_t waited_ns = awake_ns_ - stop_started_ns_;
  if (!interrupted_ && waited_ns >= kInterruptAfterNs) {
    interrupted_ = true;
    if (options_.hooks) options_.hooks->InterruptThreads();
  }
  const bool cancelled = stop_reason_.code() == StatusCode::kCancelled;
  const int64_t limit_ns =
      options_.stop_timeout_ms * 1'000'000 * (cancelled ? 1 : kFailureStopFactor);
  if (waited_ns < limit_ns) return;
  std::string message = "stopped waiting for " + Join(attempt_->scheduler().OpenTasks(), ", ") +
                        ", which does not return";
  const std::vector<std::string> places =
      options_.hooks ? options_.hooks->WhereThreads() : std::vector<std::string>();
  if (!places.empty()) message += " (it is at " + Join(places, "; at ") + ")";
  if (!cancelled && !stop_after_success_) {
    message += "; the job cannot restart while that code may still touch what it left";
  }
  NoteLeftBehind(message);
  stop_reason_ = stop_reason_.ok() ? Status::Internal(message) : stop_reason_.WithContext(message);
  AfterStop(/*abandoned=*/true);
}

void JobImpl::NoteLeftBehind(const std::string& text) {
  std::lock_guard lock(mutex_);
  result_.left_behind = text;
  result_.messages.push_back(text);
}

void JobImpl::AfterStop(bool abandoned) {
  attempt_->scheduler().JoinOrAbandon();
  stopped_offset_ = attempt_offset_ + SourceRows();
  const Status late_failure = attempt_->failure();
  {
    std::lock_guard lock(mutex_);
    attempt_counted_ = true;
    last_registry_ = attempt_->StateRegistry();
    interval_ms_ = attempt_->checkpoint_interval_ms();
    for (CheckpointRecord& record : attempt_->Checkpoints()) {
      past_checkpoints_.push_back(std::move(record));
    }
    if (!abandoned) attempt_.reset();
  }
  const Status why = stop_reason_;
  if (why.code() == StatusCode::kCancelled) {
    // What a function's close() or a source's end complained about while everybody was leaving.
    if (!abandoned && !late_failure.ok() && late_failure.code() != StatusCode::kCancelled) {
      NoteLeftBehind("while the job stopped: " + late_failure.ToString());
    }
    End(JobState::kCanceled, why);
  } else if (stop_after_success_) {
    // What close() says after everything is committed cannot undo it, but must not be lost.
    const Status status = why.ok() ? late_failure : why;
    End(status.ok() ? JobState::kFinished : JobState::kFailed, status);
  } else if (abandoned) {
    End(JobState::kFailed, why);  // its zombie could still touch what the next attempt needs
  } else if (why.ok()) {
    phase_ = Phase::kErasing;
  } else {
    OnFailure(why);
  }
}

void JobImpl::OnFailure(Status failure) {
  ++attempts_;
  const std::optional<int64_t> delay_ms =
      restart_strategy_.OnFailure(failure, last_loop_ns_ / 1'000'000);
  if (!delay_ms) {
    End(JobState::kFailed, std::move(failure));
    return;
  }
  SetState(JobState::kRestarting);
  if (failed_at_ns_ == 0) failed_at_ns_ = last_loop_ns_;
  restart_at_ns_ = last_loop_ns_ + *delay_ms * 1'000'000;
  phase_ = Phase::kDelayed;
  std::lock_guard lock(mutex_);
  result_.recoveries.push_back({.cause = failure.ToString()});
}

bool JobImpl::DeletesCheckpoints(JobState state) const {
  switch (options_.checkpoint_retention) {
    case CheckpointRetention::kOnCancellation:
      return false;
    case CheckpointRetention::kOnFailure:
      return state == JobState::kCanceled;
    case CheckpointRetention::kNever:
      return true;
  }
  return false;
}

void JobImpl::SetState(JobState state) {
  std::lock_guard lock(mutex_);
  if (cancel_requested_ && state != JobState::kCanceled) return;
  state_ = state;
}

void JobImpl::End(JobState state, Status status) {
  const std::vector<CheckpointRecord> checkpoints = Checkpoints();
  std::map<std::string, int64_t> metrics = Metrics();
  // User functions and the directory's lock must not live as long as somebody looks at the result.
  // Code that was left behind keeps its own hold on them.
  graph_.reset();
  const bool left_code_behind = attempt_ && attempt_counted_;
  if (store_ && DeletesCheckpoints(state)) store_->DeleteAllOnClose();
  if (store_ && !left_code_behind) released_store_ = store_->Lifetime();
  store_.reset();
  std::unique_lock lock(mutex_);
  result_.checkpoints = checkpoints;
  result_.metrics = std::move(metrics);
  lock.unlock();
  end_state_ = state;
  end_status_ = std::move(status);
  release_started_ns_ = awake_ns_;
  phase_ = Phase::kReleasing;
  RefuseErasures(state);
  RefuseSavepoints(
      Status::FailedPrecondition("no savepoint: the job is " + std::string(JobStateName(state))));
  WatchRelease();
}

void JobImpl::WatchRelease() {
  // A checkpoint that was given up may still be written in the background. Until that is over it
  // holds the directory, and the next job there would be refused.
  const int64_t waited_ns = awake_ns_ - release_started_ns_;
  if (!released_store_.expired() && waited_ns < options_.stop_timeout_ms * 1'000'000) return;
  phase_ = Phase::kEnded;
  std::unique_lock lock(mutex_);
  state_ = end_state_;
  result_.state = end_state_;
  result_.status = std::move(end_status_);
  result_.runtime_ms = started_ns_ == 0 ? 0 : (env_->SteadyNs() - started_ns_) / 1'000'000;
  ended_ = true;
  ended_changed_.notify_all();
  lock.unlock();
  if (options_.on_ended) options_.on_ended(end_state_ == JobState::kFinished);
}

bool JobImpl::WaitFor(int64_t timeout_ms) {
  std::unique_lock lock(mutex_);
  if (timeout_ms < 0) {
    ended_changed_.wait(lock, [this] { return ended_; });
  } else {
    ended_changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return ended_; });
  }
  return ended_;
}

void JobImpl::Cancel() {
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    cancel_requested_ = true;
    state_ = JobState::kCancelling;
  }
  WakeLoop();
}

JobState JobImpl::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

std::vector<CheckpointRecord> JobImpl::Checkpoints() const {
  std::vector<CheckpointRecord> records;
  std::shared_ptr<Attempt> attempt;
  {
    std::lock_guard lock(mutex_);
    records = past_checkpoints_;
    attempt = attempt_counted_ ? nullptr : attempt_;
  }
  if (attempt) {
    for (CheckpointRecord& record : attempt->Checkpoints()) records.push_back(std::move(record));
  }
  return records;
}

std::map<std::string, int64_t> JobImpl::Metrics() const {
  std::map<std::string, int64_t> metrics = metrics_->Snapshot();
  int64_t completed = 0;
  int64_t bytes = 0;
  int64_t raw_bytes = 0;
  int64_t state_bytes = 0;
  std::shared_ptr<const CheckpointSizes> newest;
  for (const CheckpointRecord& record : Checkpoints()) {
    if (!record.completed) continue;
    ++completed;
    raw_bytes += static_cast<int64_t>(record.raw_bytes);
    newest = record.sizes;
    bytes += static_cast<int64_t>(record.bytes_written);
    state_bytes = static_cast<int64_t>(record.state_bytes);
  }
  {
    std::lock_guard lock(mutex_);
    if (attempt_) metrics["job.checkpoint_interval_ms"] = attempt_->checkpoint_interval_ms();
  }
  metrics["job.checkpoints_completed"] = completed;
  metrics["job.checkpoint_bytes"] = bytes;
  metrics["job.checkpoint_raw_bytes"] = raw_bytes;
  metrics["job.state_bytes"] = state_bytes;
  for (const StateSizes& state : newest ? newest->states : std::vector<StateSizes>()) {
    const std::string prefix = state.operator_name + ".state." + state.state + ".";
    metrics[prefix + "live_bytes"] += static_cast<int64_t>(state.live_bytes);
    metrics[prefix + "stored_bytes"] += static_cast<int64_t>(SumOf(state.held).stored_bytes);
  }
  return metrics;
}

std::vector<RecoveryRecord> JobImpl::Recoveries() const {
  std::lock_guard lock(mutex_);
  return result_.recoveries;
}

int64_t JobImpl::SourceRows() const {
  const std::map<std::string, int64_t> metrics = metrics_->Snapshot();
  std::set<std::string> names;  // of one name, all sources are counted as one
  int64_t rows = 0;
  for (const StreamNode& node : graph_->stream->nodes) {
    if (!node.source || !node.source->replayable() || !names.insert(node.name).second) continue;
    const auto found = metrics.find(node.name + ".rows_read");
    if (found != metrics.end()) rows += found->second;
  }
  return rows;
}

int64_t JobImpl::SourceRowsOf(const Manifest* manifest) const {
  int64_t rows = 0;
  if (!manifest) return rows;
  for (const StreamNode& node : graph_->stream->nodes) {
    if (!node.source || !node.source->replayable()) continue;
    const OperatorManifest* op = manifest->Find(graph_->operator_ids[node.id]);
    if (!op) continue;
    for (const SplitSnapshot& split : op->splits) rows += split.rows_read;
  }
  return rows;
}

std::vector<RegisteredState> JobImpl::StateRegistry() const {
  std::shared_ptr<Attempt> attempt;
  {
    std::lock_guard lock(mutex_);
    if (attempt_counted_) return last_registry_;
    attempt = attempt_;
  }
  return attempt ? attempt->StateRegistry() : std::vector<RegisteredState>();
}

const JobResult& JobImpl::result() const { return result_; }

bool JobImpl::Step() {
  if (phase_ == Phase::kEnded) return false;
  if (!stepped_) {
    stepped_ = true;
    std::lock_guard lock(mutex_);
    started_ = true;
  }
  const bool has_tasks = phase_ == Phase::kRunning || phase_ == Phase::kStopping;
  const bool loop = !has_tasks || env_->Random64() % 16 == 0;
  if (loop || !attempt_->scheduler().StepOne()) {
    while (RunLoopOnce() == 0 && phase_ != Phase::kEnded) {
    }
  }
  return phase_ != Phase::kEnded;
}

int64_t JobImpl::NextStepNs() {
  if (phase_ == Phase::kEnded) return std::numeric_limits<int64_t>::max();
  int64_t next_ns = last_loop_ns_ + kLoopIntervalNs;
  if ((phase_ == Phase::kRunning || phase_ == Phase::kStopping) && attempt_) {
    next_ns = std::min(next_ns, attempt_->scheduler().NextDeadlineNs());
  }
  return next_ns;
}

}  // namespace headrace
