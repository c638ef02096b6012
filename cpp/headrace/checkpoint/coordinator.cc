#include "headrace/checkpoint/coordinator.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/checkpoint/manifest_assembler.h"

namespace headrace {
namespace {

using Event = CheckpointCoordinator::Event;

constexpr size_t kHistoryMax = 10000;
constexpr size_t kSizesMax = 256;

std::string JoinTasks(const std::vector<int>& tasks) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(tasks.size(), kShown); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tasks[i]);
  }
  return tasks.size() > kShown ? text + ", …" : text;
}

SavepointStop StopOf(const std::vector<SavepointRequestPtr>& requests) {
  SavepointStop stop = SavepointStop::kNone;
  for (const SavepointRequestPtr& request : requests) stop = std::max(stop, request->stop());
  return stop;
}

// A history line with nothing but what was written.
CheckpointRecord CountsOf(const std::vector<WrittenSnapshot>& tasks) {
  CheckpointRecord record;
  for (const WrittenSnapshot& task : tasks) {
    record.bytes_written += task.written.bytes_written;
    record.partitions_written += task.written.partitions_written;
    record.raw_bytes += task.written.raw_bytes;
    record.rows_written += task.written.rows_written;
    for (const WrittenTask::Part& part : task.written.parts) {
      record.state_bytes += part.subtask.state_bytes;
    }
  }
  return record;
}

}  // namespace

// Background work holds a shared_ptr to this. Snapshots are destroyed and I/O is done without
// `mutex_`.
struct CheckpointCoordinator::Impl : std::enable_shared_from_this<Impl> {
  // The checkpoint under way. `tasks` keeps the frozen tables until it is decided: see
  // SnapshotWriter.
  struct Pending {
    CheckpointId id = 0;
    bool final = false;
    int64_t triggered_steady_ms = 0;
    int64_t triggered_ms = 0;
    int64_t after_ms = 0;  // since the trigger of the one before
    AckBook acks;
    std::vector<WrittenSnapshot> tasks;
    bool committing = false;
    std::vector<SavepointRequestPtr> savepoints;
  };
  using PendingPtr = std::unique_ptr<Pending>;
  // What its commit takes over: from then on nobody else touches the tables.
  struct CommitWork {
    Manifest manifest;
    std::vector<WrittenSnapshot> tasks;
    bool final = false;
    std::vector<SavepointRequestPtr> savepoints;
  };

  Impl(Env* environment, CheckpointOptions checkpoint_options, CheckpointStore* checkpoint_store,
       const SnapshotWriter& snapshot_writer, int task_count, CheckpointId first_id)
      : env(environment),
        store(checkpoint_store->Share()),
        writer(snapshot_writer),
        tasks(task_count),
        options(checkpoint_options),
        policy(checkpoint_options.adaptive),
        next_id(std::max(first_id, store->next_checkpoint_id())),
        last_trigger_ms(SteadyMs()) {
    HR_CHECK_GT(tasks, 0);
  }

  int64_t SteadyMs() const { return env->SteadyNs() / 1'000'000; }

  std::vector<Event> Tick();
  CheckpointId RequestNow(bool final);
  void RequestSavepoint(SavepointRequestPtr request);
  void SetInterval(int64_t interval_ms);
  void OnSnapshot(CheckpointId id, TaskSnapshot snapshot);
  void Fail(CheckpointId id, const Status& why, bool by_commit = false);
  void Shutdown();

  void TriggerIfDue(int64_t now_ms);
  void WriteInBackground(CheckpointId id, WrittenSnapshot task);
  bool IsWanted(CheckpointId id) const;
  void StartCommit(CheckpointId id);
  void CommitInBackground(CommitWork* commit);
  std::optional<IntervalLogEntry> AdaptIntervalLocked(const Pending& checkpoint,
                                                      const CheckpointRecord& sizes,
                                                      const Manifest& manifest);
  void OnDecidedLocked(const CommitWork& commit, const Status& status);
  Result<std::string> CopySavepoints(const CommitWork& commit);
  PendingPtr AbortLocked(const Status& why);
  void Record(const Pending& checkpoint, CheckpointRecord counts, const Status& outcome);

  Env* const env;
  const std::shared_ptr<CheckpointStore> store;
  SnapshotWriter writer;
  const int tasks;
  // Read without `mutex` by a commit that asks whether it is still wanted.
  std::atomic<bool> stopped{false};

  mutable std::mutex mutex;
  CheckpointOptions options;
  IntervalPolicy policy;
  std::optional<int64_t> last_rows_read;
  CheckpointId next_id;
  int64_t last_trigger_ms;
  std::optional<int64_t> last_end_ms;
  bool requested = false;
  bool requested_final = false;
  bool failed_job = false;
  bool copying = false;  // a savepoint, out of files that clean-up may delete
  std::vector<SavepointRequestPtr> savepoints;  // not triggered yet
  int writes_running = 0;
  int failures = 0;
  PendingPtr pending;
  std::vector<Event> outbox;
  std::deque<CheckpointRecord> history;
  std::optional<Manifest> last_completed;
};

std::vector<Event> CheckpointCoordinator::Impl::Tick() {
  PendingPtr aborted;  // destroyed after the lock is freed
  const std::lock_guard<std::mutex> guard(mutex);
  if (stopped) return {};
  const int64_t now_ms = SteadyMs();
  // Once its commit runs, a checkpoint is no longer ours to take back.
  if (pending && !pending->committing && TimedOut(options, pending->triggered_steady_ms, now_ms)) {
    const std::vector<int> missing = pending->acks.Missing();
    const std::string waits_for =
        missing.empty() ? "the disk" : "the snapshot of task " + JoinTasks(missing);
    aborted = AbortLocked(Status::IoError("checkpoint " + std::to_string(pending->id) +
                                          " timed out after " + std::to_string(options.timeout_ms) +
                                          " ms waiting for " + waits_for));
  }
  TriggerIfDue(now_ms);
  return std::exchange(outbox, {});
}

void CheckpointCoordinator::Impl::TriggerIfDue(int64_t now_ms) {
  const TriggerFacts facts{.now_ms = now_ms,
                           .last_trigger_ms = last_trigger_ms,
                           .last_end_ms = last_end_ms,
                           .requested = requested || requested_final || !savepoints.empty(),
                           .pending = pending != nullptr,
                           .writing = writes_running > 0 || copying,
                           .stopped = stopped || failed_job};
  if (!ShouldTrigger(options, facts)) return;
  pending = std::make_unique<Pending>(Pending{.id = next_id++,
                                              .final = requested_final,
                                              .triggered_steady_ms = now_ms,
                                              .triggered_ms = env->NowMs(),
                                              .after_ms = now_ms - last_trigger_ms,
                                              .acks = AckBook(tasks),
                                              .tasks = {},
                                              .committing = false,
                                              .savepoints = std::exchange(savepoints, {})});
  requested = false;
  requested_final = false;
  last_trigger_ms = now_ms;
  outbox.push_back({.kind = Event::Kind::kTrigger,
                    .id = pending->id,
                    .final = pending->final,
                    .status = Status::Ok(),
                    .savepoint = !pending->savepoints.empty(),
                    .stop = StopOf(pending->savepoints)});
}

CheckpointId CheckpointCoordinator::Impl::RequestNow(bool final) {
  const std::lock_guard<std::mutex> guard(mutex);
  (final ? requested_final : requested) = true;
  return next_id;
}

void CheckpointCoordinator::Impl::RequestSavepoint(SavepointRequestPtr request) {
  const std::lock_guard<std::mutex> guard(mutex);
  savepoints.push_back(std::move(request));
}

void CheckpointCoordinator::Impl::SetInterval(int64_t interval_ms) {
  const std::lock_guard<std::mutex> guard(mutex);
  options.interval_ms = interval_ms;
}

void CheckpointCoordinator::Impl::OnSnapshot(CheckpointId id, TaskSnapshot snapshot) {
  {
    const std::lock_guard<std::mutex> guard(mutex);
    if (!IsWanted(id) || !pending->acks.Deliver(snapshot.task)) return;
    ++writes_running;
  }
  // A std::function must be copyable, a snapshot is not.
  auto task = std::make_shared<WrittenSnapshot>(
      WrittenSnapshot{.snapshot = std::move(snapshot), .written = {}});
  env->RunInBackground(
      [self = shared_from_this(), id, task] { self->WriteInBackground(id, std::move(*task)); });
}

// REQUIRES: `mutex`.
bool CheckpointCoordinator::Impl::IsWanted(CheckpointId id) const {
  return !stopped && pending && pending->id == id && !pending->committing;
}

void CheckpointCoordinator::Impl::WriteInBackground(CheckpointId id, WrittenSnapshot task) {
  const auto still_wanted = [&] {
    const std::lock_guard<std::mutex> guard(mutex);
    return IsWanted(id);
  };
  bool wanted = still_wanted();
  Status status;
  if (wanted) {
    Result<WrittenTask> written = writer.Write(id, &task.snapshot, still_wanted);
    status = written.status();
    if (written.ok()) task.written = std::move(written).value();
  }
  bool complete = false;
  {
    std::unique_lock<std::mutex> guard(mutex);
    wanted = wanted && status.ok() && IsWanted(id);
    if (wanted) {
      pending->acks.MarkWritten(task.snapshot.task);
      pending->tasks.push_back(std::move(task));
      complete = pending->acks.complete();
    }
  }
  if (!wanted) {
    // Given up before or while it was written. The tables go first: the next checkpoint is
    // triggered only when no snapshot of an abandoned one holds the tasks' state.
    const int number = task.snapshot.task;
    task = WrittenSnapshot();
    writer.OnAborted(id);
    if (!status.ok()) {
      Fail(id, status.WithContext("checkpoint " + std::to_string(id) + ", task " +
                                  std::to_string(number)));
    }
  }
  {
    const std::lock_guard<std::mutex> guard(mutex);
    --writes_running;
  }
  if (complete) StartCommit(id);
}

void CheckpointCoordinator::Impl::StartCommit(CheckpointId id) {
  auto commit = std::make_shared<CommitWork>();
  {
    const std::lock_guard<std::mutex> guard(mutex);
    if (!IsWanted(id)) return;
    pending->committing = true;
    commit->tasks = std::move(pending->tasks);
    commit->final = pending->final;
    commit->savepoints = pending->savepoints;
  }
  Manifest& manifest = commit->manifest;
  manifest.job_key = store->options().job_key;
  manifest.id = id;
  manifest.run_id = store->run_id();
  manifest.kind = commit->final ? CheckpointKind::kFinal : CheckpointKind::kCheckpoint;
  manifest.created_ms = env->NowMs();
  manifest.parent_digest = store->parent_digest();
  const Status assembled = AssembleManifest(commit->tasks, &manifest);
  if (!assembled.ok()) {
    commit.reset();
    return Fail(id, assembled.WithContext("checkpoint " + std::to_string(id)), /*by_commit=*/true);
  }
  env->RunInBackground(
      [self = shared_from_this(), commit] { self->CommitInBackground(commit.get()); });
}

void CheckpointCoordinator::Impl::CommitInBackground(CommitWork* commit) {
  const CheckpointId id = commit->manifest.id;
  const Status status = store->Commit(commit->manifest, [this] { return !stopped.load(); });
  // Released before anybody hears of it: the next barrier may follow at once. Of a checkpoint that
  // failed they are destroyed unfinished, so that their next snapshot is full.
  CheckpointRecord counts = CountsOf(commit->tasks);
  if (status.ok()) {
    for (WrittenSnapshot& task : commit->tasks) SnapshotWriter::FinishTables(&task.snapshot);
  }
  commit->tasks.clear();
  if (!status.ok() && !store->Decided(id)) return Fail(id, status, /*by_commit=*/true);

  if (status.ok()) {
    Manifest& manifest = commit->manifest;
    manifest.key_id = store->options().key_id;
    manifest.file_bytes = SerializeManifest(manifest).size() +
                          (manifest.key_id.empty() ? 0 : SealedManifestExtraBytes(manifest.key_id));
    counts.sizes = std::make_shared<const CheckpointSizes>(SizesOf(manifest));
  }
  std::optional<IntervalLogEntry> logged;
  {
    const std::lock_guard<std::mutex> guard(mutex);
    HR_CHECK(pending && pending->id == id);
    Record(*pending, counts, status);
    if (status.ok()) logged = AdaptIntervalLocked(*pending, counts, commit->manifest);
    pending.reset();
    last_end_ms = SteadyMs();
    last_completed = commit->manifest;
    OnDecidedLocked(*commit, status);
    copying = status.ok() && !commit->savepoints.empty();
  }
  if (logged) {
    logged->run = store->run_id();
    const Status written = store->LogInterval(*logged);  // if not now, with the next
  }
  if (!status.ok() || commit->savepoints.empty()) return;
  const Result<std::string> copied = CopySavepoints(*commit);
  const std::lock_guard<std::mutex> guard(mutex);
  copying = false;
  if (copied.ok()) {
    const auto line =
        std::find_if(history.rbegin(), history.rend(),
                     [id](const CheckpointRecord& record) { return record.id == id; });
    if (line != history.rend()) line->savepoint = *copied;
  }
  if (stopped) return;
  outbox.push_back({.kind = Event::Kind::kSavepointEnded,
                    .id = id,
                    .final = commit->final,
                    .status = copied.status(),
                    .savepoint = true,
                    .stop = StopOf(commit->savepoints)});
}

// REQUIRES: `mutex`. Whole checkpoints teach what all state takes, deltas what changes.
std::optional<IntervalLogEntry> CheckpointCoordinator::Impl::AdaptIntervalLocked(
    const Pending& checkpoint, const CheckpointRecord& sizes, const Manifest& manifest) {
  int64_t rows_read = 0;
  for (const OperatorManifest& op : manifest.operators) {
    for (const SplitSnapshot& split : op.splits) rows_read += split.rows_read;
  }
  const int64_t rows = rows_read - last_rows_read.value_or(rows_read);
  last_rows_read = rows_read;
  if (!options.adaptive.enabled || options.interval_ms < 0) return std::nullopt;
  const int64_t now_ms = SteadyMs();
  const CheckpointCost cost{
      .ended_ms = now_ms,
      .interval_s = static_cast<double>(checkpoint.after_ms) / 1000,
      .seconds = static_cast<double>(now_ms - checkpoint.triggered_steady_ms) / 1000,
      .bytes = static_cast<double>(sizes.bytes_written),
      .state_bytes = static_cast<double>(sizes.state_bytes),
      .rows = static_cast<double>(rows)};
  const IntervalDecision decision = policy.OnCheckpoint(cost);
  options.interval_ms = decision.interval_ms;
  history.back().interval = decision;
  return IntervalLogEntry{.checkpoint = checkpoint.id,
                          .run = 0,
                          .decided_ms = env->NowMs(),
                          .cost = cost,
                          .decision = decision};
}

// Outcome of the first, for the history; those that stop the job count most.
Result<std::string> CheckpointCoordinator::Impl::CopySavepoints(const CommitWork& commit) {
  std::optional<Result<std::string>> told;
  const Status fetched = store->FetchFiles(commit.manifest);
  for (const SavepointRequestPtr& request : commit.savepoints) {
    Result<std::string> copied =
        fetched.ok() ? WriteSavepoint(env, commit.manifest, store->job_directory(),
                                      request->directory(), [this] { return !stopped.load(); })
                     : Result<std::string>(fetched.WithContext("savepoint"));
    if (!copied.ok() && commit.final) {
      copied = copied.status().WithContext("the job has ended with checkpoint " +
                                           std::to_string(commit.manifest.id) +
                                           ", from which it can be resumed, but");
    }
    // After a shutdown the caller says why.
    if (copied.ok() || !stopped) request->Resolve(copied);
    if (!told || request->stop() != SavepointStop::kNone) told = std::move(copied);
  }
  return *told;
}

// REQUIRES: `mutex`.
void CheckpointCoordinator::Impl::OnDecidedLocked(const CommitWork& commit, const Status& status) {
  const CheckpointId id = commit.manifest.id;
  if (status.ok()) failures = 0;
  const FailureDecision decision =
      status.ok() ? FailureDecision{.counts = false, .fail_job = false}
                  : OnCheckpointFailure({.earlier_failures = failures,
                                         .tolerable = options.tolerable_failures,
                                         .savepoint = false,
                                         .cancelled = false,
                                         .decided = true});
  failed_job = decision.fail_job;
  outbox.push_back({.kind = failed_job ? Event::Kind::kFailJob : Event::Kind::kCompleted,
                    .id = id,
                    .final = commit.final,
                    .status = status,
                    .savepoint = !commit.savepoints.empty(),
                    .stop = StopOf(commit.savepoints)});
}

void CheckpointCoordinator::Impl::Fail(CheckpointId id, const Status& why, bool by_commit) {
  PendingPtr aborted;  // destroyed after the lock is freed
  const std::lock_guard<std::mutex> guard(mutex);
  // While its commit runs, only the commit can tell how a checkpoint ends.
  if (!pending || pending->id != id || pending->committing != by_commit) return;
  aborted = AbortLocked(why);
}

// REQUIRES: `mutex`, a pending checkpoint. Ends it and returns it for destruction without the lock.
CheckpointCoordinator::Impl::PendingPtr CheckpointCoordinator::Impl::AbortLocked(
    const Status& why) {
  PendingPtr aborted = std::move(pending);
  store->Abandon(aborted->id);
  writer.OnAborted(aborted->id);
  Record(*aborted, CountsOf(aborted->tasks), why);
  last_end_ms = SteadyMs();
  if (stopped) return aborted;

  const bool is_savepoint = !aborted->savepoints.empty();
  const FailureDecision decision =
      OnCheckpointFailure({.earlier_failures = failures,
                           .tolerable = options.tolerable_failures,
                           .savepoint = is_savepoint && !aborted->final,
                           .cancelled = why.code() == StatusCode::kCancelled,
                           .decided = false,
                           .fenced = why.code() == StatusCode::kFailedPrecondition});
  if (decision.counts) ++failures;
  const SavepointStop stop = StopOf(aborted->savepoints);
  outbox.push_back({.kind = Event::Kind::kAborted,
                    .id = aborted->id,
                    .final = aborted->final,
                    .status = why,
                    .savepoint = is_savepoint,
                    .stop = stop});
  if (is_savepoint) {
    for (const SavepointRequestPtr& request : aborted->savepoints) {
      request->Resolve(why.WithContext("savepoint"));
    }
    outbox.push_back({.kind = Event::Kind::kSavepointEnded,
                      .id = aborted->id,
                      .final = aborted->final,
                      .status = why,
                      .savepoint = true,
                      .stop = stop});
  }
  if (decision.fail_job) {
    failed_job = true;
    outbox.push_back({.kind = Event::Kind::kFailJob,
                      .id = aborted->id,
                      .final = aborted->final,
                      .status = why,
                      .savepoint = is_savepoint,
                      .stop = stop});
  } else if (aborted->final && decision.counts) {
    // Without a final checkpoint the job cannot end and its last files never become visible.
    requested_final = true;
  }
  return aborted;
}

void CheckpointCoordinator::Impl::Record(const Pending& checkpoint, CheckpointRecord record,
                                         const Status& outcome) {
  record.id = checkpoint.id;
  record.completed = outcome.ok();
  record.final = checkpoint.final;
  record.failure = outcome.message();
  record.triggered_ms = checkpoint.triggered_ms;
  record.duration_ms = SteadyMs() - checkpoint.triggered_steady_ms;
  history.push_back(std::move(record));
  if (history.size() > kSizesMax) history[history.size() - 1 - kSizesMax].sizes.reset();
  if (history.size() > kHistoryMax) history.pop_front();
}

void CheckpointCoordinator::Impl::Shutdown() {
  PendingPtr aborted;  // destroyed after the lock is freed
  const std::lock_guard<std::mutex> guard(mutex);
  stopped = true;
  outbox.clear();
  if (pending && !pending->committing) {
    aborted = AbortLocked(Status::Cancelled("given up: the attempt ended"));
  }
}

CheckpointCoordinator::CheckpointCoordinator(Env* env, CheckpointOptions options,
                                             CheckpointStore* store, SnapshotWriter* writer,
                                             int tasks, CheckpointId first_id)
    : impl_(std::make_shared<Impl>(env, options, store, *writer, tasks, first_id)) {}

CheckpointCoordinator::~CheckpointCoordinator() { impl_->Shutdown(); }

std::vector<Event> CheckpointCoordinator::Tick() { return impl_->Tick(); }

CheckpointId CheckpointCoordinator::RequestNow(bool final) { return impl_->RequestNow(final); }

void CheckpointCoordinator::RequestSavepoint(SavepointRequestPtr request) {
  impl_->RequestSavepoint(std::move(request));
}

void CheckpointCoordinator::SetInterval(int64_t interval_ms) { impl_->SetInterval(interval_ms); }

void CheckpointCoordinator::OnSnapshot(CheckpointId id, TaskSnapshot snapshot) {
  impl_->OnSnapshot(id, std::move(snapshot));
}

void CheckpointCoordinator::OnDeclined(CheckpointId id, int task, Status why) {
  impl_->Fail(
      id, why.WithContext("checkpoint " + std::to_string(id) + ", task " + std::to_string(task)));
}

void CheckpointCoordinator::Shutdown() { impl_->Shutdown(); }

int64_t CheckpointCoordinator::interval_ms() const {
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  return impl_->options.interval_ms;
}

bool CheckpointCoordinator::pending() const {
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  return impl_->pending != nullptr;
}

std::vector<CheckpointRecord> CheckpointCoordinator::History() const {
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  return {impl_->history.begin(), impl_->history.end()};
}

std::optional<Manifest> CheckpointCoordinator::LastCompleted() const {
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  return impl_->last_completed;
}

}  // namespace headrace
