#include "headrace/runtime/job.h"

#include <utility>

#include "headrace/runtime/job_impl.h"

namespace headrace {

std::string_view JobStateName(JobState state) {
  switch (state) {
    case JobState::kCreated:
      return "CREATED";
    case JobState::kRunning:
      return "RUNNING";
    case JobState::kRestarting:
      return "RESTARTING";
    case JobState::kCancelling:
      return "CANCELLING";
    case JobState::kCanceled:
      return "CANCELED";
    case JobState::kFinished:
      return "FINISHED";
    case JobState::kFailed:
      return "FAILED";
  }
  return "UNKNOWN";
}

Result<std::unique_ptr<Job>> Job::Create(JobGraph graph, JobOptions options) {
  auto job = std::make_unique<JobImpl>(std::move(graph), std::move(options));
  HR_RETURN_IF_ERROR(job->Prepare());
  return std::unique_ptr<Job>(std::move(job));
}

}  // namespace headrace
