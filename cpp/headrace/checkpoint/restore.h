#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Operator of the graph that wants its state back.
struct RestoreTarget {
  std::string operator_id;
  std::string name;
  std::string kind;
  bool keyed = false;
  bool is_source = false;
  int parallelism = 1;
  int max_parallelism = kDefaultMaxParallelism;
};

/// A manifest matched against a graph. Threading: immutable after ForgetIds(); methods are
/// thread-safe.
class RestorePlan {
 public:
  /// Every operator with state in the manifest must be in the graph with the same kind and, where
  /// it is keyed, the same max parallelism, else kInvalidArgument naming both sides.
  /// `allow_dropped` lets go of the state of operators that the graph lacks; it never lets state go
  /// to an operator of another kind. Operators new in the graph start empty.
  static Result<std::unique_ptr<RestorePlan>> Make(Env* env, Manifest manifest,
                                                   std::string directory,
                                                   const std::vector<RestoreTarget>& targets,
                                                   bool allow_dropped);

  const Manifest& manifest() const { return manifest_; }
  const std::string& directory() const { return directory_; }
  /// True when the operator is in the graph and has state in the manifest.
  bool Has(const std::string& operator_id) const;
  /// Keyed state for subtask `index` of `parallelism` as it is now; blocks are read and verified
  /// one at a time, damage is kCorruption naming file and offset. The tables may outlive the plan.
  Result<StoredKeyedState> KeyedStateFor(const std::string& operator_id, int index,
                                         int parallelism) const;
  Result<OperatorState> OperatorStateFor(const std::string& operator_id, int index,
                                         int parallelism) const;
  /// All splits of a source (dealt out by the runtime: split i goes to subtask i mod parallelism).
  std::vector<SplitSnapshot> SplitsOf(const std::string& operator_id) const;
  /// True when ids are kept for every keyed operator, so SnapshotWriter::Seed may be used for it.
  bool SameParallelism(const std::string& operator_id, int parallelism) const;
  /// Operators whose state was let go of, for the job's messages.
  const std::vector<std::string>& dropped() const { return dropped_; }

  /// Restores every operator as after a rescale, so that its first checkpoint is full. Needed when
  /// the manifest is not one of the store that the job will write to (CheckpointStore::Holds).
  void ForgetIds() { forget_ids_ = true; }

 private:
  class FileCache;
  class Table;
  RestorePlan() = default;
  const OperatorManifest* Wanted(const std::string& operator_id) const;

  Manifest manifest_;
  std::string directory_;
  std::set<std::string> wanted_;  // ids both in the graph and in the manifest, with state
  std::vector<std::string> dropped_;
  bool forget_ids_ = false;
  std::shared_ptr<FileCache> files_;
};

}  // namespace headrace
