#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_sizes.h"
#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/savepoint.h"
#include "headrace/checkpoint/snapshot_writer.h"
#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// One line of the checkpoint history.
struct CheckpointRecord {
  CheckpointId id = 0;
  bool completed = false;
  bool final = false;
  std::string savepoint;  ///< path of the savepoint made of it, the first of several; or ""
  std::string failure;
  int64_t triggered_ms = 0;  ///< wall clock
  int64_t duration_ms = 0;
  uint64_t bytes_written = 0;
  uint64_t state_bytes = 0;  ///< S
  uint64_t partitions_written = 0;
  uint64_t raw_bytes = 0;  ///< serialised, before compression
  uint64_t rows_written = 0;
  /// By state; null unless the checkpoint is complete and among the newest.
  std::shared_ptr<const CheckpointSizes> sizes;
  /// Where the interval adapts: the one that follows, and why.
  std::optional<IntervalDecision> interval = {};
};

/// Runs checkpoints of one attempt: decides when to trigger, collects the tasks' snapshots, has
/// them written in the background, commits the manifest, tells the outcome. The decisions are pure
/// functions in protocol.h; this class does the I/O around them.
///
/// The job loop calls Tick often. Callbacks are never invoked from inside another call of this
/// class. Every triggered checkpoint ends in exactly one event: kCompleted, kAborted, or kFailJob
/// alone where the checkpoint is decided and only its publication failed (a restart completes it).
/// A kAborted that the job does not tolerate is followed by kFailJob; nothing is triggered after
/// kFailJob. Background work shares what it needs, so this object may be destroyed at any time;
/// `env` must live on.
///
/// A savepoint is a full checkpoint of which a copy is made once it is decided. So its rows are
/// committed with it, whatever becomes of the copy, and later checkpoints build on the full one.
/// Until the copy is done nothing else is triggered. A checkpoint that serves savepoint requests
/// has `savepoint` set in its events and is followed by one kSavepointEnded; its failure never
/// counts against the job. The requests of a checkpoint are resolved before that event; those that
/// a shutdown overtakes are left to the caller.
/// Threading: thread-safe; guarded by `mutex_`.
class CheckpointCoordinator {
 public:
  struct Event {
    enum class Kind : uint8_t { kTrigger, kCompleted, kAborted, kFailJob, kSavepointEnded };
    Kind kind = Kind::kTrigger;
    CheckpointId id = 0;
    bool final = false;
    Status status;           ///< kAborted, kFailJob, kSavepointEnded
    bool savepoint = false;  ///< snapshots have to be full
    SavepointStop stop =
        SavepointStop::kNone;  ///< what the savepoint asks for, kDrain at most once
  };

  /// Ids start from `first_id` or the store's next free one, whichever is larger.
  CheckpointCoordinator(Env* env, CheckpointOptions options, CheckpointStore* store,
                        SnapshotWriter* writer, int tasks, CheckpointId first_id);
  ~CheckpointCoordinator();

  /// What the job has to do now, in order: kTrigger = make the sources inject a barrier (and take
  /// snapshots of tasks whose input has ended); kCompleted = tell the tasks; kFailJob = too many
  /// failures.
  std::vector<Event> Tick();
  /// Asks for a checkpoint now (savepoint, final). The final one is triggered when every task has
  /// finished; one that fails and is tolerated is tried again under the next id. Returns the least
  /// number that it can have.
  CheckpointId RequestNow(bool final);
  /// Asks for a savepoint: the next checkpoint serves all requests made by then, and comes at once.
  void RequestSavepoint(SavepointRequestPtr request);
  /// From now on, or until the interval adapts; -1 = none but requested ones.
  void SetInterval(int64_t interval_ms);
  int64_t interval_ms() const;
  /// A task delivered its snapshot; written in the background by Env::RunInBackground. One that is
  /// late, unknown or a second one of its task is destroyed unread.
  void OnSnapshot(CheckpointId id, TaskSnapshot snapshot);
  /// A task could not take its snapshot: the checkpoint fails; kCancelled does not count against
  /// the job.
  void OnDeclined(CheckpointId id, int task, Status why);
  /// Stops triggering; waits for nothing. A pending checkpoint is abandoned without an event; only
  /// one whose commit has begun may still be decided, and CheckpointStore::LoadLatest waits for
  /// that.
  void Shutdown();

  bool pending() const;
  std::vector<CheckpointRecord> History() const;
  std::optional<Manifest> LastCompleted() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace headrace
