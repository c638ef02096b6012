#pragma once

#include <memory>

#include "headrace/base/status.h"
#include "headrace/runtime/job.h"

namespace headrace::bindings {

/// Jobs of this process that may still run; they are cancelled when the interpreter exits.
/// Threading: thread-safe; guarded by a mutex.
void AddLiveJob(const std::shared_ptr<Job>& job);
/// Takes over a job that no Python object refers to any more: cancels it and keeps it until it has
/// ended. Never waits: a destructor calls this, and one that gave up the GIL could not take it back
/// while the interpreter ends.
void DropJob(std::shared_ptr<Job> job);
/// Cancels them all and waits for each, `timeout_ms` in total.
void StopLiveJobs(int64_t timeout_ms);
/// True in a process that was forked from one with the engine loaded: its threads are not there,
/// and the locks they held stay locked. So nothing of a job may be touched.
bool InForkedChild();
/// kFailedPrecondition there.
Status RefuseInForkedChild();

}  // namespace headrace::bindings
