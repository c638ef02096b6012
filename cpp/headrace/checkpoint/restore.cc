#include "headrace/checkpoint/restore.h"

#include <algorithm>
#include <utility>

#include "headrace/base/planted_bug.h"
#include "headrace/checkpoint/open_data_files.h"
#include "headrace/checkpoint/read_ahead.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/safe_path.h"

namespace headrace {

// The data files of one checkpoint, shared by all tables that are restored from it. Threading:
// thread-safe.
class RestorePlan::FileCache {
 public:
  FileCache(Env* env, std::string directory, const Manifest& manifest)
      : env_(env),
        directory_(std::move(directory)),
        files_(manifest.files),
        open_(env->files(), directory_) {
    for (const FileManifest& file : files_) identities_.push_back(IdentityOf(manifest, file));
  }

  Env* env() const { return env_; }

  Result<std::string> ReadBlock(const PartitionRef& ref) {
    const std::string& name = files_[ref.file].name;
    HR_ASSIGN_OR_RETURN(Block block, open_.Read(name, ref, &identities_[ref.file]));
    const BlockKind expected = ref.whole ? BlockKind::kBase : BlockKind::kDelta;
    if (block.kind != expected) {
      return Status::Corruption("file '" + directory_ + "/" + name + "', offset " +
                                std::to_string(ref.offset) +
                                ": a base block where a delta belongs, or the other way round");
    }
    return std::move(block.payload);
  }

 private:
  Env* const env_;
  const std::string directory_;
  const std::vector<FileManifest> files_;
  std::vector<CheckpointFileIdentity> identities_;
  OpenDataFiles open_;
};

class RestorePlan::Table final : public StoredTable {
 public:
  Table(std::shared_ptr<FileCache> files, const TableManifest& table)
      : files_(std::move(files)),
        meta_(table.meta),
        partitions_(table.partitions),
        ahead_(files_->env(),
               {.count = static_cast<uint32_t>(partitions_.size()),
                .read = [this](uint32_t index) { return Read(index); },
                .memory_bytes = [this](uint32_t index) { return RawBytes(index); }}) {}

  const TableMeta& meta() const override { return meta_; }
  uint32_t partition_count() const override { return static_cast<uint32_t>(partitions_.size()); }
  Result<std::vector<std::string>> ReadPartition(uint32_t index) override {
    return ahead_.Take(index);
  }

 private:
  Result<std::vector<std::string>> Read(uint32_t index) const {
    std::vector<std::string> payloads;
    for (const PartitionRef& ref : partitions_.at(index)) {
      Result<std::string> payload = files_->ReadBlock(ref);
      if (!payload.ok()) return payload.status().WithContext("table '" + meta_.name + "'");
      payloads.push_back(std::move(payload).value());
    }
    return payloads;
  }

  uint64_t RawBytes(uint32_t index) const {
    uint64_t bytes = 0;
    for (const PartitionRef& ref : partitions_[index]) bytes += ref.raw_bytes;
    return bytes;
  }

  const std::shared_ptr<FileCache> files_;
  const TableMeta meta_;
  const std::vector<std::vector<PartitionRef>> partitions_;
  ReadAhead ahead_;  // last: it uses all others until it is gone
};

namespace {

constexpr const char* kDropKey = "execution.state-recovery.ignore-unclaimed-state: true";

std::string Named(const std::string& name, const std::string& id) {
  return "'" + name + "' (uid " + id + ")";
}

// What a renamed operator may now be called.
std::string NewOperators(const Manifest& manifest, const std::vector<RestoreTarget>& targets) {
  std::string list;
  for (const RestoreTarget& target : targets) {
    if (manifest.Find(target.operator_id) != nullptr) continue;
    list += (list.empty() ? "" : ", ") + Named(target.name, target.operator_id);
  }
  return list.empty() ? "has no new operator that it could belong to" : "has the new " + list;
}

Status Missing(const OperatorManifest& op, const Manifest& manifest,
               const std::vector<RestoreTarget>& targets) {
  return Status::InvalidArgument(
      "checkpoint " + std::to_string(manifest.id) + " holds state of operator " +
      Named(op.name, op.operator_id) + " of kind " + op.kind +
      ", which the program lacks; the program " + NewOperators(manifest, targets) +
      ". Give the operator its uid back, or set " + kDropKey + " to drop the state");
}

Status CheckMatch(const OperatorManifest& op, const RestoreTarget& target,
                  const Manifest& manifest) {
  const std::string checkpoint = "checkpoint " + std::to_string(manifest.id);
  const std::string advice =
      "; or give the operator another uid and drop the old state by " + std::string(kDropKey);
  if (op.kind != target.kind) {
    return Status::InvalidArgument("operator " + Named(target.name, target.operator_id) +
                                   " is of kind " + target.kind + ", but " + checkpoint +
                                   " holds state of kind " + op.kind + " ('" + op.name +
                                   "') for it. Make it " + op.kind + " again" + advice);
  }
  if (op.keyed != target.keyed) {
    return Status::InvalidArgument("operator " + Named(target.name, target.operator_id) + " is " +
                                   (target.keyed ? "keyed" : "not keyed") + ", but " + checkpoint +
                                   (op.keyed ? " holds keyed" : " holds no keyed") +
                                   " state for it. Undo the change" + advice);
  }
  if (op.keyed && op.max_parallelism != target.max_parallelism) {
    return Status::InvalidArgument(
        "operator " + Named(target.name, target.operator_id) + " has max parallelism " +
        std::to_string(target.max_parallelism) + ", but " + checkpoint +
        " was taken with max parallelism " + std::to_string(op.max_parallelism) +
        ", which deals keys to key groups. Set it to " + std::to_string(op.max_parallelism) +
        advice);
  }
  return Status::Ok();
}

bool Overlap(const KeyGroupRange& a, const KeyGroupRange& b) {
  if (Planted(PlantedBug::kWrongKeyGroup) && a.first < b.first && a.last == b.first) return false;
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

Result<std::unique_ptr<RestorePlan>> RestorePlan::Make(Env* env, Manifest manifest,
                                                       std::string directory,
                                                       const std::vector<RestoreTarget>& targets,
                                                       bool allow_dropped) {
  std::unique_ptr<RestorePlan> plan(new RestorePlan());
  for (const OperatorManifest& op : manifest.operators) {
    if (!op.HasState()) continue;
    const auto target = std::find_if(
        targets.begin(), targets.end(),
        [&](const RestoreTarget& candidate) { return candidate.operator_id == op.operator_id; });
    if (target == targets.end()) {
      if (!allow_dropped) return Missing(op, manifest, targets);
      plan->dropped_.push_back(Named(op.name, op.operator_id));
      continue;
    }
    HR_RETURN_IF_ERROR(CheckMatch(op, *target, manifest));
    plan->wanted_.insert(op.operator_id);
  }
  plan->files_ = std::make_shared<FileCache>(env, directory, manifest);
  plan->manifest_ = std::move(manifest);
  plan->directory_ = std::move(directory);
  return plan;
}

const OperatorManifest* RestorePlan::Wanted(const std::string& operator_id) const {
  return wanted_.contains(operator_id) ? manifest_.Find(operator_id) : nullptr;
}

bool RestorePlan::Has(const std::string& operator_id) const {
  return wanted_.contains(operator_id);
}

Result<StoredKeyedState> RestorePlan::KeyedStateFor(const std::string& operator_id, int index,
                                                    int parallelism) const {
  StoredKeyedState state;
  state.same_parallelism = false;
  const OperatorManifest* op = Wanted(operator_id);
  if (op == nullptr || !op->keyed) return state;
  if (index < 0 || index >= parallelism || parallelism > op->max_parallelism) {
    return Status::InvalidArgument("operator " + Named(op->name, operator_id) + ": subtask " +
                                   std::to_string(index) + " of " + std::to_string(parallelism) +
                                   " with max parallelism " + std::to_string(op->max_parallelism));
  }
  const KeyGroupRange range = KeyGroupRangeOf(index, parallelism, op->max_parallelism);
  bool same_range = false;
  for (const SubtaskManifest& subtask : op->subtasks) {
    if (!Overlap(subtask.key_groups, range)) continue;
    same_range = subtask.key_groups == range && subtask.index == index;
    StoredSubtask stored;
    stored.former_index = subtask.index;
    for (const TableManifest& table : subtask.tables) {
      stored.tables.push_back(std::make_unique<Table>(files_, table));
    }
    state.subtasks.push_back(std::move(stored));
  }
  // All subtasks of an operator keep their ids or none: a chain of partitions goes on for all of
  // them.
  state.same_parallelism =
      same_range && state.subtasks.size() == 1 && SameParallelism(operator_id, parallelism);
  return state;
}

Result<OperatorState> RestorePlan::OperatorStateFor(const std::string& operator_id, int index,
                                                    int parallelism) const {
  const OperatorManifest* op = Wanted(operator_id);
  if (op == nullptr) return OperatorState();
  std::vector<OperatorState> former;
  for (const SubtaskManifest& subtask : op->subtasks) {
    if (subtask.operator_state.empty()) {
      former.emplace_back();
      continue;
    }
    Result<OperatorState> state = OperatorState::Decode(subtask.operator_state);
    if (!state.ok()) {
      return state.status().WithContext("operator " + Named(op->name, operator_id) +
                                        ", operator state of subtask " +
                                        std::to_string(subtask.index));
    }
    former.push_back(std::move(state).value());
  }
  return OperatorState::Redistribute(former, index, parallelism);
}

std::vector<SplitSnapshot> RestorePlan::SplitsOf(const std::string& operator_id) const {
  const OperatorManifest* op = Wanted(operator_id);
  return op == nullptr ? std::vector<SplitSnapshot>() : op->splits;
}

bool RestorePlan::SameParallelism(const std::string& operator_id, int parallelism) const {
  const OperatorManifest* op = Wanted(operator_id);
  if (forget_ids_ || op == nullptr || op->parallelism != parallelism) return false;
  if (static_cast<int>(op->subtasks.size()) != parallelism) return false;
  for (const SubtaskManifest& subtask : op->subtasks) {
    if (!op->keyed) continue;
    const auto range = KeyGroupRangeOf(subtask.index, parallelism, op->max_parallelism);
    if (subtask.key_groups != range) return false;
  }
  return true;
}

}  // namespace headrace
