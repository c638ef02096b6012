#include "headrace/metrics/registry.h"

namespace headrace {

std::shared_ptr<TaskMetrics> MetricsRegistry::Register(const std::string& operator_name,
                                                       int subtask_index) {
  const std::lock_guard<std::mutex> guard(mutex_);
  Entry& entry = entries_[{operator_name, subtask_index}];
  if (entry.metrics != nullptr) entry.metrics->AddTotalsTo("", &entry.earlier);
  entry.metrics = std::make_shared<TaskMetrics>();
  return entry.metrics;
}

void MetricsRegistry::AddEntry(const Entry& entry, const std::string& prefix,
                               std::map<std::string, int64_t>* out) {
  for (const auto& [name, total] : entry.earlier) (*out)[prefix + name] += total;
  entry.metrics->AddTotalsTo(prefix, out);
  entry.metrics->AddLevelsTo(prefix, out);
}

std::map<std::string, int64_t> MetricsRegistry::Snapshot() const {
  std::map<std::string, int64_t> numbers;
  const std::lock_guard<std::mutex> guard(mutex_);
  for (const auto& [key, entry] : entries_) AddEntry(entry, key.first, &numbers);
  return numbers;
}

std::map<std::string, int64_t> MetricsRegistry::SnapshotBySubtask() const {
  std::map<std::string, int64_t> numbers;
  const std::lock_guard<std::mutex> guard(mutex_);
  for (const auto& [key, entry] : entries_) {
    AddEntry(entry, key.first + "." + std::to_string(key.second), &numbers);
  }
  return numbers;
}

}  // namespace headrace
