#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "headrace/base/env.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "headrace/checkpoint/interval_policy.h"
#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// What the adaptive interval saw in one checkpoint and chose after it.
struct IntervalLogEntry {
  CheckpointId checkpoint = 0;
  uint64_t run = 0;        ///< that took it
  int64_t decided_ms = 0;  ///< wall clock
  CheckpointCost cost;
  IntervalDecision decision;
};

/// The decision log of a job, beside its checkpoints: one line an entry, the newest last. For
/// people and tools; nothing is restored from it, and a checkpoint is complete without its line.
inline constexpr std::string_view kIntervalLogName = "interval-decisions.jsonl";
/// How many of the newest are kept.
inline constexpr size_t kIntervalLogLinesMax = 1000;

/// A JSON object of names as in the structs, with `interval_ms` and `why`; ends with a line break.
std::string IntervalLogLine(const IntervalLogEntry& entry);
/// `log` with a line more, without its oldest where it has too many.
std::string WithLine(std::string log, std::string_view line);

/// The log of one job, in its local directory or in a remote one.
/// Threading: thread-safe.
class IntervalLog {
 public:
  /// `transport`: of the remote directory, null = `directory` is it. `secret`: only the owner may
  /// read the file.
  IntervalLog(FileSystem& files, std::string directory,
              std::shared_ptr<CheckpointTransport> transport, bool secret);

  /// An earlier run's lines stay in front; where they cannot be read, the log begins anew. A line
  /// that cannot be written now is written with the next.
  Status Append(const IntervalLogEntry& entry);

 private:
  Status WriteLocally(const std::string& name);

  FileSystem& files_;
  const std::string directory_;
  const std::shared_ptr<CheckpointTransport> transport_;
  const bool secret_;
  std::mutex mutex_;                    // held during I/O
  std::optional<std::string> content_;  // guarded by `mutex_`; nullopt: not read yet
};

}  // namespace headrace
