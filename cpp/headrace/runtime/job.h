#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/graph/job_graph.h"
#include "headrace/runtime/erasure_request.h"
#include "headrace/runtime/registered_state.h"
#include "headrace/runtime/restart_strategy.h"
#include "headrace/runtime/thread_hooks.h"
#include "headrace/state/cold_store.h"

namespace headrace {

enum class JobState : uint8_t {
  kCreated,
  kRunning,
  kRestarting,
  kCancelling,
  kCanceled,
  kFinished,
  kFailed,
};
std::string_view JobStateName(JobState state);

/// Which ends of a job its checkpoints outlive. Savepoints outlive all.
enum class CheckpointRetention : uint8_t {
  kOnCancellation,  ///< every end
  kOnFailure,       ///< all but a cancellation
  kNever,           ///< none
};

/// One cause of a restart and what it cost.
struct RecoveryRecord {
  std::string cause;
  CheckpointId checkpoint = 0;  ///< 0 = from the start
  int64_t downtime_ms = 0;      ///< from the failure until all tasks are open again
  /// Rows that the sources had read behind that checkpoint, so that they are read again: from their
  /// counters when the failed attempt had stopped and from the checkpoint's offsets. Sources that
  /// cannot go back do not count.
  int64_t rows_replayed = 0;
};

/// Configuration of one execute().
struct JobOptions {
  std::string name;
  std::string job_key;
  Env* env = nullptr;
  int native_threads = 2;  ///< workers shared by tasks without Python
  int64_t buffer_timeout_ms = 100;
  /// That wait for one consumer, shared by its producers. Of host objects a quarter, as of
  /// batch_rows: they take more of a core's cache.
  int64_t channel_rows = 8192;
  int64_t channel_bytes = 8 << 20;
  int64_t batch_rows = 4096;
  /// 0 = 60 % of RAM. In memory the limit of each keyed subtask; with `cold_stores` shared by all.
  int64_t state_memory_budget_bytes = 0;
  /// Keeps rows of keyed state for which the budget has no room; null: memory is all there is.
  std::shared_ptr<ColdStoreFactory> cold_stores;
  /// Of those rows, on the local disk and this run's alone: each attempt and keyed subtask makes a
  /// directory in it and removes it in the end. REQUIRES: not "" with `cold_stores`.
  std::string scratch_directory;
  /// With `cold_stores`: state of each keyed subtask that stays in memory between elements; -1 =
  /// what the budget leaves, 0 = as little as possible.
  int64_t row_cache_bytes = -1;
  /// Z: about what a partition of keyed state takes before compression.
  uint32_t partition_bytes = PagedTable::kPartitionBytes;
  bool incremental_checkpoints = true;                   ///< false: each writes all of the state
  Compression compression;                               ///< of checkpoints
  std::map<std::string, Compression> state_compression;  ///< by "<operator id>.<state name>"
  std::string encryption_key_id;                         ///< of checkpoints; "": in the clear
  CheckpointOptions checkpoints;
  std::string checkpoint_directory;  ///< "" = none; scratch when there is a transport
  std::shared_ptr<CheckpointTransport> checkpoint_transport;  ///< where they go, null = directory
  int retained_checkpoints = 1;
  /// What becomes of the checkpoints when the job ends; a failed or finished job's always stay but
  /// under kNever.
  CheckpointRetention checkpoint_retention = CheckpointRetention::kOnCancellation;
  std::string restore_path;  ///< "", a path, or "latest"
  std::string restore_uri;   ///< what messages call the directory of restore_path; "" = as it is
  bool allow_older = false;
  bool allow_dropped_state = false;
  RestartSpec restart;
  bool chaining = true;
  std::map<std::string, std::string> job_parameters;  ///< what user functions may ask for
  bool object_reuse = false;           ///< readers of one stream share mutable host values
  int64_t stop_timeout_ms = 1000;      ///< a task that has not come back by then is abandoned
  std::shared_ptr<ThreadHooks> hooks;  ///< what the host language needs around task work, or null
  std::function<void(bool finished)> on_ended;  ///< called once, when state() is final; may be null
  /// Called by the job's loop after each restart, once all tasks are open; may be null.
  std::function<void(const RecoveryRecord&)> on_recovered;
};

/// What execute() returns in the end.
struct JobResult {
  Status status;  ///< first fatal failure, kCancelled, or Ok
  JobState state = JobState::kFinished;
  int64_t runtime_ms = 0;
  std::map<std::string, int64_t>
      metrics;  ///< "<operator>.rows_in", … summed over subtasks and attempts
  std::vector<CheckpointRecord> checkpoints;
  std::vector<RecoveryRecord> recoveries;
  std::vector<std::string>
      messages;  ///< e.g. "resumed from checkpoint 7", "at least once from source X"
  std::string
      left_behind;  ///< what still ran when the job gave up waiting for it, and where; or ""
};

/// Runs a job graph to its end through failures.
///
/// Destroying a running job cancels it and waits, at most about `stop_timeout_ms`. Threading:
/// thread-safe.
class Job {
 public:
  /// Prepares: opens the checkpoint store, finds the restore point. Fails before any record flows.
  static Result<std::unique_ptr<Job>> Create(JobGraph graph, JobOptions options);
  virtual ~Job() = default;

  /// Starts threads and returns.
  virtual Status Start() = 0;
  /// Waits up to `timeout_ms` (< 0: for ever); true when the job ended.
  virtual bool WaitFor(int64_t timeout_ms) = 0;
  virtual void Cancel() = 0;
  /// Asks for a savepoint below `directory`; see SavepointStop for what happens to the job then. A
  /// savepoint that fails never fails the job; a job that fails or ends first fails the savepoint.
  virtual SavepointRequestPtr RequestSavepoint(std::string directory, SavepointStop stop) = 0;
  /// From now on, also for later attempts; -1 = none but requested ones.
  virtual void SetCheckpointInterval(int64_t interval_ms) = 0;
  virtual JobState state() const = 0;
  /// Snapshot of the numbers while it runs.
  virtual std::map<std::string, int64_t> Metrics() const = 0;
  virtual std::vector<CheckpointRecord> Checkpoints() const = 0;
  /// Every state of every subtask, as it was at the last checkpoint or, if that came later, when
  /// its task finished or stopped.
  virtual std::vector<RegisteredState> StateRegistry() const = 0;
  /// Name and id of each operator, in the order of the program.
  virtual std::vector<std::pair<std::string, std::string>> OperatorIds() const = 0;
  /// Restarts so far, oldest first.
  virtual std::vector<RecoveryRecord> Recoveries() const = 0;
  /// Where the job's checkpoints lie; "" without checkpoints.
  virtual std::string CheckpointDirectory() const = 0;
  /// REQUIRES: ended.
  virtual const JobResult& result() const = 0;

  /// Simulation: runs one step on the calling thread instead of Start(), chosen by Env::Random64
  /// among the tasks that can run and the job's own loop; false when the job ended. Background work
  /// is the Env owner's to run.
  virtual bool Step() = 0;
  /// Simulation: steady time before which Step() has nothing to do unless background work comes
  /// back; 0 = now.
  virtual int64_t NextStepNs() = 0;

  /// Asks that keyed state forgets a key: that of the tasks, as it is at a checkpoint which is
  /// taken for it, and what retained checkpoints hold of it. The tasks restart from that
  /// checkpoint.
  virtual ErasureRequestPtr RequestErasure(KeyErasure erasure) = 0;
};

}  // namespace headrace
