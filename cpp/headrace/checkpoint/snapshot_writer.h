#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// What writing one task's snapshot gave: manifest parts whose PartitionRef::file index into
/// `files`.
struct WrittenTask {
  struct Part {
    std::string operator_id;
    SubtaskManifest subtask;
  };
  std::vector<Part> parts;          ///< one an operator, in the order of the snapshot
  std::vector<FileManifest> files;  ///< new file first, then earlier ones still referred to
  uint64_t bytes_written = 0;
  uint64_t raw_bytes = 0;  ///< serialised: payloads of the partitions written, before compression
  uint64_t partitions_written = 0;
  uint64_t rows_written = 0;
};

/// Turns task snapshots into files: changed partitions only, compressed, checksummed, one file a
/// task and checkpoint, none when nothing changed. Remembers, for each table, the chain of every
/// partition as of the last snapshot written; decides delta, whole or rebase (see WantsWhole).
///
/// Write leaves the tables unfinished. Once the checkpoint is decided they are released by
/// FinishTables(); if it fails they are destroyed as they are, and report themselves full next
/// time. So a chain only ever grows on what a decided checkpoint holds.
///
/// One writer an attempt: a new attempt starts from what it restored (Seed), not from what its
/// predecessor wrote. Copies share everything.
/// Threading: Write is called by one background thread at a time for one task, by several for
/// several tasks; the rest is thread-safe.
class SnapshotWriter {
 public:
  SnapshotWriter(Env* env, CheckpointStore* store);
  ~SnapshotWriter();

  /// Writes and syncs. After a failure the snapshot must be destroyed. kCancelled when
  /// `still_wanted`, which is asked before each partition, answers false.
  Result<WrittenTask> Write(CheckpointId id, TaskSnapshot* snapshot,
                            const std::function<bool()>& still_wanted = nullptr);
  /// Continues the chains of a restored manifest (equal parallelism), so the first checkpoint is
  /// incremental. Ignored for a manifest that the store does not hold: then RestorePlan::ForgetIds
  /// must have been called, as no chain may lead out of the directory.
  void Seed(const Manifest& manifest, const std::vector<std::string>& operator_ids);
  /// The checkpoint did not complete: chains that it extended are forgotten (next write is full).
  void OnAborted(CheckpointId id);

  /// Releases all tables of a snapshot whose checkpoint is decided.
  static void FinishTables(TaskSnapshot* snapshot);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace headrace
