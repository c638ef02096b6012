#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/snapshot_writer.h"
#include "headrace/graph/job_graph.h"
#include "headrace/metrics/registry.h"
#include "headrace/runtime/job.h"
#include "headrace/runtime/task.h"
#include "headrace/runtime/task_scheduler.h"

namespace headrace {

/// One try at running a job: its tasks, channels, scheduler and, with a checkpoint store, its
/// coordinator. Thrown away at the first failure; the next attempt is built anew from the graph and
/// the latest checkpoint.
///
/// Held by shared_ptr: threads that had to be abandoned keep what they may still touch.
/// Threading: thread-safe after Start; Tick is called by the job's loop only.
class Attempt final : public TaskHost, public std::enable_shared_from_this<Attempt> {
 public:
  struct Inputs {
    std::shared_ptr<const JobGraph> graph;
    JobOptions options;
    int number = 0;  ///< 0 for the first
    bool stepped = false;
    std::shared_ptr<RestorePlan> restore;    ///< null: from the start
    std::shared_ptr<CheckpointStore> store;  ///< null: no checkpoints
    CheckpointId first_checkpoint = 1;
    std::map<int, std::vector<SplitState>>
        planned_splits;  ///< by node id, for sources without stored splits
    std::shared_ptr<MetricsRegistry> metrics;
    std::function<void()> notify;  ///< something happened that the job's loop wants to see
  };
  static Result<std::shared_ptr<Attempt>> Make(Inputs inputs);
  explicit Attempt(Inputs inputs);
  ~Attempt() override;

  void Start();

  /// What the job's loop has to know after a Tick.
  struct Report {
    Status failure;         ///< first failure
    bool finished = false;  ///< all tasks finished and, with a store, the final checkpoint is
                            ///< complete; or the job was stopped by a savepoint that is complete
    bool settled = false;   ///< as `finished`, but perhaps not all tasks know it yet
  };
  Report Tick();
  /// REQUIRES: a store. The request is resolved, or left to the caller when the attempt ends first.
  void RequestSavepoint(SavepointRequestPtr request);
  /// Asks for a checkpoint now, and again should it fail and be tolerated. Returns the least number
  /// that it can have. REQUIRES: a store.
  CheckpointId RequestCheckpoint();
  /// The newest complete one of this attempt, 0 = none. Loop only.
  CheckpointId last_complete() const { return last_complete_; }
  /// -1 = none but requested ones.
  void SetCheckpointInterval(int64_t interval_ms);
  int64_t checkpoint_interval_ms() const { return coordinator_ ? coordinator_->interval_ms() : -1; }
  /// First failure of any task.
  Status failure() const;
  void RequestStop();
  TaskScheduler& scheduler() { return *scheduler_; }

  /// Renames of a finished job that has no checkpoints. REQUIRES: all tasks finished.
  std::vector<PendingRename> TakeRenames();
  std::vector<CheckpointRecord> Checkpoints() const;
  std::vector<RegisteredState> StateRegistry() const;

  // TaskHost.
  void OnOpened() override;
  bool all_open() const override { return all_open_.load(std::memory_order_acquire); }
  BarrierRequest RequestOf(CheckpointId id) const override;
  void OnSnapshot(CheckpointId id, TaskSnapshot snapshot) override;
  void OnFinished(std::vector<PendingRename> renames) override;

 private:
  Status Build();
  Status BuildTask(const ChainSpec& chain, int subtask);
  ChainNodeSpec NodeSpec(const StreamNode& node, int subtask) const;
  Result<TaskSource> SourceFor(const StreamNode& node, int subtask) const;
  void Connect(const ExchangeSpec& exchange);
  void Fail(Status status);
  void Handle(const CheckpointCoordinator::Event& event);
  void Trigger(const CheckpointCoordinator::Event& event);
  void EndWith(CheckpointId id);
  int TaskIndex(int chain, int subtask) const { return first_task_of_chain_[chain] + subtask; }

  const Inputs inputs_;
  std::vector<int> first_task_of_chain_;
  std::vector<std::shared_ptr<Task>> tasks_;
  std::vector<bool> own_thread_;
  std::map<std::pair<int, int>, ChainNode*> nodes_;  ///< (node id, subtask)
  std::vector<std::vector<InputGate::Input>> task_inputs_;
  std::vector<std::shared_ptr<Channel>> channels_;
  std::unique_ptr<SnapshotWriter> writer_;
  std::unique_ptr<CheckpointCoordinator> coordinator_;
  std::unique_ptr<TaskScheduler> scheduler_;

  std::atomic<int> opened_{0};
  std::atomic<int> finished_{0};
  std::atomic<bool> all_open_{false};
  bool final_requested_ = false;             // loop only
  bool final_decided_ = false;               // loop only
  CheckpointId final_complete_ = 0;          // loop only
  CheckpointId last_complete_ = 0;           // loop only
  CheckpointId wanted_checkpoint_ = 0;       // loop only: see RequestCheckpoint
  std::vector<SavepointRequestPtr> drains_;  // loop only: wait for the end of all input

  // What the barriers of a checkpoint ask for; ids of the last such checkpoints, 0 = none.
  std::atomic<CheckpointId> full_checkpoint_{0};
  std::atomic<CheckpointId> suspending_checkpoint_{0};

  mutable std::mutex mutex_;
  Status failure_;                      // guarded by mutex_
  std::vector<PendingRename> renames_;  // guarded by mutex_
};

}  // namespace headrace
