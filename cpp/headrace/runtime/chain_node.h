#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/task_snapshot.h"
#include "headrace/operators/operator.h"
#include "headrace/runtime/exchange_writer.h"
#include "headrace/runtime/stream_element.h"
#include "headrace/state/cold_store.h"

namespace headrace {

/// What a node of a chain is made from. Plain data; pointers outlive the node.
struct ChainNodeSpec {
  OperatorContext context;  ///< name, uid, subtask, env; state pointers are filled by the node
  std::string kind;
  OperatorFactoryPtr factory;  ///< null for a source
  bool keyed = false;
  bool object_reuse = false;  ///< readers share mutable host values
  int64_t state_memory_budget_bytes = 0;
  uint32_t partition_bytes = PagedTable::kPartitionBytes;
  bool incremental_checkpoints = true;
  std::shared_ptr<ColdStoreFactory> cold_stores;  ///< null: all state is in memory
  std::string cold_directory;                     ///< of this node's store
  int64_t row_cache_bytes = -1;                   ///< as in JobOptions
  const RestorePlan* restore = nullptr;
  std::shared_ptr<TaskMetrics> metrics;  ///< never null
};

/// One operator inside a task: an inbox of elements in order, the operator, and where its output
/// goes. The inbox is short (about one batch): a node whose readers are full has no room, so
/// pressure travels up the chain.
///
/// An operator that returned kBlocked keeps its element at the front and is called again once there
/// is room; until then no other element, timer or snapshot passes. A source has no operator; its
/// task emits through it.
/// Threading: owned by one task thread, except metrics, which anyone may read.
class ChainNode final : public Output {
 public:
  explicit ChainNode(ChainNodeSpec spec);
  ~ChainNode() override;

  // Wiring, before Open. Readers get every batch in the order they were added.
  void AddReader(const std::string& tag, ChainNode* node);
  void AddReader(const std::string& tag, ExchangeWriter* writer);

  /// Makes and restores the operator and its state.
  Status Open();
  Status Close();

  // Output.
  int64_t RoomRows() const override;
  void Emit(RecordBatch batch) override;
  void EmitSide(const std::string& tag, RecordBatch batch) override;
  bool HasSideReader(const std::string& tag) const override;

  void Enqueue(StreamElement element);
  /// Rows its inbox takes now.
  int64_t InboxRoomRows() const;
  bool inbox_empty() const { return inbox_.empty(); }

  /// What one Run() did.
  enum class Ran : uint8_t {
    kNothing,  ///< nothing to do, or the output is full
    kProgress,
    kBarrier,   ///< a barrier is at the front: the task calls TakeSnapshot, then PassBarrier
    kFinished,  ///< used up the end of its input
  };
  Result<Ran> Run(int64_t now_ms, int64_t now_ns);
  /// Nothing waits for this node, and its readers have room.
  bool quiet() const { return inbox_.empty() && call_ == Call::kNone && RoomRows() > 0; }
  /// Tells the operator that nothing comes; true when it sent something on for that. `again_ms`:
  /// the processing time of the next call. REQUIRES: quiet().
  Result<bool> OnQuiet(int64_t now_ms, int64_t* again_ms);
  CheckpointId front_barrier() const { return inbox_.front().checkpoint; }
  /// `full`: it builds on no earlier snapshot.
  Result<OperatorSnapshot> TakeSnapshot(CheckpointId id, bool full = false);
  /// While suspended no timer of processing time fires: nothing may follow the barrier.
  void set_suspended(bool suspended) { suspended_ = suspended; }
  bool suspended() const { return suspended_; }
  void PassBarrier();
  void NotifyComplete(CheckpointId id) { completed_ = std::max(completed_, id); }

  bool told_complete(CheckpointId id) const { return !op_ || told_completed_ >= id; }

  /// Sends a control element to all readers (side readers too); watermarks only ever advance.
  void Forward(const StreamElement& element);
  void ForwardWatermark(TimestampMs watermark);
  void FinishSource();

  bool finished() const { return finished_; }
  /// True when a call returned blocked and waits for room.
  bool cursor_open() const { return call_ != Call::kNone; }
  TimestampMs next_processing_time() const { return next_processing_time_; }
  const OperatorContext& context() const { return spec_.context; }
  const std::string& kind() const { return spec_.kind; }
  /// "operator 'NAME' (subtask i/p)".
  std::string Describe() const;
  /// Renames of snapshots whose checkpoint is not known to be complete.
  std::vector<PendingRename> UnconfirmedRenames() const;
  std::vector<StateRegistration> Registry() const;
  const TaskMetrics& metrics() const { return *spec_.metrics; }
  void set_now_ns(int64_t now_ns) { now_ns_ = now_ns; }

 private:
  struct Reader {
    ChainNode* node = nullptr;
    ExchangeWriter* writer = nullptr;
  };
  enum class Call : uint8_t { kNone, kElement, kProcessingTime };

  bool StateIsReadable();
  void EmitTo(const std::vector<Reader>& readers, RecordBatch batch);
  void Deliver(const Reader& reader, RecordBatch batch);
  Result<Ran> RunElement();
  Result<Ran> RunProcessingTime(int64_t now_ms);
  Result<Progress> CallForFront();
  /// After each call that may emit: what it gave, or why that is void.
  Result<Progress> AfterCall(Result<Progress> progress);
  void ForwardProduced();
  void SendIdleness();
  Result<Ran> CompleteFront();
  Status RestoreState();
  /// Lets go of keys that nothing uses any more and holds the state against its budget. REQUIRES:
  /// no cursor is open, so the operator holds no ids of keys.
  Status MaintainState();

  ChainNodeSpec spec_;
  std::unique_ptr<KeyedState> keyed_;
  OperatorState operator_state_;
  std::unique_ptr<Operator> op_;

  std::vector<Reader> main_readers_;
  std::map<std::string, std::vector<Reader>, std::less<>> side_readers_;
  std::vector<Reader> all_readers_;

  std::deque<StreamElement> inbox_;
  int64_t inbox_rows_ = 0;
  Call call_ = Call::kNone;
  TimestampMs call_time_ = 0;
  TimestampMs next_processing_time_ = kMaxWatermark;
  TimestampMs watermark_in_ = kMinWatermark;
  TimestampMs watermark_out_ = kMinWatermark;
  CheckpointId completed_ = 0;
  CheckpointId told_completed_ = 0;
  std::vector<std::pair<CheckpointId, PendingRename>> unconfirmed_;
  bool finished_ = false;
  bool suspended_ = false;
  bool restored_finished_ = false;
  bool inputs_idle_ = false;
  bool own_idle_ = false;
  bool sent_idle_ = false;
  Status emit_failure_;
  int64_t now_ns_ = 0;
};

}  // namespace headrace
