#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "headrace/metrics/counter.h"
#include "headrace/metrics/gauge.h"
#include "headrace/metrics/histogram.h"

namespace headrace {

/// The numbers of one operator in one subtask. The engine's own are members, so that counting is an
/// addition; a user function's are registered by name and live as long as this object.
/// Threading: counters and histograms are written by the owning task thread; everything is readable
/// by any thread; registration is guarded by `mutex_`.
class TaskMetrics {
 public:
  TaskMetrics() = default;
  TaskMetrics(const TaskMetrics&) = delete;
  TaskMetrics& operator=(const TaskMetrics&) = delete;

  Counter rows_in;
  Counter rows_out;
  Counter batches_in;
  Counter batches_out;
  Counter bytes_in;
  Counter bytes_out;
  Counter late_rows;      ///< dropped or sent to a side output because their window had fired
  Counter dropped_rows;   ///< any other row that goes nowhere, such as a null timestamp
  Counter busy_ns;        ///< in operator code
  Counter blocked_ns;     ///< waiting for room downstream
  Counter blocked_count;  ///< how often that wait began
  Counter idle_ns;        ///< waiting for input
  Gauge watermark_ms{std::numeric_limits<int64_t>::min()};
  Gauge state_bytes;

  /// The counter of this name, made at the first call. The address is valid as long as this object.
  /// Names of counters, gauges and histograms are apart.
  Counter& UserCounter(std::string_view name);
  Gauge& UserGauge(std::string_view name);
  Histogram& UserHistogram(std::string_view name);

  /// Adds what only grows to `out` under "<prefix>.<name>": counters, and .count and .sum of
  /// histograms.
  void AddTotalsTo(const std::string& prefix, std::map<std::string, int64_t>* out) const;
  /// Adds what is so at this moment: watermark_ms (the smaller of it and what is there; left out
  /// while unknown), other gauges (the sum), .p50 and .p99 of histograms (the larger).
  void AddLevelsTo(const std::string& prefix, std::map<std::string, int64_t>* out) const;

 private:
  mutable std::mutex mutex_;
  // Maps of nodes: an entry never moves.
  std::map<std::string, Counter, std::less<>> user_counters_;
  std::map<std::string, Gauge, std::less<>> user_gauges_;
  std::map<std::string, Histogram, std::less<>> user_histograms_;
};

}  // namespace headrace
