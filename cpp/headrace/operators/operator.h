#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/base/status.h"
#include "headrace/metrics/task_metrics.h"
#include "headrace/operators/output.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/operator_state.h"
#include "headrace/storage/pending_rename.h"
#include "headrace/time/watermark.h"
#include "headrace/types/batch.h"

namespace headrace {

/// How far a call got.
enum class Progress : uint8_t {
  kDone,     ///< the element is used up
  kBlocked,  ///< the output is full: call the same method with the same arguments again when it has
             ///< room
};

/// What an operator subtask may use. Everything outlives the operator.
struct OperatorContext {
  std::string name;     ///< as explain() and errors show it
  std::string uid;      ///< operator id in checkpoints
  std::string job_key;  ///< tells files of this job from those of others; may be empty in tests
  int subtask_index = 0;
  int parallelism = 1;
  int max_parallelism = kDefaultMaxParallelism;
  int attempt = 0;
  bool restored = false;             ///< state was restored from a checkpoint
  uint64_t restored_checkpoint = 0;  ///< its id, when `restored`
  Env* env = nullptr;
  KeyedState* keyed_state = nullptr;        ///< null unless the operator is keyed
  OperatorState* operator_state = nullptr;  ///< restored items at Open
  TaskMetrics* metrics = nullptr;
  const std::map<std::string, std::string>* job_parameters = nullptr;  ///< the program's own
  int64_t batch_rows = 4096;  ///< rows an output batch should have at most
};

/// A step of the dataflow as one subtask runs it: sees batches, watermarks, state, timers and an
/// output; never threads, channels or checkpoints' files.
///
/// Order of calls: Open, then Process / OnWatermark / OnProcessingTime in any order, Snapshot
/// between them, Finish once all inputs ended, Close. A method that returned kBlocked is called
/// again with the same arguments before any other (it keeps a cursor); Snapshot is never called
/// while a cursor is open, so a cursor is never part of a checkpoint. A failed method ends the
/// attempt: only Close follows.
///
/// The caller forwards watermarks, idleness, barriers and end of input downstream itself, after the
/// call returned kDone.
/// Threading: owned by one task thread.
class Operator {
 public:
  virtual ~Operator() = default;

  virtual Status Open(const OperatorContext& context) {
    context_ = context;
    return Status::Ok();
  }
  /// Uses up one batch of input `input` (0, or 1 for two-input operators).
  virtual Result<Progress> Process(const RecordBatch& batch, int input, Output& out) = 0;
  /// The combined watermark of the inputs advanced.
  virtual Result<Progress> OnWatermark(TimestampMs watermark, Output& out) {
    (void)watermark, (void)out;
    return Progress::kDone;
  }
  /// Watermark to send on in place of the incoming one (timestamp assigners swallow and make their
  /// own).
  virtual TimestampMs ForwardedWatermark(TimestampMs incoming) { return incoming; }
  /// Watermark the operator itself produced since the last call, or kMinWatermark; asked after each
  /// call.
  virtual TimestampMs TakeProducedWatermark() { return kMinWatermark; }
  /// Nothing is on its way to the operator, and not because its output is full. Called again and
  /// again while that lasts. The operator may produce a watermark or become idle; returns the
  /// processing time at which it wants the next call, kMaxWatermark = it needs none.
  virtual TimestampMs OnQuiet(TimestampMs now) {
    (void)now;
    return kMaxWatermark;
  }
  /// True while the operator's own idle timeout has run out: the caller sends Idle on; a batch ends
  /// it. Asked after OnQuiet.
  virtual bool ProducesIdle() const { return false; }
  /// Earliest processing time at which OnProcessingTime wants to be called; kMaxWatermark = never.
  virtual TimestampMs NextProcessingTime() { return kMaxWatermark; }
  virtual Result<Progress> OnProcessingTime(TimestampMs now, Output& out) {
    (void)now, (void)out;
    return Progress::kDone;
  }
  /// All inputs ended (after the final watermark); last chance to emit.
  virtual Result<Progress> Finish(Output& out) {
    (void)out;
    return Progress::kDone;
  }
  /// A barrier passes: put operator state that must survive into `state`. Keyed state is taken by
  /// the caller.
  virtual Status Snapshot(uint64_t checkpoint_id, OperatorState* state) {
    (void)checkpoint_id, (void)state;
    return Status::Ok();
  }
  /// The keyed state is about to move rows out of memory: whatever the operator caches over it goes
  /// back now. REQUIRES: between elements.
  virtual Status FlushState() { return Status::Ok(); }
  /// The operator state that user code registered: name, type and size of each. Keyed state is
  /// asked by the caller.
  virtual std::vector<StateRegistration> OperatorStateRegistry() const { return {}; }
  /// Files that become visible with the checkpoint just snapshotted (or with the end of a job
  /// without checkpoints); asked right after Snapshot and after Finish.
  virtual std::vector<PendingRename> TakePendingRenames() { return {}; }
  /// The checkpoint is complete and decided. Called on the task thread.
  virtual Status OnCheckpointComplete(uint64_t checkpoint_id) {
    (void)checkpoint_id;
    return Status::Ok();
  }
  virtual Status Close() { return Status::Ok(); }

  const OperatorContext& context() const { return context_; }

 protected:
  OperatorContext context_;
};

/// Makes the operator of one subtask; called once for each subtask and attempt, on the task's
/// thread.
class OperatorFactory {
 public:
  virtual ~OperatorFactory() = default;
  virtual Result<std::unique_ptr<Operator>> Make(int subtask_index) = 0;
  /// True: the task gets a thread of its own and may call Python.
  virtual bool calls_python() const { return false; }
};
using OperatorFactoryPtr = std::shared_ptr<OperatorFactory>;

/// Factory whose operators are made by a plain function `(int subtask) ->
/// Result<unique_ptr<Operator>>`.
template <typename MakeFunction>
OperatorFactoryPtr NativeOperator(MakeFunction make) {
  class Factory final : public OperatorFactory {
   public:
    explicit Factory(MakeFunction make) : make_(std::move(make)) {}
    Result<std::unique_ptr<Operator>> Make(int subtask) override { return make_(subtask); }

   private:
    MakeFunction make_;
  };
  return std::make_shared<Factory>(std::move(make));
}

}  // namespace headrace
