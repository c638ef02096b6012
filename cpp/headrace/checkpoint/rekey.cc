#include "headrace/checkpoint/rekey.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/checkpoint_file.h"
#include "headrace/storage/key_ring.h"
#include "headrace/storage/safe_path.h"

namespace headrace {
namespace {

class Rekeying {
 public:
  Rekeying(Env* env, std::string directory, std::string key_id)
      : env_(env),
        files_(env->files()),
        directory_(std::move(directory)),
        key_id_(std::move(key_id)) {}

  Result<RekeyReport> Run() {
    HR_ASSIGN_OR_RETURN(const auto lock, files_.Lock(PathOf("LOCK")));
    HR_ASSIGN_OR_RETURN(const std::vector<std::string> names, files_.List(directory_));
    HR_RETURN_IF_ERROR(BeginRun(names));
    std::vector<std::string> manifests;
    for (const std::string& name : names) {
      if (ParseStoredName(name).kind == StoredName::Kind::kManifest) manifests.push_back(name);
    }
    if (manifests.empty()) {
      return Status::NotFound("directory " + directory_ + " holds no checkpoint");
    }
    for (const std::string& name : manifests) HR_RETURN_IF_ERROR(RewriteCheckpoint(name));
    HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
    HR_RETURN_IF_ERROR(RemoveOldFiles());
    return report_;
  }

 private:
  // A data file written anew, and where its blocks lie now.
  struct NewFile {
    FileManifest manifest;
    std::map<uint64_t, BlockRef> blocks;  // by their former offset
  };

  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }

  // New data files are of a run of their own, as a job's are, so that no name is used twice.
  Status BeginRun(const std::vector<std::string>& names) {
    for (const std::string& name : names) run_ = std::max(run_, ParseStoredName(name).run);
    ++run_;
    HR_ASSIGN_OR_RETURN(auto marker, files_.Create(PathOf(RunMarkerName(run_))));
    HR_RETURN_IF_ERROR(marker->Sync());
    HR_RETURN_IF_ERROR(marker->Close());
    return files_.SyncDirectory(directory_);
  }

  Status RewriteCheckpoint(const std::string& name) {
    HR_ASSIGN_OR_RETURN(Manifest manifest, ReadManifestFile(files_, PathOf(name)));
    HR_RETURN_IF_ERROR(CheckFilesWhole(files_, manifest, directory_));
    bool same = manifest.key_id == key_id_;
    std::vector<const NewFile*> replaced(manifest.files.size(), nullptr);
    for (size_t i = 0; i < manifest.files.size(); ++i) {
      if (manifest.files[i].key_id == key_id_) continue;
      same = false;
      HR_ASSIGN_OR_RETURN(replaced[i], Rewritten(manifest, static_cast<uint32_t>(i)));
    }
    if (same) return Status::Ok();
    for (OperatorManifest& op : manifest.operators) {
      for (SubtaskManifest& subtask : op.subtasks) {
        for (TableManifest& table : subtask.tables) HR_RETURN_IF_ERROR(Move(replaced, &table));
      }
    }
    for (size_t i = 0; i < manifest.files.size(); ++i) {
      if (replaced[i] == nullptr) continue;
      old_files_.insert(manifest.files[i].name);
      manifest.files[i] = replaced[i]->manifest;
    }
    ++report_.checkpoints;
    return Publish(name, manifest);
  }

  static Status Move(const std::vector<const NewFile*>& replaced, TableManifest* table) {
    for (std::vector<PartitionRef>& chain : table->partitions) {
      for (PartitionRef& ref : chain) {
        const NewFile* file = replaced[ref.file];
        if (file == nullptr) continue;
        const auto found = file->blocks.find(ref.offset);
        if (found == file->blocks.end()) {
          return Status::Corruption("file " + file->manifest.name + " has no block for offset " +
                                    std::to_string(ref.offset) + " of the one it replaces");
        }
        ref.offset = found->second.offset;
        ref.stored_bytes = static_cast<uint32_t>(found->second.block_bytes);
        ref.digest = found->second.digest;
      }
    }
    return Status::Ok();
  }

  // Files are shared by checkpoints and written once.
  Result<const NewFile*> Rewritten(const Manifest& manifest, uint32_t index) {
    const FileManifest& old = manifest.files[index];
    const auto known = new_files_.find(old.name);
    if (known != new_files_.end()) return &known->second;
    HR_ASSIGN_OR_RETURN(const std::string old_path, JoinSafely(directory_, old.name));
    HR_ASSIGN_OR_RETURN(const auto reader, CheckpointFileReader::Open(files_, old_path));

    NewFile made;
    made.manifest = old;
    made.manifest.name = DataName(run_, old.checkpoint, 0, ++counter_);
    made.manifest.key_id = key_id_;
    const std::string path = PathOf(made.manifest.name);
    const CheckpointFileIdentity identity = IdentityOf(manifest, made.manifest);
    HR_ASSIGN_OR_RETURN(auto cipher, CipherFor(env_, key_id_, path, identity));
    HR_ASSIGN_OR_RETURN(auto writer,
                        CheckpointFileWriter::Create(files_, path, identity, std::move(cipher)));
    HR_RETURN_IF_ERROR(reader->ForEachBlock(
        [&](uint64_t offset, const BlockHeader& header, const Block& block) -> Status {
          if (block.kind == BlockKind::kEnd) return Status::Ok();
          // Compressed anew: the codec's level is not known, its default serves.
          HR_ASSIGN_OR_RETURN(
              made.blocks[offset],
              writer->Append({.kind = block.kind, .codec = header.codec}, block.payload));
          return Status::Ok();
        }));
    HR_ASSIGN_OR_RETURN(const CheckpointFileSummary summary, writer->Finish());
    made.manifest.size_bytes = summary.size_bytes;
    made.manifest.digest = summary.digest;
    ++report_.files;
    report_.bytes += summary.size_bytes;
    return &new_files_.emplace(old.name, std::move(made)).first->second;
  }

  Status Publish(const std::string& name, const Manifest& manifest) {
    std::string bytes = SerializeManifest(manifest);
    if (!key_id_.empty()) {
      HR_ASSIGN_OR_RETURN(bytes, SealManifest(env_, manifest, key_id_));
    }
    const std::string temporary = PathOf(ManifestTemporaryName(manifest.id, run_, ++counter_));
    auto created = key_id_.empty() ? files_.Create(temporary) : files_.CreatePrivate(temporary);
    HR_ASSIGN_OR_RETURN(auto file, std::move(created));
    HR_RETURN_IF_ERROR(file->Append(bytes));
    HR_RETURN_IF_ERROR(file->Sync());
    HR_RETURN_IF_ERROR(file->Close());
    HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
    report_.bytes += bytes.size();
    return files_.Rename(temporary, PathOf(name));
  }

  Status RemoveOldFiles() {
    for (const std::string& name : old_files_) HR_RETURN_IF_ERROR(files_.Remove(PathOf(name)));
    return Status::Ok();
  }

  Env* const env_;
  FileSystem& files_;
  const std::string directory_;
  const std::string key_id_;
  uint64_t run_ = 0;
  uint64_t counter_ = 0;
  std::map<std::string, NewFile> new_files_;  // by the old name
  std::set<std::string> old_files_;
  RekeyReport report_;
};

}  // namespace

Result<RekeyReport> RekeyCheckpoints(Env* env, const std::string& directory,
                                     const std::string& key_id) {
  if (!key_id.empty()) {
    HR_RETURN_IF_ERROR(CheckKeyId(key_id));
    HR_RETURN_IF_ERROR(KeyRing::Process().Find(key_id).status());
  }
  return Rekeying(env, directory, key_id).Run();
}

}  // namespace headrace
