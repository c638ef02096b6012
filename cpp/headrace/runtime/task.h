#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "headrace/runtime/chain_node.h"
#include "headrace/runtime/input_gate.h"
#include "headrace/runtime/registered_state.h"
#include "headrace/runtime/source_driver.h"

namespace headrace {

/// What the barrier of a checkpoint asks for beyond a snapshot.
struct BarrierRequest {
  bool full = false;     ///< the snapshot builds on no earlier one
  bool suspend = false;  ///< behind it nothing is emitted until Task::Resume()
};

/// What a task tells the attempt it belongs to. Threading: called from task threads.
class TaskHost {
 public:
  virtual ~TaskHost() = default;
  virtual void OnOpened() = 0;
  /// True once every task is open: rows may flow.
  virtual bool all_open() const = 0;
  virtual BarrierRequest RequestOf(CheckpointId) const { return {}; }
  virtual void OnSnapshot(CheckpointId id, TaskSnapshot snapshot) = 0;
  /// The task used up all its input. It goes on answering checkpoints.
  /// `renames`: files no checkpoint has published yet.
  virtual void OnFinished(std::vector<PendingRename> renames) = 0;
};

/// How a source node of a task is driven.
struct TaskSource {
  SourceFactoryPtr factory;
  SourceDriver::Options options;
  std::vector<SourceDriver::OwnedSplit> splits;
};

/// One subtask of a chain: its operators, its input and its outgoing exchanges, run in bounded
/// slices.
///
/// Life: construct and wire → Step() until it fails or the attempt ends → Close(). The first Step()
/// makes and opens the operators; rows flow once the host says that all tasks are open. A finished
/// task stays and answers checkpoints.
///
/// A step runs the deepest operator that has an element and room for its output, so rows leave the
/// chain before new ones enter. Barriers pass between elements only, hence never while an operator
/// holds a cursor.
/// Threading: Step, Close and the accessors marked so belong to the task's thread; the rest is
/// thread-safe.
class Task : public std::enable_shared_from_this<Task> {
 public:
  Task(int index, std::string name, TaskHost* host, Env* env);
  ~Task();

  // Wiring, before the first Step.
  ChainNode* AddNode(ChainNodeSpec spec);
  ExchangeWriter* AddWriter(ExchangeWriter::Options options,
                            std::vector<std::shared_ptr<Channel>> channels);
  void SetSource(TaskSource source) { source_ = std::make_unique<TaskSource>(std::move(source)); }
  void SetInputs(std::vector<InputGate::Input> inputs, bool at_least_once = false);
  void set_elements_per_step(int count) { elements_per_step_ = count; }
  /// Called (from any thread) when the task has something to do.
  void SetWaker(std::function<void()> wake) { wake_ = std::move(wake); }

  enum class Outcome : uint8_t {
    kProgress,  ///< step again
    kIdle,      ///< nothing to do until woken or next_wake_ns()
    kBlocked,   ///< as kIdle, but because the output is full
    kFinished,  ///< as kIdle; all input is used up
  };
  /// Runs one slice. A failure names the operator and ends the attempt.
  Result<Outcome> Step();
  /// Steady time at which Step() should be called even if nobody wakes the task. Task thread.
  int64_t next_wake_ns() const { return next_wake_ns_; }
  /// Closes all operators, whatever happened before. Task thread.
  Status Close();

  // Commands, from any thread.
  void TriggerCheckpoint(CheckpointId id);
  void NotifyComplete(CheckpointId id);
  /// Sources end as if they had no more rows: event time advances to its end.
  void Drain();
  /// Takes back the suspension that a barrier asked for.
  void Resume();
  void Wake() {
    if (wake_) wake_();
  }
  /// Asks a blocking source to return.
  void CancelSource();

  int index() const { return index_; }
  const std::string& name() const { return name_; }
  /// "operator 'NAME' (subtask i/p)" of the node in use, for a task that does not come back.
  std::string DescribeCurrent() const;
  const std::vector<std::unique_ptr<ChainNode>>& nodes() const { return nodes_; }
  /// States of all its operators as they were at the last barrier, its end or Close().
  std::vector<RegisteredState> Registry() const;
  /// The newest checkpoint whose completion every operator was told.
  CheckpointId acknowledged() const { return acknowledged_.load(std::memory_order_acquire); }

 private:
  enum class Phase : uint8_t { kNew, kOpening, kRunning, kFinished, kClosed };
  Status Open();
  void OnRowsArrived();
  Status ReadCommands();
  Result<bool> RunDeepest();
  Result<bool> PullInput();
  Result<bool> AnswerTrigger();
  Status SnapshotNode(ChainNode* node, CheckpointId id);
  Result<bool> TellQuiet();
  void ComputeNextWake(int64_t now_ms);
  void CheckFinished();
  void UpdateRegistry();
  void Acknowledge();

  const int index_;
  const std::string name_;
  TaskHost* const host_;
  Env* const env_;
  std::function<void()> wake_;
  std::vector<std::unique_ptr<ChainNode>> nodes_;  ///< head first
  std::vector<std::unique_ptr<ExchangeWriter>> writers_;
  std::unique_ptr<TaskSource> source_;
  std::unique_ptr<SourceDriver> driver_;
  std::unique_ptr<InputGate> gate_;
  int elements_per_step_ = 8;

  Phase phase_ = Phase::kNew;
  int64_t now_ns_ = 0;
  int64_t now_ms_ = 0;
  int64_t next_wake_ns_ = 0;
  int64_t quiet_again_ms_ = kMaxWatermark;  ///< when a node wants to hear again that nothing comes
  CheckpointId triggered_ = 0;
  CheckpointId answered_ = 0;
  CheckpointId completed_ = 0;
  CheckpointId told_source_ = 0;
  bool draining_ = false;
  bool source_suspended_ = false;
  std::map<CheckpointId, TaskSnapshot> snapshots_;  ///< barriers still inside the chain
  std::atomic<int> current_node_{0};
  std::atomic<CheckpointId> acknowledged_{0};

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  CheckpointId trigger_command_ = 0;
  CheckpointId complete_command_ = 0;
  bool rows_arrived_ = false;
  bool drain_command_ = false;
  bool resume_command_ = false;
  bool cancelled_ = false;
  std::shared_ptr<SourceReader> reader_;
  std::vector<RegisteredState> registry_;
  std::atomic<bool> has_commands_{false};
};

}  // namespace headrace
