#include "headrace/checkpoint/remote_key_erasure.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "headrace/checkpoint/checkpoint_rewriter.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/remote_directory.h"

namespace headrace {
namespace {

constexpr int kTriesMax = 3;

class RemoteErasing {
 public:
  RemoteErasing(Env* env, std::shared_ptr<CheckpointTransport> transport,
                const std::string& staging, const KeyErasure& erasure)
      : env_(env),
        transport_(std::move(transport)),
        staging_(staging),
        erasure_(erasure),
        remote_(env, transport_, staging) {}

  Result<ErasureReport> Run(bool job_is_gone) {
    HR_RETURN_IF_ERROR(env_->files().MakeDirectories(staging_));
    HR_RETURN_IF_ERROR(Refresh());
    if (std::none_of(names_.begin(), names_.end(), LooksLikeManifest)) {
      return Status::NotFound(remote_.uri() + " holds no checkpoint");
    }
    const Result<uint64_t> claimed = remote_.ClaimUnused(names_, job_is_gone);
    run_ = remote_.run();
    Result<ErasureReport> erased = claimed.ok() ? RunClaimed() : claimed.status();
    remote_.EndRun();
    if (!erased.ok()) return remote_.InRemoteTerms(erased.status());
    return erased;
  }

 private:
  // A run that was taken for dead may have completed its last checkpoint, and cleaned up,
  // meanwhile.
  Result<ErasureReport> RunClaimed() {
    HR_RETURN_IF_ERROR(Refresh());
    for (int tries = 1;; ++tries) {
      Result<ErasureReport> erased = Erase();
      const StatusCode code = erased.status().code();
      if (code != StatusCode::kCorruption && code != StatusCode::kNotFound) return erased;
      const std::vector<std::string> before = names_;
      HR_RETURN_IF_ERROR(Refresh());
      if (tries == kTriesMax || names_ == before) return erased;
    }
  }

  Result<ErasureReport> Erase() {
    HR_ASSIGN_OR_RETURN(RemoteCheckpoints there,
                        RemoteCheckpoints::Of(env_->files(), &remote_, names_));
    const auto next_number = [this] { return ++number_; };
    CheckpointRewriter rewriter(env_, staging_, run_, next_number, std::move(there));
    return EraseKey(env_, &rewriter, erasure_);
  }

  // A savepoint's manifest may have any name.
  Status Refresh() {
    HR_ASSIGN_OR_RETURN(names_, remote_.Refresh());
    std::vector<std::string> others;
    for (const std::string& name : names_) {
      const bool checkpoint = ParseStoredName(name).kind == StoredName::Kind::kManifest;
      if (LooksLikeManifest(name) && !checkpoint) others.push_back(name);
    }
    return others.empty() ? Status::Ok() : transport_->Download(others, staging_);
  }

  Env* const env_;
  const std::shared_ptr<CheckpointTransport> transport_;
  const std::string staging_;
  const KeyErasure& erasure_;
  RemoteDirectory remote_;
  std::vector<std::string> names_;  // of the last Refresh()
  uint64_t run_ = 0;
  uint64_t number_ = 0;
};

}  // namespace

Result<ErasureReport> EraseKeyRemotely(Env* env, std::shared_ptr<CheckpointTransport> transport,
                                       const std::string& staging, const KeyErasure& erasure,
                                       bool job_is_gone) {
  return RemoteErasing(env, std::move(transport), staging, erasure).Run(job_is_gone);
}

}  // namespace headrace
