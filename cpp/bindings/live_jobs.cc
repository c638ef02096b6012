#include "bindings/live_jobs.h"

#include <unistd.h>

#include <mutex>
#include <vector>

namespace headrace::bindings {
namespace {

std::mutex& Mutex() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

std::vector<std::weak_ptr<Job>>& Jobs() {
  static auto* jobs = new std::vector<std::weak_ptr<Job>>;
  return *jobs;
}

const pid_t loading_process = getpid();

}  // namespace

void AddLiveJob(const std::shared_ptr<Job>& job) {
  const std::lock_guard<std::mutex> lock(Mutex());
  std::erase_if(Jobs(), [](const std::weak_ptr<Job>& other) { return other.expired(); });
  Jobs().push_back(job);
}

void StopLiveJobs(int64_t timeout_ms) {
  if (!RefuseInForkedChild().ok()) return;
  std::vector<std::shared_ptr<Job>> live;
  {
    const std::lock_guard<std::mutex> lock(Mutex());
    for (const std::weak_ptr<Job>& weak : Jobs()) {
      if (std::shared_ptr<Job> job = weak.lock()) live.push_back(std::move(job));
    }
  }
  for (const auto& job : live) {
    if (!job->WaitFor(0)) job->Cancel();
  }
  const int64_t start_ns = RealEnv().SteadyNs();
  for (const auto& job : live) {
    const int64_t left_ms = timeout_ms - (RealEnv().SteadyNs() - start_ns) / 1'000'000;
    job->WaitFor(left_ms > 0 ? left_ms : 0);
  }
}

Status RefuseInForkedChild() {
  if (getpid() == loading_process) return Status::Ok();
  return Status::FailedPrecondition(
      "this process was forked from one that had headrace loaded; start it with spawn or "
      "forkserver "
      "instead");
}

}  // namespace headrace::bindings
