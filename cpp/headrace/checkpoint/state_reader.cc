#include "headrace/checkpoint/state_reader.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/state/fixed_value_state.h"
#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/timer_row.h"
#include "headrace/types/key_codec.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr std::string_view kKeysTable = "keys";
constexpr std::string_view kTimersTable = "timers";
// No aggregate comes near.
constexpr uint32_t kAccumulatorBytesMax = 1 << 20;

Status CheckRowBytes(const TableMeta& meta) {
  const bool fine = meta.kind == TableKind::kFixedValue
                        ? FixedValueState::IsValueSize(meta.row_bytes)
                    : meta.kind == TableKind::kSlice
                        ? meta.row_bytes > 0 && meta.row_bytes <= kAccumulatorBytesMax
                    : meta.kind == TableKind::kKeyed ? meta.row_bytes <= kAccumulatorBytesMax
                                                     : true;
  if (fine) return Status::Ok();
  return Status::Corruption("rows of " + std::to_string(meta.row_bytes) + " bytes");
}

// The start of a slice from its table's name, "slices/<state>/<start>".
Result<int64_t> SliceStart(const TableMeta& meta) {
  int64_t start = 0;
  const char* begin = meta.name.data() + (meta.name.rfind('/') + 1);
  const char* end = meta.name.data() + meta.name.size();
  const auto parsed = std::from_chars(begin, end, start);
  if (parsed.ec == std::errc() && parsed.ptr == end) return start;
  return Status::Corruption("table '" + meta.name + "': no slice has this name");
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

bool IsTimers(const TableMeta& meta, const std::string&) {
  return meta.kind == TableKind::kTimers ||
         (meta.kind == TableKind::kKeyed && meta.name == kTimersTable);
}
bool IsKeys(const TableMeta& meta, const std::string&) {
  return meta.kind == TableKind::kDictionary && meta.name == kKeysTable;
}
bool IsState(const TableMeta& meta, const std::string& state) {
  return meta.kind != TableKind::kDictionary && !IsTimers(meta, state) && meta.state_name == state;
}

// What a table of any backend holds: one that goes by key is of the kind it would have in memory.
TableKind KindInMemory(const TableMeta& meta) {
  if (meta.kind != TableKind::kKeyed) return meta.kind;
  if (meta.row_bytes == 0) return TableKind::kRows;
  // "value<int64>" or, of accumulators, "sum(int64), count(*)".
  return meta.fingerprint.ends_with(">") ? TableKind::kFixedValue : TableKind::kSlice;
}

}  // namespace

Result<bool> StateCursor::Next(std::vector<StateRow>* rows) {
  rows->clear();
  while (source_ < sources_.size()) {
    Source& source = sources_[source_];
    if (partition_ >= source.table->partition_count()) {
      ++source_;
      partition_ = 0;
      keys_.reset();
      continue;
    }
    const Status status = ReadPartition(&source, rows);
    if (!status.ok()) {
      return status.WithContext("table '" + source.table->meta().name + "' of subtask " +
                                std::to_string(source.subtask) + ", partition " +
                                std::to_string(partition_));
    }
    ++partition_;
    if (!rows->empty()) return true;
  }
  return false;
}

Status StateCursor::AddKey(uint32_t id, StateRow* row) {
  StoredKeyPage::Entry entry;
  HR_ASSIGN_OR_RETURN(StoredKeyPagePtr page, keys_->Find(id, &entry));
  if (pinned_keys_.empty() || pinned_keys_.back() != page) pinned_keys_.push_back(std::move(page));
  row->key_id = id;
  row->key = entry.key;
  row->key_group = entry.key_group;
  return Status::Ok();
}

Status StateCursor::ReadPartition(Source* source, std::vector<StateRow>* rows) {
  const TableMeta& meta = source->table->meta();
  HR_RETURN_IF_ERROR(CheckRowBytes(meta));
  pinned_keys_.clear();
  if (source->dictionary && !keys_) {
    keys_ =
        std::make_unique<StoredKeys>(source->dictionary.get(), source->key_groups, kKeyCacheBytes);
  }
  HR_ASSIGN_OR_RETURN(payloads_, source->table->ReadPartition(partition_));
  if (payloads_.empty()) return Status::Ok();
  if (meta.kind == TableKind::kKeyed) return ReadKeyed(*source, rows);
  HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                      MergePartition(meta.kind, meta.row_bytes, payloads_));
  rows->reserve(partition.rows.size());
  for (const StoredRow& stored : partition.rows) {
    StateRow row;
    row.subtask = source->subtask;
    switch (meta.kind) {
      case TableKind::kDictionary:
        if (!source->key_groups.Contains(stored.key_group)) {
          return Status::Corruption("key id " + std::to_string(stored.row) + " is in key group " +
                                    std::to_string(stored.key_group));
        }
        row.key_id = stored.row;
        row.key = stored.value;
        row.key_group = stored.key_group;
        break;
      case TableKind::kFixedValue:
      case TableKind::kSlice:
        HR_RETURN_IF_ERROR(AddKey(stored.row, &row));
        row.value = stored.value;
        row.time = source->slice_start;
        break;
      case TableKind::kRows:
        HR_RETURN_IF_ERROR(AddKey(stored.key, &row));
        row.ns = stored.ns;
        row.sub_key = stored.sub_key;
        row.value = stored.value;
        break;
      case TableKind::kTimers:
        HR_RETURN_IF_ERROR(AddKey(stored.key, &row));
        row.ns = stored.ns;
        row.domain = stored.domain;
        row.time = stored.time;
        break;
      case TableKind::kKeyed:
      case TableKind::kOperatorState:
        return Status::Internal("a table of this kind has no such partitions");
    }
    rows->push_back(row);
  }
  return Status::Ok();
}

Status StateCursor::ReadKeyed(const Source& source, std::vector<StateRow>* rows) {
  const TableMeta& meta = source.table->meta();
  HR_ASSIGN_OR_RETURN(const StoredKeyedPartition partition,
                      MergeKeyedPartition(meta.row_bytes, payloads_));
  rows->reserve(partition.rows.size());
  for (const StoredKeyedRow& stored : partition.rows) {
    HR_RETURN_IF_ERROR(CheckValue(stored.key));
    StateRow row;
    row.subtask = source.subtask;
    row.key = stored.key;
    row.key_group = KeyGroupOf(stored.key, source.max_parallelism);
    if (!source.key_groups.Contains(row.key_group)) {
      return Status::Corruption("key " + DescribeValue(stored.key) + " is in key group " +
                                std::to_string(row.key_group));
    }
    row.ns = stored.ns;
    if (IsTimers(meta, {})) {
      HR_RETURN_IF_ERROR(ParseTimerSubKey(stored.key, stored.sub_key, &row.domain, &row.time));
    } else {
      row.sub_key = stored.sub_key;
      row.value = stored.value;
    }
    rows->push_back(row);
  }
  return Status::Ok();
}

Result<std::unique_ptr<StateReader>> StateReader::Open(Env* env, const std::string& path) {
  std::string directory;
  HR_ASSIGN_OR_RETURN(Manifest manifest, LoadManifest(env->files(), path, &directory));
  // The plan of a restore into the very operators that were stored.
  std::vector<RestoreTarget> targets;
  for (const OperatorManifest& op : manifest.operators) {
    targets.push_back({.operator_id = op.operator_id,
                       .name = op.name,
                       .kind = op.kind,
                       .keyed = op.keyed,
                       .is_source = false,
                       .parallelism = op.parallelism,
                       .max_parallelism = op.max_parallelism});
  }
  std::unique_ptr<StateReader> reader(new StateReader());
  HR_ASSIGN_OR_RETURN(reader->plan_, RestorePlan::Make(env, std::move(manifest), directory, targets,
                                                       /*allow_dropped=*/false));
  return reader;
}

Result<const OperatorManifest*> StateReader::Find(const std::string& operator_id) const {
  if (const OperatorManifest* op = manifest().Find(operator_id)) return op;
  std::vector<std::string> names;
  for (const OperatorManifest& op : manifest().operators) names.push_back(op.operator_id);
  return Status::NotFound("checkpoint " + std::to_string(manifest().id) + " has no operator '" +
                          operator_id + "'; it has " + Listed(names));
}

Result<StateReader::State> StateReader::Describe(const std::string& operator_id,
                                                 const std::string& state) const {
  HR_ASSIGN_OR_RETURN(const OperatorManifest* op, Find(operator_id));
  std::vector<std::string> names;
  const TableMeta* found = nullptr;
  bool by_key = false;
  for (const SubtaskManifest& subtask : op->subtasks) {
    for (const TableManifest& table : subtask.tables) {
      const TableMeta& meta = table.meta;
      if (IsState(meta, meta.state_name)) names.push_back(meta.state_name);
      if (!IsState(meta, state)) continue;
      if (found &&
          (KindInMemory(*found) != KindInMemory(meta) || found->row_bytes != meta.row_bytes)) {
        return Status::Corruption("state '" + state + "' differs between its tables '" +
                                  found->name + "' and '" + meta.name + "'");
      }
      found = &meta;
      by_key = by_key || meta.kind == TableKind::kKeyed;
    }
  }
  for (const StateRegistration& known : op->registry) {
    if (known.kind == TableKind::kDictionary || known.kind == TableKind::kTimers) continue;
    names.push_back(known.name);
    // All its slices are closed: it has a type, but no table.
    if (!found && known.name == state) return State{known.fingerprint, known.kind, 0, false};
  }
  if (found) return State{found->fingerprint, KindInMemory(*found), found->row_bytes, by_key};
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return Status::NotFound("operator '" + operator_id + "' of checkpoint " +
                          std::to_string(manifest().id) + " has no state '" + state + "'; it has " +
                          Listed(names));
}

Result<std::unique_ptr<StateCursor>> StateReader::Tables(const std::string& operator_id,
                                                         const std::string& state, Wanted wanted,
                                                         int key_group) const {
  HR_ASSIGN_OR_RETURN(const OperatorManifest* op, Find(operator_id));
  // All former subtasks overlap with the only one of a restore at parallelism 1.
  HR_ASSIGN_OR_RETURN(StoredKeyedState stored, plan_->KeyedStateFor(operator_id, 0, 1));
  std::vector<StateCursor::Source> sources;
  for (StoredSubtask& subtask : stored.subtasks) {
    const auto described =
        std::find_if(op->subtasks.begin(), op->subtasks.end(),
                     [&](const SubtaskManifest& one) { return one.index == subtask.former_index; });
    if (key_group != kAnyKeyGroup && !described->key_groups.Contains(key_group)) continue;
    std::map<std::string_view, std::shared_ptr<StoredTable>> dictionaries;
    std::vector<std::shared_ptr<StoredTable>> tables;
    for (std::unique_ptr<StoredTable>& table : subtask.tables) {
      tables.push_back(std::move(table));
      const TableMeta& meta = tables.back()->meta();
      if (meta.kind == TableKind::kDictionary) dictionaries[meta.name] = tables.back();
    }
    for (const std::shared_ptr<StoredTable>& table : tables) {
      const TableMeta& meta = table->meta();
      if (!wanted(meta, state)) continue;
      StateCursor::Source source{
          subtask.former_index, described->key_groups, op->max_parallelism, table, nullptr, 0};
      if (meta.kind == TableKind::kSlice) {
        HR_ASSIGN_OR_RETURN(source.slice_start, SliceStart(meta));
      }
      if (meta.kind != TableKind::kDictionary && meta.kind != TableKind::kKeyed) {
        const auto dictionary = dictionaries.find(meta.dictionary);
        if (dictionary == dictionaries.end()) {
          return Status::Corruption("table '" + meta.name + "': its dictionary '" +
                                    meta.dictionary + "' is missing");
        }
        source.dictionary = dictionary->second;
      }
      sources.push_back(std::move(source));
    }
  }
  return std::unique_ptr<StateCursor>(new StateCursor(std::move(sources)));
}

Result<std::unique_ptr<StateCursor>> StateReader::Rows(const std::string& operator_id,
                                                       const std::string& state) const {
  return Tables(operator_id, state, &IsState);
}

Result<std::unique_ptr<StateCursor>> StateReader::RowsOfSubtask(const std::string& operator_id,
                                                                const std::string& state,
                                                                int key_group) const {
  return Tables(operator_id, state, &IsState, key_group);
}

Result<std::unique_ptr<StateCursor>> StateReader::Timers(const std::string& operator_id) const {
  return Tables(operator_id, {}, &IsTimers);
}

Result<std::unique_ptr<StateCursor>> StateReader::Keys(const std::string& operator_id) const {
  return Tables(operator_id, {}, &IsKeys);
}

}  // namespace headrace
