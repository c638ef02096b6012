// Keys that a running job is to forget. A checkpoint is taken; its tasks stop; the key goes from
// all retained checkpoints; the tasks start again from the newest, which is that one. So whatever
// an operator remembers of the key, in whatever cache, is gone, on every backend alike, and rows
// behind the checkpoint's barrier are read again.
#include <utility>

#include "headrace/runtime/job_impl.h"

namespace headrace {
namespace {

Status NoKeyErased(JobState state) {
  return Status::FailedPrecondition("no key is erased: the job is " +
                                    std::string(JobStateName(state)) +
                                    "; erase it from the job's checkpoints");
}

}  // namespace

ErasureRequestPtr JobImpl::RequestErasure(KeyErasure erasure) {
  auto request = std::make_shared<ErasureRequest>(std::move(erasure));
  if (options_.checkpoint_directory.empty()) {
    request->Resolve(
        Status::FailedPrecondition("a key is erased by way of a checkpoint, but the job has no "
                                   "directory for them: set execution.checkpointing.dir (an "
                                   "interval is not needed)"));
  } else if (!source_without_position_.empty()) {
    request->Resolve(Status::FailedPrecondition(
        "to erase a key the tasks restart from a checkpoint, and source '" +
        source_without_position_ + "' cannot go back to it; stop the job and erase the key from " +
        "its checkpoints"));
  }
  if (request->resolved()) return request;
  {
    std::lock_guard lock(mutex_);
    if (erasures_closed_ || cancel_requested_) {
      request->Resolve(NoKeyErased(state_));
      return request;
    }
    erasures_.push_back(request);
  }
  WakeLoop();
  return request;
}

// True once a checkpoint is complete that was begun after the request. One that fails and is
// tolerated is asked for again; a failure of the attempt leaves the requests to the next.
bool JobImpl::ErasureIsDue() {
  if (erasure_checkpoint_ == 0) {
    {
      std::lock_guard lock(mutex_);
      erasures_passed_ = erasures_.size();
    }
    if (erasures_passed_ == 0) return false;
    erasure_checkpoint_ = attempt_->RequestCheckpoint();
  }
  return attempt_->last_complete() >= erasure_checkpoint_;
}

// Phase kErasing: no attempt runs.
void JobImpl::WatchErasure() {
  std::vector<ErasureRequestPtr> requests;
  {
    std::lock_guard lock(mutex_);
    if (!cancel_requested_) {
      requests.assign(erasures_.begin(),
                      erasures_.begin() + static_cast<ptrdiff_t>(erasures_passed_));
    }
  }
  if (requests.empty()) {
    End(JobState::kCanceled, Status::Cancelled("the job was cancelled"));
    return;
  }
  // The next checkpoint may have begun and be written in the background, with the key in it.
  const std::weak_ptr<CheckpointStore> shared = store_->Share();
  if (shared.use_count() > 1) return;
  for (const ErasureRequestPtr& request : requests) {
    request->Resolve(store_->EraseKey(request->erasure()));
  }
  ++attempts_;
  SetState(JobState::kRestarting);
  failed_at_ns_ = last_loop_ns_;
  restart_at_ns_ = last_loop_ns_;
  phase_ = Phase::kDelayed;
  std::lock_guard lock(mutex_);
  erasures_.erase(erasures_.begin(), erasures_.begin() + static_cast<ptrdiff_t>(requests.size()));
  result_.recoveries.push_back({.cause = "a key was to be erased"});
}

// The job has ended.
void JobImpl::RefuseErasures(JobState state) {
  std::lock_guard lock(mutex_);
  erasures_closed_ = true;
  for (const ErasureRequestPtr& request : erasures_) request->Resolve(NoKeyErased(state));
  erasures_.clear();
}

}  // namespace headrace
