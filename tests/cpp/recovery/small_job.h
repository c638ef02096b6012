#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "headrace/runtime/job.h"
#include "testing/sim_env.h"

namespace headrace {

/// A real job with all that writes files, on simulated files: source → keyed state of every kind
/// and timers, two subtasks → lines → file sink. A few hundred file calls from start to end, so
/// that each of them can be interfered with. The same seed takes the same steps.
/// Threading: owned by one thread.
class SmallJob {
 public:
  /// One life of the process, as far as files show it.
  struct Progress {
    CheckpointId completed = 0;  ///< newest checkpoint that the job calls complete
    CheckpointId visible = 0;    ///< newest manifest that the running system sees
  };

  explicit SmallJob(uint64_t seed, std::string job_key = "small");

  /// A new process that resumes from the latest checkpoint, or from `path`. Fails before any record
  /// flows when there is one and it cannot be used.
  Result<std::unique_ptr<Job>> Start(const std::string& path = "latest");
  /// Steps `job` until it ended, or `stop` answers true: then false.
  bool Run(Job* job, const std::function<bool()>& stop = nullptr);
  /// Runs to the end; the failure that ended the job, or Ok.
  Status Finish(Job* job);

  Progress ProgressOf(const Job& job);
  /// Checkpoint that an ended job resumed from, 0 for a fresh start.
  static CheckpointId ResumedFrom(const Job& job);
  /// Names and content of files that readers of the output see.
  std::map<std::string, std::string> Output();
  /// Their lines, sorted.
  std::vector<std::string> OutputLines();
  /// What the lines must be in the end: a plain loop over the rows.
  std::vector<std::string> ExpectedLines() const;

  const std::string& directory() const { return directory_; }  ///< of the job's checkpoints
  std::string ManifestPath(CheckpointId id) const;
  static constexpr const char* kOutput = "/out";

  SimEnv env;
  int restart_attempts = 0;
  int tolerable_failures = 0;

 private:
  const std::string job_key_;
  const std::string directory_;
};

/// Lets a test look at, and interfere with, file calls by number. One at a time.
class FileCallWatch {
 public:
  /// `on_call(number, name, path)`, numbers from 1; its failure is that of the call.
  using OnCall = std::function<Status(uint64_t, std::string_view, std::string_view)>;
  explicit FileCallWatch(OnCall on_call);
  ~FileCallWatch();
  FileCallWatch(const FileCallWatch&) = delete;
  FileCallWatch& operator=(const FileCallWatch&) = delete;

  uint64_t calls() const { return calls_; }

 private:
  const OnCall on_call_;
  uint64_t calls_ = 0;
};

/// True of "fs." calls that may change what is on the disk.
bool ChangesFiles(std::string_view call);

}  // namespace headrace
