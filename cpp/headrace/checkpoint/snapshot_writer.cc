#include "headrace/checkpoint/snapshot_writer.h"

#include <map>
#include <mutex>
#include <utility>

#include "headrace/checkpoint/protocol.h"
#include "headrace/storage/checkpoint_file.h"

namespace headrace {
namespace {

using FilePtr = std::shared_ptr<FileManifest>;

// PartitionRef::file is set only when a manifest part is made.
struct ChainLink {
  FilePtr file;
  PartitionRef ref;
};
using Chain = std::vector<ChainLink>;

struct TableChains {
  CheckpointId checkpoint = 0;  // the last one that extended a chain
  std::vector<Chain> partitions;
};
using TableChainsPtr = std::shared_ptr<const TableChains>;
using SubtaskChains = std::map<std::string, TableChainsPtr>;
using SubtaskKey = std::pair<std::string, int>;

ChainFacts FactsOf(const Chain& chain) {
  ChainFacts facts;
  for (const ChainLink& link : chain) {
    if (link.ref.whole) {
      facts = {.has_base = true, .base_raw_bytes = link.ref.raw_bytes};
    } else {
      facts.delta_raw_bytes += link.ref.raw_bytes;
      ++facts.deltas;
    }
  }
  return facts;
}

// Numbers the files of a manifest part in the order of their first use, the new one first.
class FileIndex {
 public:
  explicit FileIndex(std::vector<FileManifest>* files) : files_(files) {}

  uint32_t Of(const FilePtr& file) {
    const auto [found, added] = numbers_.try_emplace(file->name, files_->size());
    if (added) files_->push_back(*file);
    return static_cast<uint32_t>(found->second);
  }

 private:
  std::vector<FileManifest>* files_;
  std::map<std::string, size_t> numbers_;
};

// The one file of a task and checkpoint; created with the first block.
class TaskFile {
 public:
  TaskFile(Env* env, CheckpointStore* store, CheckpointId id, int task)
      : env_(env), store_(store), id_(id), task_(task) {}

  Result<ChainLink> Append(const PartitionImage& image, const Compression& compression) {
    if (!writer_) HR_RETURN_IF_ERROR(Create());
    const BlockOptions options{.kind = image.whole ? BlockKind::kBase : BlockKind::kDelta,
                               .codec = compression.codec,
                               .codec_level = compression.level};
    HR_ASSIGN_OR_RETURN(const BlockRef block, writer_->Append(options, image.payload));
    return ChainLink{.file = file_,
                     .ref = {.file = 0,
                             .offset = block.offset,
                             .stored_bytes = static_cast<uint32_t>(block.block_bytes),
                             .raw_bytes = static_cast<uint32_t>(block.raw_bytes),
                             .whole = image.whole,
                             .codec = block.codec,
                             .digest = block.digest}};
  }

  // Afterwards the content survives power loss; the name does once the store commits.
  Status Finish() {
    if (!writer_) return Status::Ok();
    HR_ASSIGN_OR_RETURN(const CheckpointFileSummary summary, writer_->Finish());
    file_->size_bytes = summary.size_bytes;
    file_->digest = summary.digest;
    return Status::Ok();
  }

  const FilePtr& file() const { return file_; }  // null when nothing was written

 private:
  Status Create() {
    FileManifest file;
    file.name = store_->DataFileName(id_, task_);
    file.checkpoint = id_;
    const CheckpointFileIdentity identity{.job_key_hash = Hash64(store_->options().job_key),
                                          .checkpoint_id = id_,
                                          .epoch = store_->run_id()};
    const std::string path = store_->job_directory() + "/" + file.name;
    file.key_id = store_->options().key_id;
    HR_ASSIGN_OR_RETURN(auto cipher, CipherFor(env_, file.key_id, path, identity));
    HR_ASSIGN_OR_RETURN(
        writer_, CheckpointFileWriter::Create(env_->files(), path, identity, std::move(cipher)));
    file_ = std::make_shared<FileManifest>(std::move(file));
    return Status::Ok();
  }

  Env* env_;
  CheckpointStore* store_;
  CheckpointId id_;
  int task_;
  std::unique_ptr<CheckpointFileWriter> writer_;
  FilePtr file_;
};

bool Untouched(const TableSnapshot& table) {
  return !table.full() && table.ChangedPartitions().empty();
}

Status WritePartition(TableSnapshot* table, uint32_t index, const Compression& compression,
                      Chain* chain, TaskFile* file, WrittenTask* written) {
  const bool want_whole = table->full() || WantsWhole(FactsOf(*chain));
  PartitionImage image;
  HR_RETURN_IF_ERROR(table->ReadPartition(index, want_whole, &image));
  if (image.payload.empty()) {
    if (image.whole && image.live_rows == 0) chain->clear();
    return Status::Ok();
  }
  if (image.whole) {
    chain->clear();
  } else if (want_whole) {
    return Status::Internal("partition " + std::to_string(index) +
                            " gave changed rows where it was asked for all");
  }
  HR_ASSIGN_OR_RETURN(ChainLink link, file->Append(image, compression));
  chain->push_back(std::move(link));
  ++written->partitions_written;
  written->raw_bytes += image.payload.size();
  written->rows_written += image.whole ? image.live_rows : image.changed_rows;
  return Status::Ok();
}

// The chains after this snapshot; `before` is null for a table not seen yet.
Result<TableChainsPtr> WriteTable(CheckpointId id, TableSnapshot* table,
                                  const Compression& compression, const TableChainsPtr& before,
                                  const std::function<bool()>& still_wanted, TaskFile* file,
                                  WrittenTask* written) {
  if (!table->full() && !before) {
    return Status::Internal(
        "it tells what changed since a snapshot that this writer does not know");
  }
  if (Untouched(*table)) return before;
  auto after =
      table->full() ? std::make_shared<TableChains>() : std::make_shared<TableChains>(*before);
  after->checkpoint = id;
  after->partitions.resize(table->partition_count());
  for (const uint32_t index : table->ChangedPartitions()) {
    if (still_wanted && !still_wanted()) return Status::Cancelled("it was given up");
    if (index >= after->partitions.size()) {
      return Status::Internal("changed partition " + std::to_string(index) + " of " +
                              std::to_string(after->partitions.size()));
    }
    HR_RETURN_IF_ERROR(
        WritePartition(table, index, compression, &after->partitions[index], file, written));
  }
  return TableChainsPtr(std::move(after));
}

TableManifest DescribeTable(const TableSnapshot& table, const TableChains& chains,
                            FileIndex* files) {
  TableManifest manifest;
  manifest.meta = table.meta();
  manifest.live_bytes = table.live_bytes();
  manifest.partitions.reserve(chains.partitions.size());
  for (const Chain& chain : chains.partitions) {
    std::vector<PartitionRef>& refs = manifest.partitions.emplace_back();
    refs.reserve(chain.size());
    for (const ChainLink& link : chain) {
      refs.push_back(link.ref);
      refs.back().file = files->Of(link.file);
    }
  }
  return manifest;
}

SubtaskManifest DescribeSubtask(const OperatorSnapshot& op, const SubtaskChains& chains,
                                FileIndex* files) {
  SubtaskManifest subtask;
  subtask.index = op.subtask_index;
  if (op.key_groups) subtask.key_groups = *op.key_groups;
  subtask.finished = op.finished;
  if (!op.operator_state.lists().empty()) subtask.operator_state = op.operator_state.Encode();
  subtask.state_bytes = subtask.operator_state.size();
  for (const auto& table : op.keyed.tables) {
    subtask.tables.push_back(DescribeTable(*table, *chains.at(table->meta().name), files));
    subtask.state_bytes += table->live_bytes();
  }
  return subtask;
}

}  // namespace

struct SnapshotWriter::Impl {
  Env* env = nullptr;
  std::shared_ptr<CheckpointStore> store;

  std::mutex mutex;
  std::map<SubtaskKey, SubtaskChains> chains;  // guarded by `mutex`

  SubtaskChains ChainsOf(const SubtaskKey& key) {
    const std::lock_guard<std::mutex> guard(mutex);
    const auto found = chains.find(key);
    return found == chains.end() ? SubtaskChains() : found->second;
  }

  // Of the tables that a failed or aborted write touched: they are full next time, and if they were
  // not, a stale chain would be silent damage where a missing one is an error.
  void Forget(const std::vector<OperatorSnapshot>& operators) {
    const std::lock_guard<std::mutex> guard(mutex);
    for (const OperatorSnapshot& op : operators) {
      const auto found = chains.find({op.operator_id, op.subtask_index});
      if (found == chains.end()) continue;
      for (const auto& table : op.keyed.tables) {
        if (!Untouched(*table)) found->second.erase(table->meta().name);
      }
    }
  }

  Result<WrittenTask> Write(CheckpointId id, const TaskSnapshot& snapshot,
                            const std::function<bool()>& still_wanted);
};

Result<WrittenTask> SnapshotWriter::Impl::Write(CheckpointId id, const TaskSnapshot& snapshot,
                                                const std::function<bool()>& still_wanted) {
  WrittenTask written;
  TaskFile file(env, store.get(), id, snapshot.task);
  std::vector<SubtaskChains> after(snapshot.operators.size());
  for (size_t i = 0; i < snapshot.operators.size(); ++i) {
    const OperatorSnapshot& op = snapshot.operators[i];
    const SubtaskChains before = ChainsOf({op.operator_id, op.subtask_index});
    for (const auto& table : op.keyed.tables) {
      const std::string& name = table->meta().name;
      const auto known = before.find(name);
      auto chains_of_table = WriteTable(
          id, table.get(), store->options().CompressionOf(op.operator_id, table->meta()),
          known == before.end() ? nullptr : known->second, still_wanted, &file, &written);
      if (!chains_of_table.ok()) {
        return chains_of_table.status().WithContext("operator '" + op.name + "' (subtask " +
                                                    std::to_string(op.subtask_index) +
                                                    "), table '" + name + "'");
      }
      if (!after[i].emplace(name, std::move(chains_of_table).value()).second) {
        return Status::Internal("operator '" + op.name + "' has two tables named '" + name + "'");
      }
    }
  }
  HR_RETURN_IF_ERROR(file.Finish());

  FileIndex files(&written.files);
  if (file.file()) {
    files.Of(file.file());
    written.bytes_written = file.file()->size_bytes;
  }
  for (size_t i = 0; i < snapshot.operators.size(); ++i) {
    const OperatorSnapshot& op = snapshot.operators[i];
    written.parts.push_back(
        {.operator_id = op.operator_id, .subtask = DescribeSubtask(op, after[i], &files)});
  }
  const std::lock_guard<std::mutex> guard(mutex);
  for (size_t i = 0; i < snapshot.operators.size(); ++i) {
    const OperatorSnapshot& op = snapshot.operators[i];
    chains[{op.operator_id, op.subtask_index}] = std::move(after[i]);
  }
  return written;
}

SnapshotWriter::SnapshotWriter(Env* env, CheckpointStore* store) : impl_(std::make_shared<Impl>()) {
  impl_->env = env;
  impl_->store = store->Share();
}

SnapshotWriter::~SnapshotWriter() = default;

Result<WrittenTask> SnapshotWriter::Write(CheckpointId id, TaskSnapshot* snapshot,
                                          const std::function<bool()>& still_wanted) {
  Result<WrittenTask> written = impl_->Write(id, *snapshot, still_wanted);
  if (!written.ok()) impl_->Forget(snapshot->operators);
  return written;
}

void SnapshotWriter::Seed(const Manifest& manifest, const std::vector<std::string>& operator_ids) {
  if (!impl_->store->Holds(manifest)) return;
  std::vector<FilePtr> files;
  for (const FileManifest& file : manifest.files) {
    files.push_back(std::make_shared<FileManifest>(file));
  }
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  for (const std::string& operator_id : operator_ids) {
    const OperatorManifest* op = manifest.Find(operator_id);
    if (op == nullptr) continue;
    for (const SubtaskManifest& subtask : op->subtasks) {
      SubtaskChains chains;
      for (const TableManifest& table : subtask.tables) {
        auto seeded = std::make_shared<TableChains>();
        seeded->checkpoint = manifest.id;
        for (const std::vector<PartitionRef>& refs : table.partitions) {
          Chain& chain = seeded->partitions.emplace_back();
          for (const PartitionRef& ref : refs) {
            chain.push_back({.file = files[ref.file], .ref = ref});
          }
        }
        chains.emplace(table.meta.name, std::move(seeded));
      }
      impl_->chains[{operator_id, subtask.index}] = std::move(chains);
    }
  }
}

void SnapshotWriter::OnAborted(CheckpointId id) {
  const std::lock_guard<std::mutex> guard(impl_->mutex);
  for (auto& [key, tables] : impl_->chains) {
    std::erase_if(tables, [id](const auto& table) { return table.second->checkpoint == id; });
  }
}

void SnapshotWriter::FinishTables(TaskSnapshot* snapshot) {
  for (OperatorSnapshot& op : snapshot->operators) {
    for (const auto& table : op.keyed.tables) table->Finish();
  }
}

}  // namespace headrace
