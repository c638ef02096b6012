#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/hash.h"
#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// Bytes before the body of a stored manifest, which starts with the job key.
inline constexpr size_t kManifestHeaderBytes = 32;

/// Where one stored partition (base or delta) lies.
struct PartitionRef {
  uint32_t file = 0;  ///< index into Manifest::files
  uint64_t offset = 0;
  uint32_t stored_bytes = 0;
  uint32_t raw_bytes = 0;
  bool whole = false;
  Digest128 digest;  ///< of the stored block

  bool operator==(const PartitionRef&) const = default;
};

struct TableManifest {
  TableMeta meta;
  std::vector<std::vector<PartitionRef>> partitions;  ///< chain of each partition, base first
  uint64_t live_bytes = 0;
  bool full_ids = true;
};

struct SubtaskManifest {
  int index = 0;
  KeyGroupRange key_groups;
  std::vector<TableManifest> tables;
  std::string operator_state;  ///< OperatorState::Encode
  bool finished = false;
  uint64_t state_bytes = 0;  ///< s_i: live encoded bytes of this subtask
};

struct OperatorManifest {
  std::string operator_id;
  std::string name;
  std::string kind;
  int parallelism = 1;
  int max_parallelism = kDefaultMaxParallelism;
  bool keyed = false;
  std::vector<StateRegistration> registry;  ///< union over subtasks, bytes and rows summed
  std::vector<SubtaskManifest> subtasks;    ///< by index
  std::vector<SplitSnapshot> splits;        ///< by id

  /// True when a job without this operator would lose something: keyed or operator state, a
  /// position.
  bool HasState() const;
};

struct FileManifest {
  std::string name;  ///< relative to the job's directory
  uint64_t size_bytes = 0;
  Digest128 digest;
  CheckpointId checkpoint = 0;  ///< that wrote it

  bool operator==(const FileManifest&) const = default;
};

enum class CheckpointKind : uint8_t { kCheckpoint = 0, kFinal = 1, kSavepoint = 2 };

/// Everything needed to resume; one file, written last. Format drawn in manifest.cc; room for
/// in-flight data.
struct Manifest {
  std::string job_key;
  CheckpointId id = 0;
  uint64_t run_id = 0;  ///< fence: process run that wrote it, grows with every start
  CheckpointKind kind = CheckpointKind::kCheckpoint;
  uint8_t decision = 0;  ///< 0: this manifest is the decision; 1: an external marker is
  bool full = false;     ///< refers to no file of an earlier checkpoint
  int64_t created_ms = 0;
  Digest128 parent_digest;  ///< of the previous manifest of the job, zero for the first
  std::vector<OperatorManifest> operators;
  std::vector<PendingRename> renames;
  std::vector<FileManifest> files;

  /// True when a job that resumes from it has nothing left to do: the final checkpoint, or a
  /// savepoint in which all input was used up (one that drained the job).
  bool Finished() const;
  uint64_t state_bytes() const;  ///< S = Σ s_i over all subtasks
  const OperatorManifest* Find(std::string_view operator_id) const;
};

/// Version written by this build; readers accept it and every older one.
inline constexpr uint32_t kManifestVersion = 1;

/// Serialises with header, lengths and self-digest. Every flipped bit is found by ParseManifest.
/// Equal manifests give equal bytes.
std::string SerializeManifest(const Manifest& manifest);
/// kCorruption naming `file` and offset for damaged bytes, kUnimplemented for a newer format
/// version, kFailedPrecondition when it is not a headrace manifest at all. What it returns is
/// consistent: every PartitionRef lies inside its file, chains begin with a whole image, names are
/// plain file names.
Result<Manifest> ParseManifest(std::string_view bytes, const std::string& file);

}  // namespace headrace
