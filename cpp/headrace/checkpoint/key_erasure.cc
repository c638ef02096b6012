#include "headrace/checkpoint/key_erasure.h"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "headrace/checkpoint/checkpoint_rewriter.h"
#include "headrace/checkpoint/erased_rows.h"
#include "headrace/checkpoint/open_data_files.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/state/key_group.h"
#include "headrace/state/partition_codec.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/safe_path.h"

namespace headrace {
namespace {

constexpr std::string_view kKeysTable = "keys";

struct StoredManifest {
  std::string name;
  Manifest manifest;
  bool changed = false;
};

class Erasing {
 public:
  Erasing(Env* env, CheckpointRewriter* rewriter, const KeyErasure& erasure)
      : files_(env->files()),
        rewriter_(rewriter),
        erasure_(erasure),
        data_files_(env->files(), rewriter->directory()) {}

  Result<ErasureReport> Run() {
    HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, rewriter_->Names());
    HR_RETURN_IF_ERROR(ReadManifests(names));
    HR_RETURN_IF_ERROR(FindRows());
    FindNamedBlocks();
    CheckpointId newest = 0;
    for (const StoredManifest& stored : manifests_) newest = std::max(newest, stored.manifest.id);
    HR_RETURN_IF_ERROR(rewriter_->Begin(newest));
    for (StoredManifest& stored : manifests_) {
      HR_RETURN_IF_ERROR(RewriteFiles(&stored).WithContext("file " + stored.name));
    }
    HR_RETURN_IF_ERROR(rewriter_->Finish(Leftovers(names)));
    report_.files = rewriter_->files_written();
    report_.bytes = rewriter_->bytes_written();
    return report_;
  }

 private:
  // One partition of one table, by all that checkpoints call it.
  using Partition = std::tuple<std::string, int, std::string, uint32_t>;
  struct Chain {
    StoredManifest* stored;
    OperatorManifest* op;
    SubtaskManifest* subtask;
    TableManifest* table;
    uint32_t partition;
  };
  using IdKey = std::tuple<const StoredManifest*, std::string, int, std::string>;

  // All of them, and every byte of what they name: nothing is changed where anything is damaged.
  Status ReadManifests(const std::vector<std::string>& names) {
    bool has_operator = erasure_.operator_id.empty();
    for (const std::string& name : names) {
      if (!LooksLikeManifest(name)) continue;
      HR_ASSIGN_OR_RETURN(Manifest manifest, ReadManifestFile(files_, rewriter_->PathOf(name)));
      HR_RETURN_IF_ERROR(rewriter_->Fetch(manifest));
      HR_RETURN_IF_ERROR(CheckFilesWhole(files_, manifest, rewriter_->directory()));
      has_operator = has_operator || manifest.Find(erasure_.operator_id) != nullptr;
      manifests_.push_back({.name = name, .manifest = std::move(manifest)});
    }
    if (manifests_.empty()) {
      return Status::NotFound("directory " + rewriter_->directory() + " holds no checkpoint");
    }
    if (has_operator) return Status::Ok();
    std::string known;
    for (const OperatorManifest& op : manifests_.back().manifest.operators) {
      known += (known.empty() ? "'" : ", '") + op.operator_id + "'";
    }
    return Status::NotFound("no checkpoint in " + rewriter_->directory() + " has operator '" +
                            erasure_.operator_id + "'; there are " + known);
  }

  // Whether the subtask has, or would have, the key.
  bool MayHold(const OperatorManifest& op, const SubtaskManifest& subtask) const {
    return op.keyed && subtask.key_groups.Contains(KeyGroupOf(erasure_.key, op.max_parallelism));
  }

  Status FindRows() {
    std::map<Partition, std::vector<Chain>> partitions;
    for (StoredManifest& stored : manifests_) {
      for (OperatorManifest& op : stored.manifest.operators) {
        const bool asked = erasure_.operator_id.empty() || erasure_.operator_id == op.operator_id;
        for (SubtaskManifest& subtask : op.subtasks) {
          if (!MayHold(op, subtask)) continue;
          // Whatever its task wrote: a block that nobody names any more may be of any operator.
          tasks_.emplace(&stored, subtask.index);
          for (TableManifest& table : subtask.tables) {
            for (uint32_t i = 0; asked && i < table.partitions.size(); ++i) {
              if (table.partitions[i].empty()) continue;
              partitions[{op.operator_id, subtask.index, table.meta.name, i}].push_back(
                  {&stored, &op, &subtask, &table, i});
            }
          }
        }
      }
    }
    for (const auto& [partition, chains] : partitions) {
      const Status found = FindRowsOf(chains);
      if (!found.ok()) {
        return found.WithContext("operator '" + chains[0].op->name + "' (subtask " +
                                 std::to_string(chains[0].subtask->index) + "), table '" +
                                 chains[0].table->meta.name + "'");
      }
    }
    return Status::Ok();
  }

  Status FindRowsOf(const std::vector<Chain>& chains) {
    const TableMeta& meta = chains[0].table->meta;
    PartitionErasure found(meta.kind, meta.row_bytes, erasure_.key);
    PartitionErasure::Payloads payloads;
    for (const Chain& chain : chains) {
      if (chain.table->meta.kind != meta.kind || chain.table->meta.row_bytes != meta.row_bytes) {
        return Status::Corruption("two checkpoints say that it holds different things");
      }
      std::vector<PartitionErasure::Place> places;
      for (const PartitionRef& ref : chain.table->partitions[chain.partition]) {
        const std::string& file = chain.stored->manifest.files[ref.file].name;
        places.emplace_back(file, ref.offset);
        if (payloads.contains(places.back())) continue;
        HR_ASSIGN_OR_RETURN(Block block, data_files_.Read(file, ref));
        payloads[places.back()] = std::move(block.payload);
      }
      HR_ASSIGN_OR_RETURN(const std::optional<uint32_t> id, IdIn(chain));
      HR_ASSIGN_OR_RETURN(const ErasedCount count, found.AddChain(places, payloads, id));
      Discount(chain, count);
    }
    for (auto& [place, rows] : found.Finish()) erased_[place] = std::move(rows);
    return Status::Ok();
  }

  // What the checkpoint's own dictionary calls the key; every dictionary is read once.
  Result<std::optional<uint32_t>> IdIn(const Chain& chain) {
    const std::string& dictionary = chain.table->meta.dictionary;
    if (dictionary.empty()) return std::optional<uint32_t>();
    const IdKey wanted{chain.stored, chain.op->operator_id, chain.subtask->index, dictionary};
    const auto known = ids_.find(wanted);
    if (known != ids_.end()) return known->second;
    std::optional<uint32_t> id;
    for (const TableManifest& table : chain.subtask->tables) {
      if (table.meta.name != dictionary) continue;
      for (const std::vector<PartitionRef>& refs : table.partitions) {
        std::vector<std::string> payloads;
        for (const PartitionRef& ref : refs) {
          const std::string& file = chain.stored->manifest.files[ref.file].name;
          HR_ASSIGN_OR_RETURN(Block block, data_files_.Read(file, ref));
          payloads.push_back(std::move(block.payload));
        }
        HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                            MergePartition(table.meta.kind, table.meta.row_bytes, payloads));
        for (const StoredRow& row : partition.rows) {
          if (row.value == erasure_.key) id = row.row;
        }
      }
    }
    ids_.emplace(wanted, id);
    return id;
  }

  // The manifest's own counts of a table and its state.
  void Discount(const Chain& chain, const ErasedCount& count) {
    if (count.rows == 0) return;
    report_.rows += static_cast<uint64_t>(count.rows);
    chain.stored->changed = true;
    const auto take = [&](auto* number, int64_t amount) {
      using Number = std::remove_pointer_t<decltype(number)>;
      *number -= std::min(*number, static_cast<Number>(amount));
    };
    take(&chain.table->live_bytes, count.bytes);
    take(&chain.subtask->state_bytes, count.bytes);
    const TableMeta& meta = chain.table->meta;
    const std::string_view name = meta.kind == TableKind::kDictionary ? kKeysTable
                                  : meta.state_name.empty()           ? std::string_view(meta.name)
                                                            : std::string_view(meta.state_name);
    for (StateRegistration& state : chain.op->registry) {
      if (state.name != name) continue;
      take(&state.rows, count.rows);
      take(&state.bytes, count.bytes);
    }
  }

  // The offsets of the blocks of a file that any checkpoint names.
  void FindNamedBlocks() {
    for (const StoredManifest& stored : manifests_) {
      for (const FileManifest& file : stored.manifest.files) named_[file.name];
      for (const OperatorManifest& op : stored.manifest.operators) {
        for (const SubtaskManifest& subtask : op.subtasks) {
          const bool of_task = tasks_.contains({&stored, subtask.index});
          for (const TableManifest& table : subtask.tables) {
            for (const std::vector<PartitionRef>& chain : table.partitions) {
              for (const PartitionRef& ref : chain) {
                const std::string& file = stored.manifest.files[ref.file].name;
                named_[file].insert(ref.offset);
                if (of_task) suspects_.insert(file);
              }
            }
          }
        }
      }
    }
  }

  Result<bool> MustGo(const std::string& file) {
    const auto first = erased_.lower_bound({file, 0});
    if (first != erased_.end() && first->first.first == file) return true;
    const std::set<uint64_t>& named = named_[file];
    if (!suspects_.contains(file) && !named.empty()) return false;
    HR_ASSIGN_OR_RETURN(const std::string path, JoinSafely(rewriter_->directory(), file));
    HR_ASSIGN_OR_RETURN(const auto reader, CheckpointFileReader::Open(files_, path));
    bool unnamed = false;
    HR_RETURN_IF_ERROR(
        reader->ForEachBlock([&](uint64_t offset, const BlockHeader&, const Block& block) {
          unnamed = unnamed || (block.kind != BlockKind::kEnd && !named.contains(offset));
          return Status::Ok();
        }));
    return unnamed;
  }

  Status RewriteFiles(StoredManifest* stored) {
    Manifest& manifest = stored->manifest;
    std::vector<const CheckpointRewriter::NewFile*> replaced(manifest.files.size(), nullptr);
    for (size_t i = 0; i < manifest.files.size(); ++i) {
      const FileManifest& file = manifest.files[i];
      HR_ASSIGN_OR_RETURN(const bool must_go, MustGo(file.name));
      if (!must_go) continue;
      const std::set<uint64_t>& named = named_[file.name];
      const auto edit = [&](uint64_t offset, std::string* payload) -> Result<bool> {
        if (!named.contains(offset)) return false;
        const auto rows = erased_.find({file.name, offset});
        if (rows == erased_.end()) return true;
        HR_ASSIGN_OR_RETURN(*payload, WithoutRows(rows->second, *payload));
        return true;
      };
      HR_ASSIGN_OR_RETURN(replaced[i], rewriter_->Rewrite(manifest, file, file.key_id, edit));
      stored->changed = true;
    }
    if (!stored->changed) return Status::Ok();
    HR_RETURN_IF_ERROR(rewriter_->Replace(replaced, &manifest));
    ++report_.checkpoints;
    return rewriter_->Publish(stored->name, manifest);
  }

  // Data files that were there before and belong to no checkpoint, and what publishing left.
  std::set<std::string> Leftovers(const std::vector<std::string>& names) {
    std::set<std::string> leftovers;
    for (const std::string& name : names) {
      const StoredName::Kind kind = ParseStoredName(name).kind;
      const bool data = kind == StoredName::Kind::kData && !named_.contains(name);
      report_.removed += data;
      if (data || kind == StoredName::Kind::kManifestTemporary) leftovers.insert(name);
    }
    return leftovers;
  }

  FileSystem& files_;
  CheckpointRewriter* const rewriter_;
  const KeyErasure& erasure_;
  OpenDataFiles data_files_;
  std::list<StoredManifest> manifests_;                    // by address in what follows
  std::set<std::pair<const StoredManifest*, int>> tasks_;  // that may have written the key
  std::map<IdKey, std::optional<uint32_t>> ids_;
  std::map<PartitionErasure::Place, ErasedRows> erased_;
  std::map<std::string, std::set<uint64_t>> named_;  // by file, before anything is rewritten
  std::set<std::string> suspects_;                   // files that tasks_ wrote
  ErasureReport report_;
};

}  // namespace

Result<ErasureReport> EraseKey(Env* env, const std::string& directory, const KeyErasure& erasure) {
  HR_ASSIGN_OR_RETURN(const auto rewriter, CheckpointRewriter::Lock(env, directory));
  return Erasing(env, rewriter.get(), erasure).Run();
}

Result<ErasureReport> EraseKey(Env* env, CheckpointRewriter* rewriter, const KeyErasure& erasure) {
  return Erasing(env, rewriter, erasure).Run();
}

}  // namespace headrace
