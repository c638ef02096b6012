#include "bindings/manifest_dict.h"

#include "bindings/checkpoint_sizes_dict.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

const char* KindName(TableKind kind) {
  switch (kind) {
    case TableKind::kDictionary:
      return "dictionary";
    case TableKind::kFixedValue:
      return "fixed";
    case TableKind::kRows:
      return "rows";
    case TableKind::kTimers:
      return "timers";
    case TableKind::kSlice:
      return "slice";
    case TableKind::kKeyed:
      return "keyed";
    case TableKind::kOperatorState:
      return "operator";
  }
  return "unknown";
}

const char* CheckpointKindName(CheckpointKind kind) {
  switch (kind) {
    case CheckpointKind::kCheckpoint:
      return "checkpoint";
    case CheckpointKind::kFinal:
      return "final checkpoint";
    case CheckpointKind::kSavepoint:
      return "savepoint";
  }
  return "unknown";
}

py::dict SubtaskDict(const SubtaskManifest& subtask) {
  py::dict out;
  out["index"] = subtask.index;
  out["finished"] = subtask.finished;
  out["state_bytes"] = subtask.state_bytes;
  out["key_groups"] = py::make_tuple(subtask.key_groups.first, subtask.key_groups.last);
  py::list tables;
  for (const TableManifest& table : subtask.tables) {
    py::dict item;
    item["name"] = table.meta.name;
    item["state"] = table.meta.state_name;
    item["kind"] = KindName(table.meta.kind);
    item["fingerprint"] = table.meta.fingerprint;
    item["live_bytes"] = table.live_bytes;
    item["partitions"] = table.partitions.size();
    item["partition_rows"] = table.meta.partition_rows;
    item["partition_bytes"] = table.meta.partition_bytes;
    tables.append(std::move(item));
  }
  out["tables"] = tables;
  return out;
}

py::dict OperatorDict(const OperatorManifest& op) {
  py::dict out;
  out["operator_id"] = op.operator_id;
  out["name"] = op.name;
  out["kind"] = op.kind;
  out["parallelism"] = op.parallelism;
  out["max_parallelism"] = op.max_parallelism;
  out["keyed"] = op.keyed;
  out["registry"] = RegistryList(op.registry);
  py::list subtasks;
  for (const SubtaskManifest& subtask : op.subtasks) subtasks.append(SubtaskDict(subtask));
  out["subtasks"] = subtasks;
  py::list splits;
  for (const SplitSnapshot& split : op.splits) {
    py::dict item;
    item["id"] = split.id;
    item["position"] = py::bytes(split.position);
    item["rows_read"] = split.rows_read;
    item["finished"] = split.finished;
    splits.append(std::move(item));
  }
  out["splits"] = splits;
  return out;
}

}  // namespace

py::list RegistryList(const std::vector<StateRegistration>& registry) {
  py::list out;
  for (const StateRegistration& state : registry) {
    py::dict item;
    item["name"] = state.name;
    item["fingerprint"] = state.fingerprint;
    item["kind"] = KindName(state.kind);
    item["bytes"] = state.bytes;
    item["rows"] = state.rows;
    out.append(std::move(item));
  }
  return out;
}

py::dict ManifestDict(const Manifest& manifest) {
  py::dict out;
  out["job_key"] = manifest.job_key;
  out["id"] = manifest.id;
  out["run_id"] = manifest.run_id;
  out["final"] = manifest.kind == CheckpointKind::kFinal;
  out["savepoint"] = manifest.kind == CheckpointKind::kSavepoint;
  out["kind"] = CheckpointKindName(manifest.kind);
  out["full"] = manifest.full;
  out["key_id"] = manifest.key_id;
  out["created_ms"] = manifest.created_ms;
  out["state_bytes"] = manifest.state_bytes();
  py::list operators;
  for (const OperatorManifest& op : manifest.operators) operators.append(OperatorDict(op));
  out["operators"] = operators;
  py::list files;
  for (const FileManifest& file : manifest.files) {
    py::dict item;
    item["name"] = file.name;
    item["size_bytes"] = file.size_bytes;
    item["checkpoint"] = file.checkpoint;
    item["key_id"] = file.key_id;
    files.append(std::move(item));
  }
  out["files"] = files;
  py::list renames;
  for (const PendingRename& rename : manifest.renames) renames.append(rename.final_path);
  out["renames"] = renames;
  out["sizes"] = CheckpointSizesDict(SizesOf(manifest));
  return out;
}

}  // namespace headrace::bindings
