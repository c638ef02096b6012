#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "headrace/runtime/attempt.h"
#include "headrace/runtime/job.h"

namespace headrace {

/// The life of a job: attempt, failure, delay, next attempt, end. All decisions are taken by
/// RunLoopOnce(), called by the job's own thread or by Step() in simulation.
/// Threading: thread-safe; guarded by `mutex_` but for what is marked "loop".
class JobImpl final : public Job {
 public:
  JobImpl(JobGraph graph, JobOptions options);
  ~JobImpl() override;

  /// Opens the store, finds the restore point, plans splits.
  Status Prepare();

  Status Start() override;
  bool WaitFor(int64_t timeout_ms) override;
  void Cancel() override;
  SavepointRequestPtr RequestSavepoint(std::string directory, SavepointStop stop) override;
  ErasureRequestPtr RequestErasure(KeyErasure erasure) override;
  void SetCheckpointInterval(int64_t interval_ms) override;
  JobState state() const override;
  std::map<std::string, int64_t> Metrics() const override;
  std::vector<CheckpointRecord> Checkpoints() const override;
  std::vector<RegisteredState> StateRegistry() const override;
  std::vector<std::pair<std::string, std::string>> OperatorIds() const override {
    return operator_ids_;
  }
  std::vector<RecoveryRecord> Recoveries() const override;
  std::string CheckpointDirectory() const override { return checkpoint_directory_; }
  const JobResult& result() const override;
  bool Step() override;
  int64_t NextStepNs() override;

 private:
  /// A decided checkpoint and where its files lie.
  struct RestorePoint {
    Manifest manifest;
    std::string directory;
  };
  /// Wakes the loop; outlives the job in the hands of abandoned threads.
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool set = false;
  };
  enum class Phase : uint8_t {
    kStarting,
    kRunning,
    kStopping,
    kErasing,
    kDelayed,
    kReleasing,
    kEnded
  };

  Status FindRestorePoint();
  Status LoadRestorePath(RestorePoint* point);
  Status PlanSplits();
  Status CheckStateCompression() const;
  std::vector<RestoreTarget> RestoreTargets() const;

  /// Returns how long the loop may sleep at most.
  int64_t RunLoopOnce();
  void RunLoop();
  void StartAttempt();
  Status BuildAttempt();
  void WatchAttempt();
  void BeginStop(Status why);
  void WatchStop();
  void AfterStop(bool abandoned);
  void OnFailure(Status failure);
  void End(JobState state, Status status);
  void WatchRelease();
  void SetState(JobState state);
  void NoteLeftBehind(const std::string& text);
  void PassRequests();
  void RefuseSavepoints(const Status& why);
  bool ErasureIsDue();
  void WatchErasure();
  void RefuseErasures(JobState state);
  void WakeLoop();
  bool DeletesCheckpoints(JobState state) const;
  /// Rows that sources which can go back have read so far, over all attempts.
  int64_t SourceRows() const;
  /// The same as the offsets of a checkpoint tell it; 0 for none.
  int64_t SourceRowsOf(const Manifest* manifest) const;

  std::shared_ptr<const JobGraph> graph_;  // loop; null once the job has ended
  const JobOptions options_;
  Env* const env_;
  std::shared_ptr<CheckpointStore> store_;     // as graph_
  std::optional<RestorePoint> restore_point_;  // before the first checkpoint of this run
  std::vector<std::pair<std::string, std::string>> operator_ids_;
  std::string checkpoint_directory_;
  std::string source_without_position_;  // the first that cannot go back to a checkpoint, or ""
  std::map<int, std::vector<SplitState>> planned_splits_;
  const std::shared_ptr<MetricsRegistry> metrics_ = std::make_shared<MetricsRegistry>();
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  std::unique_ptr<Thread> loop_thread_;

  // Loop.
  Phase phase_ = Phase::kStarting;
  RestartStrategy restart_strategy_;
  int attempts_ = 0;
  Status stop_reason_;
  bool stop_after_success_ = false;
  bool interrupted_ = false;
  bool stepped_ = false;
  bool restored_final_ = false;
  CheckpointId erasure_checkpoint_ = 0;  // that erasures of this attempt wait for; 0 = none
  int64_t stop_started_ns_ = 0;
  int64_t restart_at_ns_ = 0;
  int64_t failed_at_ns_ = 0;
  int64_t attempt_offset_ = 0;  ///< source rows before the attempt, less those that were counted
  int64_t stopped_offset_ = 0;  ///< source rows when the last attempt had stopped
  int64_t started_ns_ = 0;
  int64_t interval_ms_;  // of checkpoints, as last set
  int64_t last_loop_ns_ = 0;
  int64_t awake_ns_ = 0;  ///< passed so far, without the time in which the process stood still
  JobState end_state_ = JobState::kFinished;
  Status end_status_;
  std::weak_ptr<const void> released_store_;  // alive while background work still writes
  int64_t release_started_ns_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable ended_changed_;
  // Guarded by mutex_.
  JobState state_ = JobState::kCreated;
  bool cancel_requested_ = false;
  bool started_ = false;
  bool ended_ = false;
  std::vector<SavepointRequestPtr> savepoints_;  // not resolved when last looked at
  size_t savepoints_passed_ = 0;                 // of these, to the running attempt
  bool savepoints_closed_ = false;               // no attempt will come to make any
  std::vector<ErasureRequestPtr> erasures_;      // not resolved yet
  size_t erasures_passed_ = 0;                   // of these, those that the attempt works on
  bool erasures_closed_ = false;                 // the job has ended
  std::optional<int64_t> new_interval_ms_;       // not yet told to the running attempt
  std::shared_ptr<Attempt> attempt_;
  bool attempt_counted_ = false;  // attempt_ is over and in the two below
  std::vector<CheckpointRecord> past_checkpoints_;
  std::vector<RegisteredState> last_registry_;
  JobResult result_;
};

}  // namespace headrace
