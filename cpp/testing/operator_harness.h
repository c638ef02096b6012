#pragma once

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "headrace/operators/operator.h"
#include "testing/memory_snapshot.h"

namespace headrace {

/// Drives one operator subtask as a task would, and as cruelly as allowed: outputs are full at
/// random, and after every element the operator may be snapshotted, destroyed and restored into a
/// new one, so that state that misses the snapshot, or a cursor that is lost, changes what comes
/// out.
///
/// Like a task it forwards watermarks, passes on produced ones, and takes renames after Snapshot
/// and Finish.
/// Threading: owned by one thread.
class OperatorHarness {
 public:
  struct Options {
    bool keyed = true;
    bool restore_after_each = false;
    /// Room of the output: 0 = always `batch_rows`, else random in [0, room_rows_max] before each
    /// call.
    int64_t room_rows_max = 0;
    uint64_t seed = 1;
    int64_t batch_rows = 4096;
    int max_parallelism = kDefaultMaxParallelism;
    int parallelism = 1;
    int subtask_index = 0;
    std::set<std::string> side_readers;  ///< tags that somebody reads
    Env* env = nullptr;
    std::string uid = "operator";
  };

  /// What came out of the main output.
  struct Element {
    RecordBatch batch;  ///< without rows: a watermark
    TimestampMs watermark = kMinWatermark;
  };

  OperatorHarness(OperatorFactoryPtr factory, Options options);
  ~OperatorHarness();

  /// Makes and opens the first operator.
  Status Open();
  Status Process(const RecordBatch& batch, int input = 0);
  Status Watermark(TimestampMs watermark);
  Status ProcessingTime(TimestampMs now);
  /// The final watermark, then Finish.
  Status Finish();

  /// A checkpoint: snapshots operator and keyed state. Ids count from 1.
  Status Snapshot();
  Status CompleteCheckpoint();
  /// Throws the operator away and restores the last snapshot into a new one (of another attempt).
  Status Restore();

  const std::vector<Element>& output() const { return output_; }
  const std::vector<RecordBatch>& side_output(const std::string& tag) { return side_[tag]; }
  /// Rows of the main output as text, "Row(k=1, n=2) @9" (without the time if there is none) and
  /// "Watermark(9)".
  std::vector<std::string> OutputText() const;
  std::vector<std::string> SideText(const std::string& tag);
  void ClearOutput();

  /// Renames taken with the last Snapshot or Finish.
  const std::vector<PendingRename>& renames() const { return renames_; }
  uint64_t checkpoint_id() const { return checkpoint_id_; }
  Operator& op() { return *operator_; }
  KeyedState& keyed_state() { return *keyed_state_; }
  TaskMetrics& metrics() { return metrics_; }
  /// Calls that returned kBlocked.
  int64_t blocked_calls() const { return blocked_calls_; }

 private:
  class RoomyOutput;
  template <typename Call>
  Status Drive(Call call);
  Status AfterElement();
  void TakeWatermark();

  const OperatorFactoryPtr factory_;
  const Options options_;
  std::mt19937_64 random_;
  std::unique_ptr<RoomyOutput> out_;
  TaskMetrics metrics_;
  OperatorState operator_state_;
  MemorySnapshot stored_;
  std::unique_ptr<KeyedState> keyed_state_;
  std::unique_ptr<Operator> operator_;
  int attempt_ = 0;
  uint64_t checkpoint_id_ = 0;
  int64_t blocked_calls_ = 0;
  std::vector<Element> output_;
  std::map<std::string, std::vector<RecordBatch>> side_;
  std::vector<PendingRename> renames_;
};

}  // namespace headrace
