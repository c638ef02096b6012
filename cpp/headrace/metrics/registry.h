#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "headrace/metrics/task_metrics.h"

namespace headrace {

/// The numbers of a whole job, one TaskMetrics for each operator subtask of the running attempt.
/// What earlier attempts counted stays in the totals, so that none goes back over a restart; their
/// gauges are forgotten.
/// Threading: thread-safe; guarded by `mutex_`.
class MetricsRegistry {
 public:
  /// Fresh numbers for an operator subtask; those of its attempt before are closed. An attempt's
  /// thread that was abandoned may go on writing to the ones it holds, which nobody reads any more.
  std::shared_ptr<TaskMetrics> Register(const std::string& operator_name, int subtask_index);

  /// "<operator>.<metric>" → value over all subtasks and attempts.
  std::map<std::string, int64_t> Snapshot() const;
  /// "<operator>.<subtask>.<metric>" → value over all attempts, each subtask for itself.
  std::map<std::string, int64_t> SnapshotBySubtask() const;

 private:
  struct Entry {
    std::shared_ptr<TaskMetrics> metrics;
    std::map<std::string, int64_t> earlier;  ///< ".<metric>" → total of closed attempts
  };

  static void AddEntry(const Entry& entry, const std::string& prefix,
                       std::map<std::string, int64_t>* out);

  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, Entry> entries_;  ///< by operator and subtask
};

}  // namespace headrace
