#include "testing/sim_inspection.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/savepoint.h"
#include "headrace/checkpoint/stored_checkpoint.h"

namespace headrace {

namespace {

constexpr int64_t kMemoryBudgetBytes = int64_t{1} << 30;

// Ids of the manifests, newest first.
std::vector<CheckpointId> ManifestIds(FileSystem& files, const std::string& directory) {
  std::vector<CheckpointId> ids;
  const Result<std::vector<std::string>> names = files.List(directory);
  for (const std::string& name : names.ok() ? *names : std::vector<std::string>()) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind == StoredName::Kind::kManifest) ids.push_back(stored.checkpoint);
  }
  std::sort(ids.rbegin(), ids.rend());
  return ids;
}

std::string PathOf(const std::string& directory, CheckpointId id) {
  return directory + "/" + ManifestName(id);
}

std::string Differs(const std::string& what, int64_t stored, int64_t expected) {
  if (stored == expected) return "";
  return what + " is " + std::to_string(stored) + ", not " + std::to_string(expected);
}

// Compares one checkpoint with the rows before its offsets.
class SnapshotComparison {
 public:
  SnapshotComparison(Env* env, const SimGraph& graph, const SimJobGraph& job)
      : env_(env), graph_(graph), job_(job) {}

  std::string Run(const std::string& directory, Manifest manifest) {
    for (const int step : graph_.StepsOf(SimStep::Kind::kSource)) {
      std::string wrong = ReadSource(step, manifest);
      if (!wrong.empty()) return wrong;
    }
    rows_ = EvaluateSimGraph(graph_, positions_, {});
    const Result<std::unique_ptr<RestorePlan>> plan =
        RestorePlan::Make(env_, std::move(manifest), directory, Targets(), false);
    if (!plan.ok()) return plan.status().ToString();
    for (const int step : graph_.StepsOf(SimStep::Kind::kKeyed)) {
      if (!graph_.FedBySourcesOnly(step)) continue;
      std::string wrong = CompareKeyed(step, **plan);
      if (!wrong.empty()) return "step " + std::to_string(step) + ": " + wrong;
    }
    return "";
  }

 private:
  const std::string& OperatorId(int step) const {
    return job_.graph.operator_ids[job_.nodes.at(step)];
  }

  std::vector<RestoreTarget> Targets() const {
    std::vector<RestoreTarget> targets;
    for (const StreamNode& node : job_.graph.stream->nodes) {
      targets.push_back({job_.graph.operator_ids[node.id], node.name, node.kind, node.keyed,
                         node.source != nullptr, node.parallelism, node.max_parallelism});
    }
    return targets;
  }

  std::string ReadSource(int step, const Manifest& manifest) {
    const TestSourceSpec& source = graph_.steps[step].source;
    const OperatorManifest* op = manifest.Find(OperatorId(step));
    if (op == nullptr || static_cast<int>(op->splits.size()) != source.splits) {
      return "splits of source step " + std::to_string(step) + " are missing";
    }
    for (const SplitSnapshot& split : op->splits) {
      const int number = std::stoi(split.id.substr(split.id.find(':') + 1));
      int64_t next_row = 0;
      uint64_t ordinal = 0;
      TimestampMs emitted = 0;
      ByteReader position(split.position);
      ByteReader time(split.watermark);
      if (!position.Fixed(&next_row).ok() || !time.Varint(&ordinal).ok() ||
          !time.Fixed(&emitted).ok()) {
        return "offset or event time of '" + split.id + "' cannot be read";
      }
      positions_[{step, number}] = next_row;
      if (next_row < source.rows_per_split) unread_.insert(step);
      std::string wrong =
          Differs("the watermark of '" + split.id + "' after row " + std::to_string(next_row),
                  emitted, WatermarkAfter(source, number, next_row, split.finished));
      if (!wrong.empty()) return wrong;
    }
    return "";
  }

  // A watermark follows every stride of rows, and the last row.
  TimestampMs WatermarkAfter(const TestSourceSpec& source, int split, int64_t rows,
                             bool finished) const {
    const int64_t seen = finished ? rows : rows / kSimStrideRows * kSimStrideRows;
    if (seen == 0) return kMinWatermark;
    TimestampMs latest = TestSourceRow(source, split, 0).time;
    for (int64_t i = 1; i < seen; ++i) {
      latest = std::max(latest, TestSourceRow(source, split, i).time);
    }
    return latest - graph_.watermark_bound_ms - 1;
  }

  std::string CompareKeyed(int step, const RestorePlan& plan) const {
    const TestKeyedSpec& spec = graph_.steps[step].keyed;
    std::map<int64_t, std::multiset<int64_t>> expected;  // key -> y of its rows
    for (const TestRow& row : SimInputOf(graph_, step, rows_)) {
      expected[spec.key_column == 1 ? row.key : row.x].insert(row.y);
    }
    KeyedState state(KeyGroupRange{0, graph_.max_parallelism - 1}, graph_.max_parallelism,
                     kMemoryBudgetBytes);
    if (plan.Has(OperatorId(step))) {
      Result<StoredKeyedState> stored = plan.KeyedStateFor(OperatorId(step), 0, 1);
      if (!stored.ok()) return stored.status().ToString();
      const Status restored = state.Restore(std::move(*stored));
      if (!restored.ok()) return restored.ToString();
    }
    const Result<FixedValueState*> counts = state.RegisterFixed("count", "value<int64>", 8);
    const Result<RowState*> lists = state.RegisterRows("list", "list<bytes>");
    if (!counts.ok() || !lists.ok()) return "its states are of other types";
    for (KeyId id = 0; id < state.keys().size(); ++id) {
      if (!state.keys().live(id) || expected.contains(state.keys().IntOf(id))) continue;
      return "key " + std::to_string(state.keys().IntOf(id)) + " came after the barrier";
    }
    for (const auto& [key, numbers] : expected) {
      const KeyId id = state.keys().Lookup(Key::OfInt(key));
      const std::string name = "key " + std::to_string(key);
      if (id == kNoKey) return name + " is missing";
      const int64_t count = (*counts)->Has(id) ? (*counts)->Get<int64_t>(id) : 0;
      std::string wrong =
          Differs("the count of " + name, count, static_cast<int64_t>(numbers.size()));
      if (!wrong.empty()) return wrong;
      std::multiset<int64_t> listed;
      (*lists)->Walk(id, "", nullptr, [&](std::string_view, std::string_view value) {
        int64_t number = 0;
        ByteReader in(value);
        if (in.Fixed(&number).ok()) listed.insert(number);
        return true;
      });
      // The timer at the end of time takes the list away.
      if (listed != numbers && !(listed.empty() && AllRead(step))) {
        return "the list of " + name + " has " + std::to_string(listed.size()) + " other rows";
      }
    }
    return "";
  }

  /// True when the sources that feed the step have no rows left.
  bool AllRead(int step) const {
    bool all = !unread_.contains(step);
    for (const SimStep::Input& from : graph_.steps[step].inputs) all = all && AllRead(from.step);
    return all;
  }

  Env* const env_;
  const SimGraph& graph_;
  const SimJobGraph& job_;
  SimPositions positions_;
  SimRows rows_;
  std::set<int> unread_;  // source steps with rows left
};

}  // namespace

std::string FindMissingFiles(FileSystem& files, const std::string& directory) {
  for (const CheckpointId id : ManifestIds(files, directory)) {
    const Result<Manifest> manifest = ReadManifestFile(files, PathOf(directory, id));
    if (!manifest.ok()) return manifest.status().ToString();
    const Status present = CheckFilesPresent(files, *manifest, directory);
    if (!present.ok()) return "checkpoint " + std::to_string(id) + ": " + present.ToString();
  }
  return "";
}

std::string CompareSnapshot(Env* env, const std::string& directory, const SimGraph& graph,
                            const SimJobGraph& job) {
  const std::vector<CheckpointId> ids = ManifestIds(env->files(), directory);
  const std::string path =
      ids.empty() ? directory + "/" + kSavepointManifest : PathOf(directory, ids[0]);
  const Result<FileStatus> status = env->files().Stat(path);
  if (!status.ok()) return status.status().ToString();
  if (!status->exists) return "";
  Result<Manifest> manifest = ReadManifestFile(env->files(), path);
  if (!manifest.ok()) return manifest.status().ToString();
  const std::string id = std::to_string(manifest->id);
  const std::string wrong =
      SnapshotComparison(env, graph, job).Run(directory, std::move(*manifest));
  return wrong.empty() ? "" : "checkpoint " + id + ": " + wrong;
}

std::string FindOrphans(FileSystem& files, const std::string& directory) {
  const std::vector<CheckpointId> ids = ManifestIds(files, directory);
  const Result<std::vector<std::string>> names = files.List(directory);
  if (ids.size() < 2 || !names.ok()) return "";
  std::set<std::string> named;
  for (const CheckpointId id : ids) {
    const Result<Manifest> manifest = ReadManifestFile(files, PathOf(directory, id));
    if (!manifest.ok()) return manifest.status().ToString();
    for (const FileManifest& file : manifest->files) named.insert(file.name);
  }
  for (const std::string& name : *names) {
    const StoredName stored = ParseStoredName(name);
    if (stored.kind != StoredName::Kind::kData || named.contains(name)) continue;
    if (stored.checkpoint < ids[1]) return "file " + name + " is left over";
  }
  return "";
}

int64_t NewestCheckpoint(FileSystem& files, const std::string& directory) {
  const std::vector<CheckpointId> ids = ManifestIds(files, directory);
  return ids.empty() ? 0 : static_cast<int64_t>(ids[0]);
}

}  // namespace headrace
