#include "headrace/checkpoint/protocol.h"

#include <algorithm>
#include <charconv>

#include "headrace/base/check.h"

namespace headrace {

bool ShouldTrigger(const CheckpointOptions& options, const TriggerFacts& facts) {
  if (facts.stopped || facts.pending || facts.writing) return false;
  if (facts.requested) return true;
  if (options.interval_ms < 0) return false;
  if (facts.now_ms - facts.last_trigger_ms < options.interval_ms) return false;
  return !facts.last_end_ms || facts.now_ms - *facts.last_end_ms >= options.min_pause_ms;
}

bool TimedOut(const CheckpointOptions& options, int64_t triggered_ms, int64_t now_ms) {
  return options.timeout_ms >= 0 && now_ms - triggered_ms >= options.timeout_ms;
}

FailureDecision OnCheckpointFailure(const FailureFacts& facts) {
  if (facts.decided || facts.fenced) return {.counts = true, .fail_job = true};
  if (facts.savepoint || facts.cancelled) return {.counts = false, .fail_job = false};
  return {.counts = true, .fail_job = facts.earlier_failures >= facts.tolerable};
}

AckBook::AckBook(int tasks) : states_(static_cast<size_t>(tasks), State::kWaiting) {}

bool AckBook::Deliver(int task) {
  if (task < 0 || task >= static_cast<int>(states_.size())) return false;
  State& state = states_[static_cast<size_t>(task)];
  if (state != State::kWaiting) return false;
  state = State::kDelivered;
  return true;
}

void AckBook::MarkWritten(int task) {
  State& state = states_.at(static_cast<size_t>(task));
  HR_CHECK(state == State::kDelivered);
  state = State::kWritten;
  ++written_;
}

std::vector<int> AckBook::Missing() const {
  std::vector<int> missing;
  for (size_t task = 0; task < states_.size(); ++task) {
    if (states_[task] == State::kWaiting) missing.push_back(static_cast<int>(task));
  }
  return missing;
}

bool WantsWhole(const ChainFacts& facts) {
  return !facts.has_base || facts.deltas >= kMaxDeltasInChain ||
         facts.delta_raw_bytes > facts.base_raw_bytes / 2;
}

namespace {

bool TakeLiteral(std::string_view* rest, std::string_view literal) {
  if (rest->substr(0, literal.size()) != literal) return false;
  rest->remove_prefix(literal.size());
  return true;
}

// Digits as to_string writes them: no sign, no leading zero.
bool TakeNumber(std::string_view* rest, uint64_t* number) {
  const char* end = rest->data() + rest->size();
  const auto [stop, error] = std::from_chars(rest->data(), end, *number);
  if (error != std::errc() || (rest->front() == '0' && stop - rest->data() > 1)) return false;
  rest->remove_prefix(static_cast<size_t>(stop - rest->data()));
  return true;
}

StoredName ParseCheckpointName(std::string_view rest) {
  StoredName name;
  uint64_t counter = 0;
  if (!TakeNumber(&rest, &name.checkpoint)) return {};
  if (rest == kManifestEnd) {
    name.kind = StoredName::Kind::kManifest;
    return name;
  }
  if (!TakeLiteral(&rest, "-") || !TakeNumber(&rest, &name.run) || !TakeLiteral(&rest, "-") ||
      !TakeNumber(&rest, &counter) || rest != ".tmp") {
    return {};
  }
  name.kind = StoredName::Kind::kManifestTemporary;
  return name;
}

StoredName ParseDataName(std::string_view rest) {
  StoredName name;
  uint64_t task = 0;
  uint64_t counter = 0;
  if (!TakeNumber(&rest, &name.run) || !TakeLiteral(&rest, "-") ||
      !TakeNumber(&rest, &name.checkpoint) || !TakeLiteral(&rest, "-") ||
      !TakeNumber(&rest, &task) || !TakeLiteral(&rest, "-") || !TakeNumber(&rest, &counter) ||
      rest != ".hrs") {
    return {};
  }
  name.kind = StoredName::Kind::kData;
  return name;
}

}  // namespace

std::string ManifestName(CheckpointId id) {
  return "chk-" + std::to_string(id) + std::string(kManifestEnd);
}

std::string ManifestTemporaryName(CheckpointId id, uint64_t run, uint64_t counter) {
  return "chk-" + std::to_string(id) + "-" + std::to_string(run) + "-" + std::to_string(counter) +
         ".tmp";
}

std::string DataName(uint64_t run, CheckpointId id, int task, uint64_t counter) {
  return "data-" + std::to_string(run) + "-" + std::to_string(id) + "-" + std::to_string(task) +
         "-" + std::to_string(counter) + ".hrs";
}

std::string RunMarkerName(uint64_t run) { return "run-" + std::to_string(run); }

bool LooksLikeManifest(const std::string& name) {
  return name.size() > kManifestEnd.size() && name.ends_with(kManifestEnd);
}

StoredName ParseStoredName(const std::string& name) {
  std::string_view rest = name;
  if (TakeLiteral(&rest, "chk-")) return ParseCheckpointName(rest);
  if (TakeLiteral(&rest, "data-")) return ParseDataName(rest);
  StoredName marker{.kind = StoredName::Kind::kRunMarker};
  if (TakeLiteral(&rest, "run-") && TakeNumber(&rest, &marker.run) && rest.empty()) return marker;
  return {};
}

CleanUp DecideCleanUp(const std::vector<std::string>& names,
                      const std::vector<KnownManifest>& known,
                      const std::set<CheckpointId>& abandoned, uint64_t our_run, int retained) {
  std::vector<CheckpointId> complete;
  for (const KnownManifest& manifest : known) {
    if (manifest.usable && !abandoned.contains(manifest.id)) complete.push_back(manifest.id);
  }
  std::sort(complete.rbegin(), complete.rend());

  // Until there are two complete ones nothing goes: the newest may turn out damaged.
  CleanUp clean_up;
  if (complete.size() < 2) return clean_up;
  const size_t keep = std::min(complete.size(), static_cast<size_t>(std::max(retained, 2)));
  const CheckpointId oldest_kept = complete[keep - 1];
  const CheckpointId second_newest = complete[1];
  const bool enough = complete.size() >= static_cast<size_t>(std::max(retained, 2));

  const auto kept = [&](CheckpointId id) {
    return !abandoned.contains(id) && (id >= oldest_kept || !enough);
  };
  std::set<std::string> referenced;
  for (const KnownManifest& manifest : known) {
    if (kept(manifest.id)) referenced.insert(manifest.files.begin(), manifest.files.end());
  }
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kManifest) {
      const bool in_doubt = abandoned.contains(stored.checkpoint);
      if (stored.checkpoint < second_newest && (in_doubt || !kept(stored.checkpoint))) {
        clean_up.manifests.push_back(name);
      }
    } else if (stored.kind == StoredName::Kind::kData) {
      if (stored.run <= our_run && stored.checkpoint < second_newest &&
          !referenced.contains(name)) {
        clean_up.data.push_back(name);
      }
    }
  }
  return clean_up;
}

LatestDecision DecideLatest(const std::vector<LatestCandidate>& candidates, bool allow_older) {
  LatestDecision decision;
  if (candidates.empty()) return decision;

  size_t newest = 0;
  std::optional<size_t> newest_whole;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].id > candidates[newest].id) newest = i;
    if (!candidates[i].status.ok()) continue;
    if (!newest_whole || candidates[i].id > candidates[*newest_whole].id) newest_whole = i;
  }
  const LatestCandidate& wanted = candidates[newest];
  if (wanted.status.ok() || (newest_whole && allow_older)) {
    decision.kind = LatestDecision::Kind::kUse;
    decision.index = *newest_whole;
    if (!wanted.status.ok()) {
      decision.warning = "checkpoint " + std::to_string(wanted.id) + " cannot be used (" +
                         wanted.status.ToString() + "); going back to checkpoint " +
                         std::to_string(candidates[*newest_whole].id);
    }
    return decision;
  }

  std::string message = "the newest checkpoint " + std::to_string(wanted.id) +
                        " cannot be used: " + wanted.status.message() + "; ";
  if (newest_whole) {
    const LatestCandidate& whole = candidates[*newest_whole];
    message += "the newest whole one is checkpoint " + std::to_string(whole.id) + " (" +
               whole.path + "); to go back to it set execution.state-recovery.allow-older: true";
  } else {
    message += "there is no whole one to go back to";
  }
  decision.kind = LatestDecision::Kind::kRefuse;
  decision.refusal = Status(wanted.status.code(), std::move(message));
  return decision;
}

}  // namespace headrace
