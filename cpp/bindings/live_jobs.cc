#include "bindings/live_jobs.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>
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

std::vector<std::shared_ptr<Job>>& DroppedJobs() {
  static auto* jobs = new std::vector<std::shared_ptr<Job>>;
  return *jobs;
}

const pid_t loading_process = getpid();

}  // namespace

void AddLiveJob(const std::shared_ptr<Job>& job) {
  std::vector<std::shared_ptr<Job>> ended;  // destroyed without the lock
  const std::lock_guard<std::mutex> lock(Mutex());
  std::vector<std::shared_ptr<Job>>& dropped = DroppedJobs();
  const auto first_ended =
      std::stable_partition(dropped.begin(), dropped.end(),
                            [](const std::shared_ptr<Job>& other) { return !other->WaitFor(0); });
  std::move(first_ended, dropped.end(), std::back_inserter(ended));
  dropped.erase(first_ended, dropped.end());
  std::erase_if(Jobs(), [](const std::weak_ptr<Job>& other) { return other.expired(); });
  Jobs().push_back(job);
}

void DropJob(std::shared_ptr<Job> job) {
  job->Cancel();
  const std::lock_guard<std::mutex> lock(Mutex());
  DroppedJobs().push_back(std::move(job));
}

void StopLiveJobs(int64_t timeout_ms) {
  if (InForkedChild()) return;
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

bool InForkedChild() { return getpid() != loading_process; }

Status RefuseInForkedChild() {
  if (!InForkedChild()) return Status::Ok();
  return Status::FailedPrecondition(
      "this process was forked from one that had headrace loaded; start it with spawn or "
      "forkserver "
      "instead");
}

}  // namespace headrace::bindings
