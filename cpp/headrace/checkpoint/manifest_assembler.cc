#include "headrace/checkpoint/manifest_assembler.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace headrace {
namespace {

class Assembler {
 public:
  explicit Assembler(Manifest* manifest) : manifest_(manifest) {}

  Status AddTask(const WrittenSnapshot& task) {
    const std::vector<OperatorSnapshot>& snapshots = task.snapshot.operators;
    if (task.written.parts.size() != snapshots.size()) {
      return Status::Internal("task " + std::to_string(task.snapshot.task) + " wrote " +
                              std::to_string(task.written.parts.size()) + " parts of " +
                              std::to_string(snapshots.size()));
    }
    std::vector<uint32_t> numbers;
    for (const FileManifest& file : task.written.files) {
      uint32_t number = 0;
      HR_RETURN_IF_ERROR(AddFile(file, &number));
      numbers.push_back(number);
    }
    for (size_t i = 0; i < snapshots.size(); ++i) {
      HR_RETURN_IF_ERROR(AddSubtask(snapshots[i], task.written.parts[i].subtask, numbers));
    }
    return Status::Ok();
  }

  Status Finish() {
    for (OperatorManifest& op : manifest_->operators) {
      std::sort(op.subtasks.begin(), op.subtasks.end(),
                [](const auto& a, const auto& b) { return a.index < b.index; });
      for (size_t i = 1; i < op.subtasks.size(); ++i) {
        if (op.subtasks[i - 1].index == op.subtasks[i].index) {
          return Disagreement(op, "two snapshots of one subtask");
        }
      }
      std::sort(op.splits.begin(), op.splits.end(),
                [](const auto& a, const auto& b) { return a.id < b.id; });
      for (size_t i = 1; i < op.splits.size(); ++i) {
        if (op.splits[i - 1].id == op.splits[i].id) {
          return Disagreement(op, "split " + op.splits[i].id + " read by two subtasks");
        }
      }
    }
    manifest_->full =
        std::all_of(manifest_->files.begin(), manifest_->files.end(),
                    [this](const FileManifest& file) { return file.checkpoint == manifest_->id; });
    return Status::Ok();
  }

 private:
  static Status Disagreement(const OperatorManifest& op, const std::string& what) {
    return Status::Internal("operator '" + op.name + "' (uid " + op.operator_id + "): " + what);
  }

  Status AddFile(const FileManifest& file, uint32_t* number) {
    const auto [found, added] = file_numbers_.try_emplace(file.name, manifest_->files.size());
    if (added) {
      manifest_->files.push_back(file);
    } else if (manifest_->files[found->second] != file) {
      return Status::Internal("two files named " + file.name);
    }
    *number = static_cast<uint32_t>(found->second);
    return Status::Ok();
  }

  OperatorManifest* OperatorOf(const OperatorSnapshot& snapshot) {
    const auto [found, added] =
        operator_numbers_.try_emplace(snapshot.operator_id, manifest_->operators.size());
    if (!added) return &manifest_->operators[found->second];
    OperatorManifest op;
    op.operator_id = snapshot.operator_id;
    op.name = snapshot.name;
    op.kind = snapshot.kind;
    op.parallelism = snapshot.parallelism;
    op.max_parallelism = snapshot.max_parallelism;
    op.keyed = snapshot.key_groups.has_value();
    return &manifest_->operators.emplace_back(std::move(op));
  }

  Status AddSubtask(const OperatorSnapshot& snapshot, SubtaskManifest subtask,
                    const std::vector<uint32_t>& numbers) {
    OperatorManifest* op = OperatorOf(snapshot);
    if (op->kind != snapshot.kind || op->parallelism != snapshot.parallelism ||
        op->max_parallelism != snapshot.max_parallelism ||
        op->keyed != snapshot.key_groups.has_value()) {
      return Disagreement(*op, "subtasks differ in kind or parallelism");
    }
    for (TableManifest& table : subtask.tables) {
      for (std::vector<PartitionRef>& chain : table.partitions) {
        for (PartitionRef& ref : chain) ref.file = numbers.at(ref.file);
      }
    }
    op->subtasks.push_back(std::move(subtask));
    op->splits.insert(op->splits.end(), snapshot.splits.begin(), snapshot.splits.end());
    manifest_->renames.insert(manifest_->renames.end(), snapshot.renames.begin(),
                              snapshot.renames.end());
    for (const StateRegistration& state : snapshot.registry) {
      HR_RETURN_IF_ERROR(AddRegistration(op, state));
    }
    return Status::Ok();
  }

  static Status AddRegistration(OperatorManifest* op, const StateRegistration& state) {
    // Keyed state and operator state have names of their own.
    const auto is_operator_state = [](const StateRegistration& line) {
      return line.kind == TableKind::kOperatorState;
    };
    const auto same =
        std::find_if(op->registry.begin(), op->registry.end(), [&](const auto& known) {
          return known.name == state.name && is_operator_state(known) == is_operator_state(state);
        });
    if (same == op->registry.end()) {
      op->registry.push_back(state);
      return Status::Ok();
    }
    if (same->fingerprint != state.fingerprint || same->kind != state.kind) {
      return Disagreement(*op, "state '" + state.name + "' is " + same->fingerprint +
                                   " in one subtask and " + state.fingerprint + " in another");
    }
    same->bytes += state.bytes;
    same->rows += state.rows;
    return Status::Ok();
  }

  Manifest* manifest_;
  std::map<std::string, size_t> file_numbers_;
  std::map<std::string, size_t> operator_numbers_;
};

}  // namespace

Status AssembleManifest(const std::vector<WrittenSnapshot>& tasks, Manifest* manifest) {
  std::vector<const WrittenSnapshot*> by_task;
  for (const WrittenSnapshot& task : tasks) by_task.push_back(&task);
  std::sort(by_task.begin(), by_task.end(),
            [](const auto* a, const auto* b) { return a->snapshot.task < b->snapshot.task; });
  Assembler assembler(manifest);
  for (const WrittenSnapshot* task : by_task) HR_RETURN_IF_ERROR(assembler.AddTask(*task));
  return assembler.Finish();
}

}  // namespace headrace
