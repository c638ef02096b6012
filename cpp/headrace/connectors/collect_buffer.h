#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/types/batch.h"

namespace headrace {

/// Hands the rows of a running job to its caller: subtasks append, one reader takes.
///
/// With checkpoints on, rows become visible when the checkpoint that covers them is complete (or is
/// the one restored), and at the end; without, at once. Rows of an attempt that failed before such
/// a checkpoint are dropped when the subtask's next attempt begins. Order within a subtask is kept.
/// Threading: thread-safe; guarded by `mutex_`.
class CollectBuffer {
 public:
  /// `rows_max` bounds the visible rows that wait for the reader (0 = no bound): HasRoom() says so
  /// to the subtasks. Rows that wait for a checkpoint are not counted, else the barrier could never
  /// come.
  CollectBuffer(bool checkpointed, int64_t rows_max)
      : checkpointed_(checkpointed), rows_max_(rows_max) {}

  // ---- Subtasks ----

  /// A new attempt begins. Rows covered by checkpoints up to `restored_checkpoint` become visible,
  /// later ones of this subtask are dropped.
  void BeginAttempt(int subtask, uint64_t restored_checkpoint);
  bool HasRoom() const;
  void Append(int subtask, RecordBatch batch);
  /// Rows appended so far belong to this checkpoint.
  void Cut(int subtask, uint64_t checkpoint_id);
  void OnCheckpointComplete(int subtask, uint64_t checkpoint_id);

  // ---- The job's owner ----

  /// The job ended. All rows become visible when it ended well, else those that wait are dropped.
  void Close(bool ended_well);

  // ---- The reader ----

  /// The next visible batch, cut to `limit_rows` (0 = whole). Waits up to `timeout_ms`, 0 = not at
  /// all; false when there is none, for good if closed().
  bool Take(int64_t timeout_ms, int64_t limit_rows, RecordBatch* out);
  /// True when nothing more will come.
  bool closed() const;
  /// True once a row was taken: without checkpoints the job may not restart any more.
  bool handed_out() const;

 private:
  struct Waiting {
    uint64_t checkpoint_id;  ///< that covers it; kNotCut = none yet
    RecordBatch batch;
  };
  static constexpr uint64_t kNotCut = ~uint64_t{0};

  std::deque<Waiting>& Of(int subtask);
  void Publish(std::deque<Waiting>* waiting, uint64_t checkpoint_id);

  const bool checkpointed_;
  const int64_t rows_max_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::deque<Waiting>> waiting_;  // by subtask
  std::deque<RecordBatch> visible_;
  int64_t visible_rows_ = 0;
  bool closed_ = false;
  bool handed_out_ = false;
};

}  // namespace headrace
