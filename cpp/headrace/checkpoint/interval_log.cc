#include "headrace/checkpoint/interval_log.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "headrace/base/json_string.h"
#include "headrace/storage/synced_file.h"

namespace headrace {
namespace {

// Members of a JSON object, one after the other.
class JsonMembers {
 public:
  void Add(std::string_view name, int64_t value) { AddText(name, std::to_string(value)); }
  void Add(std::string_view name, double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", value);
    AddText(name, std::isfinite(value) ? text : "null");
  }
  void Add(std::string_view name, const std::string& value) { AddText(name, JsonString(value)); }
  std::string Finish() const { return "{" + members_ + "}\n"; }

 private:
  void AddText(std::string_view name, const std::string& text) {
    members_.append(members_.empty() ? "\"" : ", \"").append(name).append("\": ").append(text);
  }

  std::string members_;
};

}  // namespace

std::string IntervalLogLine(const IntervalLogEntry& entry) {
  const CheckpointCost& cost = entry.cost;
  const IntervalDecision& decision = entry.decision;
  JsonMembers members;
  members.Add("checkpoint", static_cast<int64_t>(entry.checkpoint));
  members.Add("run", static_cast<int64_t>(entry.run));
  members.Add("decided_ms", entry.decided_ms);
  members.Add("interval_ms", decision.interval_ms);
  members.Add("why", decision.why);
  members.Add("interval_s", cost.interval_s);
  members.Add("seconds", cost.seconds);
  members.Add("bytes", cost.bytes);
  members.Add("state_bytes", cost.state_bytes);
  members.Add("rows", cost.rows);
  members.Add("change_rate", decision.change_rate);
  members.Add("dirty_bytes", decision.dirty_bytes);
  members.Add("budget_rate", decision.budget_rate);
  members.Add("fixed_s", decision.fixed_s);
  members.Add("replay_share", decision.replay_share);
  members.Add("budget_ms", decision.budget_ms);
  members.Add("optimum_ms", decision.optimum_ms);
  members.Add("recovery_ms", decision.recovery_ms);
  return members.Finish();
}

std::string WithLine(std::string log, std::string_view line) {
  auto lines = static_cast<size_t>(std::count(log.begin(), log.end(), '\n'));
  size_t start = 0;
  for (; lines >= kIntervalLogLinesMax; --lines) start = log.find('\n', start) + 1;
  log.erase(0, start);
  return log.append(line);
}

IntervalLog::IntervalLog(FileSystem& files, std::string directory,
                         std::shared_ptr<CheckpointTransport> transport, bool secret)
    : files_(files),
      directory_(std::move(directory)),
      transport_(std::move(transport)),
      secret_(secret) {}

Status IntervalLog::Append(const IntervalLogEntry& entry) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const std::string name(kIntervalLogName);
  if (!content_) {
    const auto read = transport_ ? transport_->Read(name) : files_.ReadAll(directory_ + "/" + name);
    content_ = read.ok() ? *read : "";
  }
  content_ = WithLine(std::move(*content_), IntervalLogLine(entry));
  return transport_ ? transport_->Replace(name, *content_) : WriteLocally(name);
}

Status IntervalLog::WriteLocally(const std::string& name) {
  const std::string temporary = directory_ + "/" + name + ".tmp";
  const Status removed = files_.Remove(temporary);
  if (!removed.ok() && removed.code() != StatusCode::kNotFound) return removed;
  HR_RETURN_IF_ERROR(WriteSyncedFile(files_, temporary, *content_, secret_));
  return files_.Rename(temporary, directory_ + "/" + name);
}

}  // namespace headrace
