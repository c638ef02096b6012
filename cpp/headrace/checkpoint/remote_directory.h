#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "headrace/checkpoint/manifest.h"

namespace headrace {

/// `status` with `directory`, if its message names it, called `uri`; as it is when `directory` is
/// "".
Status ShownAs(const Status& status, const std::string& directory, const std::string& uri);

/// A job's directory in a remote storage, with a local staging directory that belongs to one store
/// alone. The remote names are those of a local job directory (see CheckpointStore), without LOCK
/// and temporaries; a manifest is decided by its creation there.
///
/// What stands in for the lock: a run marker is created, never replaced, so runs have different
/// numbers; and whoever decides looks for a newer marker both before and after. A successor creates
/// its marker before it reads what is decided. So either it sees the manifest of its predecessor,
/// or the predecessor sees the marker and publishes nothing.
///
/// Nothing rests on a listing being up to date, the names that decide are asked for one by one. So
/// that they are known, the marker of a run says which checkpoints may be the newest, written
/// before each decision; a successor takes that over:
///
///     <token of the process>\n<checkpoint> <checkpoint> …\n<run> <chosen> <next>\n<owner>\n
///
/// The last line names the process (CheckpointTransport::Owner), or is `ended` once its run is
/// over: only then, or when that process is known to be gone, may anybody change what is stored
/// without being asked to take over.
///
/// A storage may carry out a request long after it was given up. What whoever resumes has not found
/// must not count when it appears later, because its part files are gone by then: the third line of
/// the marker says that run `run` chose checkpoint `chosen` (0: none) when `next` was the next free
/// number; whatever was newer than that is void.
///
/// Threading: guarded by the mutex of the store that owns it.
class RemoteDirectory {
 public:
  RemoteDirectory(Env* env, std::shared_ptr<CheckpointTransport> transport, std::string staging);

  const std::string& uri() const { return transport_->uri(); }
  /// Where a file lies once it was brought here.
  std::string PathOf(const std::string& name) const { return staging_ + "/" + name; }
  uint64_t run() const { return run_; }

  /// Names that exist remotely. Every manifest among them is in staging afterwards, and no other.
  Result<std::vector<std::string>> Refresh();
  /// Makes number `run`, or the next one that nobody took, ours and returns it.
  Result<uint64_t> ClaimRun(uint64_t run);
  /// As ClaimRun, with the next number, where no run may be alive; `names`: of the last Refresh().
  /// kFailedPrecondition, nothing written, when the newest run has neither ended nor is its process
  /// known to be gone; not with `assume_gone`. A run that is alive all the same is fenced off.
  Result<uint64_t> ClaimUnused(const std::vector<std::string>& names, bool assume_gone);
  /// kFailedPrecondition when a newer run than ours took over.
  Status CheckFence();
  /// Says in the marker that our run is over; what fails is missed little.
  void EndRun();

  /// kCorruption naming the first file of `manifest` that is missing or of another length. Of a
  /// file that the last Refresh() listed, the length it said counts.
  Status CheckFilesPresent(const Manifest& manifest);
  /// Brings the files of `manifest` into staging; what is missing remotely stays missing there.
  Status Fetch(const Manifest& manifest);
  /// Copies the files that checkpoint `manifest.id` wrote out of staging.
  Status Upload(const Manifest& manifest, const CheckpointTransport::StillWanted& still_wanted);
  /// Copies files out of staging that belong to no new checkpoint.
  Status UploadFiles(const std::vector<StagedFile>& files);
  /// The manifest `name` becomes `bytes`. A failure leaves it in doubt whether it does, and when.
  Status ReplaceManifest(const std::string& name, const std::string& bytes);
  /// kFailedPrecondition when the file `name` does not hold `bytes`.
  Status CheckContent(const std::string& name, const std::string& bytes);
  /// Creates the manifest of checkpoint `id`: the decision. Ok when it is there, byte for byte, and
  /// we are not fenced. kAlreadyExists when there is another one of that name; other failures leave
  /// it in doubt.
  Status Decide(CheckpointId id, const std::string& bytes);
  /// Makes it durable that whoever resumes now goes on from `chosen` (0: from the start), with
  /// numbers from `next` on.
  Status Choose(CheckpointId chosen, CheckpointId next);
  /// True for a checkpoint that appeared only after a choice was made without it.
  bool IsVoid(const Manifest& manifest) const;
  /// Removes the data files of checkpoint `id` and older ones from staging. REQUIRES: no task reads
  /// or writes them any more.
  void FreeStaging(CheckpointId id);

  /// Names that exist remotely, without a look at their content.
  Result<std::vector<std::string>> Names();
  Status Delete(const std::vector<std::string>& names) { return transport_->Delete(names); }
  Status RemoveTemporaries() { return transport_->RemoveTemporaries(); }

  /// `status` with the staging directory called by its remote name.
  Status InRemoteTerms(const Status& status) const { return ShownAs(status, staging_, uri()); }

 private:
  struct Choice {
    uint64_t run = 0;  // 0: none was made
    CheckpointId chosen = 0;
    CheckpointId next = 0;
  };
  struct Marker {
    std::vector<CheckpointId> candidates;
    Choice choice;
    std::string owner;
  };

  Result<uint64_t> NewestRun();
  Status CheckUnused(uint64_t run);
  Result<bool> TryClaim(uint64_t run);
  Status TakeOver();
  void TakeOverMarker(const std::string& content);
  static Marker ParseMarker(const std::string& content);
  std::string MarkerContent(const std::string& last_line) const;
  Status WriteMarker();
  void AddCandidate(CheckpointId id);
  Result<std::vector<std::string>> ManifestNames();
  Status ForgetStagedManifests();

  Env* const env_;
  const std::shared_ptr<CheckpointTransport> transport_;
  const std::string staging_;
  std::map<std::string, uint64_t> sizes_;  // of the last listing
  uint64_t run_ = 0;
  bool claimed_ = false;
  bool fenced_ = false;
  std::string token_;                  // in our marker
  std::set<CheckpointId> candidates_;  // of which one may be the newest that is decided
  Choice choice_;                      // the latest
};

}  // namespace headrace
