#pragma once

#include <memory>

#include "headrace/base/status.h"
#include "headrace/runtime/job.h"

namespace headrace::bindings {

/// Jobs of this process that may still run; they are cancelled when the interpreter exits.
/// Threading: thread-safe; guarded by a mutex.
void AddLiveJob(const std::shared_ptr<Job>& job);
/// Cancels them all and waits for each, `timeout_ms` in total.
void StopLiveJobs(int64_t timeout_ms);
/// kFailedPrecondition in a process that was forked from one with the engine loaded: its threads
/// are not there.
Status RefuseInForkedChild();

}  // namespace headrace::bindings
