#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/checkpoint/interval_policy.h"
#include "headrace/checkpoint/task_snapshot.h"

/// The decisions of the checkpoint protocol: facts in, decision out. Nothing here reads a clock or
/// a file.

namespace headrace {

/// When checkpoints are taken and how many may fail.
struct CheckpointOptions {
  int64_t interval_ms = -1;  ///< -1 = none
  int64_t timeout_ms = 600000;
  int64_t min_pause_ms = 0;
  int tolerable_failures = 0;
  /// False: exactly once. True: a channel whose barrier has come is read on while the others are
  /// waited for, so that rows behind the barrier may be in the snapshot and come again after a
  /// restore.
  bool at_least_once = false;
  /// Where enabled, `interval_ms` is only the first.
  IntervalPolicyOptions adaptive = {};
};

/// What decides whether a checkpoint is triggered now; times are those of one steady clock.
struct TriggerFacts {
  int64_t now_ms = 0;
  int64_t last_trigger_ms = 0;              ///< of this attempt; its start before the first
  std::optional<int64_t> last_end_ms = {};  ///< completion or failure of the last one
  bool requested = false;                   ///< somebody asked for one now
  bool pending = false;                     ///< one is running
  bool writing = false;  ///< snapshots of an abandoned one still hold the tasks' state, or a
                         ///< savepoint is copied
  bool stopped = false;  ///< shut down, or the job is failing
};

/// One at a time; a requested one at once, the others `interval_ms` after the last trigger and not
/// before `min_pause_ms` after the last end.
bool ShouldTrigger(const CheckpointOptions& options, const TriggerFacts& facts);

/// True when a checkpoint that still collects snapshots has to be given up.
bool TimedOut(const CheckpointOptions& options, int64_t triggered_ms, int64_t now_ms);

/// One failed checkpoint, as it bears on the job.
struct FailureFacts {
  int earlier_failures = 0;  ///< counted ones since the last completed checkpoint
  int tolerable = 0;
  bool savepoint = false;
  bool cancelled = false;  ///< because the job was asked to stop
  bool decided = false;    ///< the manifest is published, what follows it failed
  bool fenced = false;     ///< a newer run has taken the directory over
};
struct FailureDecision {
  bool counts = true;  ///< goes into `earlier_failures` of the next
  bool fail_job = true;
};

/// A savepoint or a cancelled checkpoint never fails the job. A decided one always does: its
/// results must become visible before any later ones, and only recovery can still publish them. A
/// fenced one does too: no later one can succeed.
FailureDecision OnCheckpointFailure(const FailureFacts& facts);

/// Who has delivered a snapshot and whose is written. A plain value; owned by the coordinator.
class AckBook {
 public:
  explicit AckBook(int tasks);

  /// False when the task is unknown or delivered before: the snapshot must be dropped.
  bool Deliver(int task);
  /// REQUIRES: delivered, not yet written.
  void MarkWritten(int task);
  /// True once every task's snapshot is written.
  bool complete() const { return written_ == static_cast<int>(states_.size()); }
  int written() const { return written_; }
  /// Tasks without a snapshot yet, for the message of a timeout.
  std::vector<int> Missing() const;

 private:
  enum class State : uint8_t { kWaiting, kDelivered, kWritten };
  std::vector<State> states_;
  int written_ = 0;
};

/// Sizes of a partition's chain, which decide how it goes on.
struct ChainFacts {
  bool has_base = false;
  uint64_t base_raw_bytes = 0;
  uint64_t delta_raw_bytes = 0;  ///< sum
  uint32_t deltas = 0;
};
inline constexpr uint32_t kMaxDeltasInChain = 16;

/// True when the next image has to be the whole partition: no base, deltas over half the base, or
/// 16 in a row.
bool WantsWhole(const ChainFacts& facts);

/// What a file name in a job's directory says.
struct StoredName {
  enum class Kind : uint8_t { kForeign, kManifest, kManifestTemporary, kData, kRunMarker };
  Kind kind = Kind::kForeign;
  uint64_t run = 0;             ///< kManifestTemporary, kData, kRunMarker
  CheckpointId checkpoint = 0;  ///< kManifest, kManifestTemporary, kData
};

std::string ManifestName(CheckpointId id);  ///< chk-<id>.manifest
std::string ManifestTemporaryName(CheckpointId id, uint64_t run, uint64_t counter);
std::string DataName(uint64_t run, CheckpointId id, int task, uint64_t counter);
std::string RunMarkerName(uint64_t run);  ///< run-<n>
/// kForeign for whatever the functions above would not have written, letter by letter.
StoredName ParseStoredName(const std::string& name);
inline constexpr std::string_view kManifestEnd = ".manifest";
/// True also of a savepoint's manifest, which may have any name before that end.
bool LooksLikeManifest(const std::string& name);

/// A manifest found in, or committed to, the job's directory.
struct KnownManifest {
  CheckpointId id = 0;
  bool usable = true;           ///< parsed, and its files are there
  std::set<std::string> files;  ///< data files it refers to
};

/// Names in the directory that may go, in order: all of `manifests` durably before any of `data`.
struct CleanUp {
  std::vector<std::string> manifests;
  std::vector<std::string> data;
};

/// What may be deleted after checkpoint commits.
///
/// Kept are the newest max(retained, 2) usable manifests, every manifest newer than the oldest of
/// these, and all files any of them names. Deleted are older manifests, the manifests of
/// `abandoned` checkpoints (a failed commit may have left one in doubt), and data files which no
/// kept manifest names, whose run is not newer than ours, and which two complete checkpoints have
/// outlived. Foreign names are never touched.
CleanUp DecideCleanUp(const std::vector<std::string>& names,
                      const std::vector<KnownManifest>& known,
                      const std::set<CheckpointId>& abandoned, uint64_t our_run, int retained);

/// A candidate for `latest`.
struct LatestCandidate {
  CheckpointId id = 0;
  std::string path;
  Status status;  ///< Ok when whole
};
struct LatestDecision {
  enum class Kind : uint8_t { kFreshStart, kUse, kRefuse };
  Kind kind = Kind::kFreshStart;
  size_t index = 0;     ///< kUse: of the candidate
  std::string warning;  ///< kUse of an older one
  Status refusal;       ///< kRefuse: the newest's failure; names it and the newest whole one
};

/// The newest, or a refusal; an older one only when `allow_older`, never a silent fresh start.
LatestDecision DecideLatest(const std::vector<LatestCandidate>& candidates, bool allow_older);

}  // namespace headrace
