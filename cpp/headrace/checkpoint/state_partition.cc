#include "headrace/checkpoint/state_partition.h"

#include <numeric>
#include <set>
#include <utility>

#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/state/partition_codec.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/synced_file.h"

namespace headrace {
namespace {

constexpr const char* kKeys = "keys";
constexpr const char* kState = "value";
constexpr const char* kKind = "state_partition";

// Rows of a table whose content is their own number.
PartitionRows NumberedRows(size_t count) {
  PartitionRows rows;
  rows.row_count = static_cast<uint32_t>(count);
  rows.live_count = rows.row_count;
  rows.live.assign((count + 63) / 64, ~uint64_t{0});
  if (count % 64 != 0) rows.live.back() = (uint64_t{1} << (count % 64)) - 1;
  rows.changed.assign(rows.live.size(), 0);
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  rows.content.resize(count * sizeof(uint32_t));
  if (count > 0) std::memcpy(rows.content.data(), numbers.data(), rows.content.size());
  return rows;
}

class KeyFields final : public RowFieldWriter {
 public:
  explicit KeyFields(const std::vector<PartitionEntry>& entries) : entries_(entries) {}
  void Append(const char* row, ByteWriter* out) const override {
    uint32_t number = 0;
    std::memcpy(&number, row, sizeof(number));
    const std::string& key = entries_[number].key;
    AppendDictionaryFields(KeyGroupOf(key, kDefaultMaxParallelism), key, out);
  }

 private:
  const std::vector<PartitionEntry>& entries_;
};

class ValueFields final : public RowFieldWriter {
 public:
  explicit ValueFields(const std::vector<PartitionEntry>& entries) : entries_(entries) {}
  void Append(const char* row, ByteWriter* out) const override {
    uint32_t number = 0;
    std::memcpy(&number, row, sizeof(number));
    AppendRowFields(number, {}, {}, entries_[number].value, out);
  }

 private:
  const std::vector<PartitionEntry>& entries_;
};

Status CheckEntries(const std::vector<PartitionEntry>& entries) {
  std::set<std::string_view> keys;
  for (const PartitionEntry& entry : entries) {
    if (!keys.insert(entry.key).second) {
      return Status::InvalidArgument("a partition has one value for each key; one key came twice");
    }
  }
  if (entries.size() > PagedTable::kPartitionRowsMax) {
    return Status::InvalidArgument("a partition has at most " +
                                   std::to_string(PagedTable::kPartitionRowsMax) + " keys, not " +
                                   std::to_string(entries.size()));
  }
  return Status::Ok();
}

TableManifest TableOf(TableMeta meta, const BlockRef& block, size_t rows, uint64_t live_bytes) {
  meta.partition_rows = static_cast<uint32_t>(rows);
  TableManifest table;
  table.meta = std::move(meta);
  table.live_bytes = live_bytes;
  table.partitions = {{{.file = 0,
                        .offset = block.offset,
                        .stored_bytes = static_cast<uint32_t>(block.block_bytes),
                        .raw_bytes = static_cast<uint32_t>(block.raw_bytes),
                        .whole = true,
                        .codec = block.codec,
                        .digest = block.digest}}};
  return table;
}

Status PublishManifest(FileSystem& files, const std::string& directory, const std::string& name,
                       const std::string& bytes) {
  const std::string path = directory + "/" + name;
  const std::string temporary = path + ".tmp";
  const Status removed = files.Remove(temporary);
  if (!removed.ok() && removed.code() != StatusCode::kNotFound) return removed;
  HR_RETURN_IF_ERROR(WriteSyncedFile(files, temporary, bytes));
  HR_RETURN_IF_ERROR(files.SyncDirectory(directory));
  HR_RETURN_IF_ERROR(files.Rename(temporary, path));
  return files.SyncDirectory(directory);
}

}  // namespace

Result<SavedPartition> SaveStatePartition(Env* env, const StoredPartitionSpec& spec,
                                          const std::vector<PartitionEntry>& entries) {
  HR_RETURN_IF_ERROR(CheckEntries(entries));
  const PartitionRows rows = NumberedRows(entries.size());
  const CheckpointFileIdentity identity{
      .job_key_hash = Hash64(spec.name), .checkpoint_id = spec.version, .epoch = 0};
  HR_ASSIGN_OR_RETURN(
      auto writer,
      CheckpointFileWriter::Create(env->files(), spec.directory + "/" + spec.data_name, identity));
  const BlockOptions options{.kind = BlockKind::kBase,
                             .codec = spec.compression.codec,
                             .codec_level = spec.compression.level};
  const auto write = [&](const RowFieldWriter& fields) {
    return writer->Append(options, EncodeRowPartition(rows, sizeof(uint32_t), true, fields));
  };
  HR_ASSIGN_OR_RETURN(const BlockRef keys, write(KeyFields(entries)));
  HR_ASSIGN_OR_RETURN(const BlockRef values, write(ValueFields(entries)));
  HR_ASSIGN_OR_RETURN(const CheckpointFileSummary summary, writer->Finish());

  uint64_t key_bytes = 0, value_bytes = 0;
  for (const PartitionEntry& entry : entries) {
    key_bytes += entry.key.size();
    value_bytes += entry.value.size();
  }
  Manifest manifest;
  manifest.job_key = spec.name;
  manifest.id = spec.version;
  manifest.kind = CheckpointKind::kSavepoint;
  manifest.full = true;
  manifest.created_ms = env->NowMs();
  manifest.files = {{.name = spec.data_name,
                     .size_bytes = summary.size_bytes,
                     .digest = summary.digest,
                     .checkpoint = spec.version,
                     .key_id = {}}};
  OperatorManifest& op = manifest.operators.emplace_back();
  op.operator_id = op.name = spec.name;
  op.kind = kKind;
  op.keyed = true;
  op.registry = {{.name = kState,
                  .fingerprint = "value<object>",
                  .kind = TableKind::kRows,
                  .bytes = static_cast<int64_t>(value_bytes),
                  .rows = static_cast<int64_t>(entries.size())}};
  SubtaskManifest& subtask = op.subtasks.emplace_back();
  subtask.key_groups = {0, kDefaultMaxParallelism - 1};
  subtask.state_bytes = key_bytes + value_bytes;
  TableMeta key_table;
  key_table.name = kKeys;
  key_table.kind = TableKind::kDictionary;
  TableMeta value_table;
  value_table.name = kState;
  value_table.kind = TableKind::kRows;
  value_table.state_name = kState;
  value_table.fingerprint = "value<object>";
  value_table.dictionary = kKeys;
  subtask.tables = {TableOf(std::move(key_table), keys, entries.size(), key_bytes),
                    TableOf(std::move(value_table), values, entries.size(), value_bytes)};
  const std::string bytes = SerializeManifest(manifest);
  const std::string manifest_name = spec.name + ".manifest";
  HR_RETURN_IF_ERROR(PublishManifest(env->files(), spec.directory, manifest_name, bytes));
  return SavedPartition{
      .raw_bytes = keys.raw_bytes + values.raw_bytes,
      .stored_bytes = keys.block_bytes + values.block_bytes - 2 * kBlockHeaderBytes,
      .file_bytes = summary.size_bytes + bytes.size(),
      .files = {spec.data_name, manifest_name}};
}

Result<std::vector<PartitionEntry>> LoadStatePartition(Env* env, const std::string& path,
                                                       Manifest* manifest) {
  std::string directory;
  HR_ASSIGN_OR_RETURN(Manifest read, LoadManifest(env->files(), path, &directory));
  if (read.operators.size() != 1 || read.operators[0].kind != kKind) {
    return Status::FailedPrecondition("the checkpoint at " + path + " is not a state partition");
  }
  HR_RETURN_IF_ERROR(CheckFilesWhole(env->files(), read, directory));
  const std::string& id = read.operators[0].operator_id;
  RestoreTarget target;
  target.operator_id = target.name = id;
  target.kind = kKind;
  target.keyed = true;
  HR_ASSIGN_OR_RETURN(const auto plan,
                      RestorePlan::Make(env, read, directory, {target}, /*allow_dropped=*/false));
  HR_ASSIGN_OR_RETURN(StoredKeyedState stored, plan->KeyedStateFor(id, 0, 1));
  std::vector<PartitionEntry> entries;
  for (const auto& table : stored.subtasks.at(0).tables) {
    HR_ASSIGN_OR_RETURN(const std::vector<std::string> payloads, table->ReadPartition(0));
    HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                        MergePartition(table->meta().kind, 0, payloads));
    entries.resize(partition.rows.size());
    for (const StoredRow& row : partition.rows) {
      const bool keys = table->meta().kind == TableKind::kDictionary;
      const uint32_t number = keys ? row.row : row.key;
      if (number >= entries.size()) {
        return Status::Corruption("the state partition at " + path + " has no key number " +
                                  std::to_string(number));
      }
      (keys ? entries[number].key : entries[number].value) = row.value;
    }
  }
  if (manifest != nullptr) *manifest = std::move(read);
  return entries;
}

}  // namespace headrace
