#include "headrace/metrics/task_metrics.h"

#include <algorithm>

namespace headrace {

namespace {

using Numbers = std::map<std::string, int64_t>;

template <typename Map>
auto& FindOrMake(Map& map, std::string_view name) {
  const auto found = map.find(name);
  if (found != map.end()) return found->second;
  return map.try_emplace(std::string(name)).first->second;
}

void AddSum(Numbers* out, const std::string& name, int64_t value) { (*out)[name] += value; }

void AddLargest(Numbers* out, const std::string& name, int64_t value) {
  const auto [at, fresh] = out->try_emplace(name, value);
  if (!fresh) at->second = std::max(at->second, value);
}

void AddSmallest(Numbers* out, const std::string& name, int64_t value) {
  const auto [at, fresh] = out->try_emplace(name, value);
  if (!fresh) at->second = std::min(at->second, value);
}

}  // namespace

Counter& TaskMetrics::UserCounter(std::string_view name) {
  const std::lock_guard<std::mutex> guard(mutex_);
  return FindOrMake(user_counters_, name);
}

Gauge& TaskMetrics::UserGauge(std::string_view name) {
  const std::lock_guard<std::mutex> guard(mutex_);
  return FindOrMake(user_gauges_, name);
}

Histogram& TaskMetrics::UserHistogram(std::string_view name) {
  const std::lock_guard<std::mutex> guard(mutex_);
  return FindOrMake(user_histograms_, name);
}

void TaskMetrics::AddTotalsTo(const std::string& prefix, Numbers* out) const {
  const std::string dot = prefix + ".";
  AddSum(out, dot + "rows_in", rows_in.value());
  AddSum(out, dot + "rows_out", rows_out.value());
  AddSum(out, dot + "batches_in", batches_in.value());
  AddSum(out, dot + "batches_out", batches_out.value());
  AddSum(out, dot + "bytes_in", bytes_in.value());
  AddSum(out, dot + "bytes_out", bytes_out.value());
  AddSum(out, dot + "late_rows", late_rows.value());
  AddSum(out, dot + "dropped_rows", dropped_rows.value());
  AddSum(out, dot + "busy_ns", busy_ns.value());
  AddSum(out, dot + "blocked_ns", blocked_ns.value());
  AddSum(out, dot + "blocked_count", blocked_count.value());
  AddSum(out, dot + "idle_ns", idle_ns.value());
  const std::lock_guard<std::mutex> guard(mutex_);
  for (const auto& [name, counter] : user_counters_) AddSum(out, dot + name, counter.value());
  for (const auto& [name, histogram] : user_histograms_) {
    AddSum(out, dot + name + ".count", histogram.count());
    AddSum(out, dot + name + ".sum", histogram.sum());
  }
}

void TaskMetrics::AddLevelsTo(const std::string& prefix, Numbers* out) const {
  const std::string dot = prefix + ".";
  AddSum(out, dot + "state_bytes", state_bytes.value());
  if (watermark_ms.value() != std::numeric_limits<int64_t>::min()) {
    AddSmallest(out, dot + "watermark_ms", watermark_ms.value());
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  for (const auto& [name, gauge] : user_gauges_) AddSum(out, dot + name, gauge.value());
  for (const auto& [name, histogram] : user_histograms_) {
    AddLargest(out, dot + name + ".p50", histogram.Quantile(0.5));
    AddLargest(out, dot + name + ".p99", histogram.Quantile(0.99));
  }
}

}  // namespace headrace
