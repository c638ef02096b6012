#include "headrace/checkpoint/checkpoint_rewriter.h"

#include <algorithm>
#include <utility>

#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/remote_directory.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/storage/safe_path.h"
#include "headrace/storage/synced_file.h"

namespace headrace {
namespace {

Status Move(const std::vector<const CheckpointRewriter::NewFile*>& replaced, TableManifest* table) {
  for (std::vector<PartitionRef>& chain : table->partitions) {
    for (PartitionRef& ref : chain) {
      const CheckpointRewriter::NewFile* file = replaced[ref.file];
      if (file == nullptr) continue;
      const auto found = file->blocks.find(ref.offset);
      if (found == file->blocks.end()) {
        return Status::Corruption("file " + file->manifest.name + " has no block for offset " +
                                  std::to_string(ref.offset) + " of the one it replaces");
      }
      ref.offset = found->second.offset;
      ref.stored_bytes = static_cast<uint32_t>(found->second.block_bytes);
      ref.raw_bytes = static_cast<uint32_t>(found->second.raw_bytes);
      ref.codec = found->second.codec;
      ref.digest = found->second.digest;
    }
  }
  return Status::Ok();
}

}  // namespace

// A manifest that a dead run's last request makes when its successor has gone on from another one
// does not count. Nobody can be told of what cannot be read: it stays, and is refused by its name.
Result<RemoteCheckpoints> RemoteCheckpoints::Of(FileSystem& files, RemoteDirectory* directory,
                                                const std::vector<std::string>& names) {
  RemoteCheckpoints remote;
  remote.directory = directory;
  std::map<CheckpointId, uint64_t> runs;
  std::set<std::string> outdated;
  for (const std::string& name : names) {
    const StoredName stored = ParseStoredName(name);
    remote.next = std::max(remote.next, stored.checkpoint + 1);
    if (stored.kind != StoredName::Kind::kManifest) continue;
    const Result<Manifest> manifest = ReadManifestFile(files, directory->PathOf(name));
    if (!manifest.ok()) continue;
    if (directory->IsVoid(*manifest)) {
      outdated.insert(name);
    } else {
      runs[manifest->id] = manifest->run_id;
    }
  }
  uint64_t newest_run = 0;
  for (const auto& [id, run] : runs) {
    if (run < newest_run) outdated.insert(ManifestName(id));
    newest_run = std::max(newest_run, run);
  }
  for (const std::string& name : names) {
    (outdated.contains(name) ? remote.outdated : remote.names).push_back(name);
  }
  return remote;
}

CheckpointRewriter::CheckpointRewriter(Env* env, std::string directory, uint64_t run,
                                       std::function<uint64_t()> next_number,
                                       RemoteCheckpoints remote)
    : env_(env),
      files_(env->files()),
      directory_(std::move(directory)),
      run_(run),
      next_number_(std::move(next_number)),
      remote_(std::move(remote)) {}

Result<std::vector<std::string>> CheckpointRewriter::Names() {
  if (remote_.directory == nullptr) return files_.List(directory_);
  return remote_.names;
}

Status CheckpointRewriter::Fetch(const Manifest& manifest) {
  if (remote_.directory == nullptr) return Status::Ok();
  HR_RETURN_IF_ERROR(remote_.directory->CheckFilesPresent(manifest));
  // Checkpoints share files.
  Manifest wanted;
  for (const FileManifest& file : manifest.files) {
    if (fetched_.insert(file.name).second) wanted.files.push_back(file);
  }
  return remote_.directory->Fetch(wanted);
}

Status CheckpointRewriter::Begin(CheckpointId newest) {
  if (remote_.directory == nullptr) return Status::Ok();
  return remote_.directory->Choose(newest, std::max(remote_.next, newest + 1));
}

Result<std::unique_ptr<CheckpointRewriter>> CheckpointRewriter::Lock(Env* env,
                                                                     const std::string& directory) {
  FileSystem& files = env->files();
  // Before anything is written into a directory that may be anybody's.
  HR_ASSIGN_OR_RETURN(std::vector<std::string> names, files.List(directory));
  if (std::none_of(names.begin(), names.end(), LooksLikeManifest)) {
    return Status::NotFound("directory " + directory + " holds no checkpoint");
  }
  HR_ASSIGN_OR_RETURN(auto lock, files.Lock(directory + "/LOCK"));
  HR_ASSIGN_OR_RETURN(names, files.List(directory));
  uint64_t run = 0;
  for (const std::string& name : names) run = std::max(run, ParseStoredName(name).run);
  ++run;
  HR_ASSIGN_OR_RETURN(auto marker, files.Create(directory + "/" + RunMarkerName(run)));
  HR_RETURN_IF_ERROR(marker->Sync());
  HR_RETURN_IF_ERROR(marker->Close());
  HR_RETURN_IF_ERROR(files.SyncDirectory(directory));
  auto rewriter = std::make_unique<CheckpointRewriter>(
      env, directory, run, [number = uint64_t{0}]() mutable { return ++number; });
  rewriter->lock_ = std::move(lock);
  return rewriter;
}

Result<const CheckpointRewriter::NewFile*> CheckpointRewriter::Rewrite(const Manifest& manifest,
                                                                       const FileManifest& file,
                                                                       const std::string& key_id,
                                                                       const Edit& edit) {
  const auto known = new_files_.find(file.name);
  if (known != new_files_.end()) return &known->second;
  HR_ASSIGN_OR_RETURN(const std::string old_path, JoinSafely(directory_, file.name));
  HR_ASSIGN_OR_RETURN(const auto reader, CheckpointFileReader::Open(files_, old_path));

  NewFile made;
  made.manifest = file;
  made.manifest.name = DataName(run_, file.checkpoint, 0, next_number_());
  made.manifest.key_id = key_id;
  const std::string path = PathOf(made.manifest.name);
  const CheckpointFileIdentity identity = IdentityOf(manifest, made.manifest);
  HR_ASSIGN_OR_RETURN(auto cipher, CipherFor(env_, key_id, path, identity));
  HR_ASSIGN_OR_RETURN(auto writer,
                      CheckpointFileWriter::Create(files_, path, identity, std::move(cipher)));
  HR_RETURN_IF_ERROR(reader->ForEachBlock(
      [&](uint64_t offset, const BlockHeader& header, const Block& block) -> Status {
        if (block.kind == BlockKind::kEnd) return Status::Ok();
        std::string payload = block.payload;
        HR_ASSIGN_OR_RETURN(const bool stays, edit(offset, &payload));
        if (!stays) return Status::Ok();
        // Compressed anew: the codec's level is not known, its default serves.
        HR_ASSIGN_OR_RETURN(made.blocks[offset],
                            writer->Append({.kind = block.kind, .codec = header.codec}, payload));
        return Status::Ok();
      }));
  HR_ASSIGN_OR_RETURN(const CheckpointFileSummary summary, writer->Finish());
  made.manifest.size_bytes = summary.size_bytes;
  made.manifest.digest = summary.digest;
  if (remote_.directory != nullptr) {
    to_upload_.push_back({made.manifest.name, made.manifest.digest});
  }
  ++files_written_;
  bytes_written_ += summary.size_bytes;
  return &new_files_.emplace(file.name, std::move(made)).first->second;
}

Status CheckpointRewriter::Replace(const std::vector<const NewFile*>& replaced,
                                   Manifest* manifest) {
  for (OperatorManifest& op : manifest->operators) {
    for (SubtaskManifest& subtask : op.subtasks) {
      for (TableManifest& table : subtask.tables) HR_RETURN_IF_ERROR(Move(replaced, &table));
    }
  }
  for (size_t i = 0; i < manifest->files.size(); ++i) {
    if (replaced[i] == nullptr) continue;
    old_files_.insert(manifest->files[i].name);
    manifest->files[i] = replaced[i]->manifest;
  }
  return Status::Ok();
}

Status CheckpointRewriter::Publish(const std::string& name, const Manifest& manifest) {
  std::string bytes = SerializeManifest(manifest);
  if (!manifest.key_id.empty()) {
    HR_ASSIGN_OR_RETURN(bytes, SealManifest(env_, manifest, manifest.key_id));
  }
  bytes_written_ += bytes.size();
  if (remote_.directory != nullptr) return PublishRemotely(name, bytes);
  const std::string temporary = PathOf(ManifestTemporaryName(manifest.id, run_, next_number_()));
  HR_RETURN_IF_ERROR(WriteSyncedFile(files_, temporary, bytes, !manifest.key_id.empty()));
  HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  return files_.Rename(temporary, PathOf(name));
}

Status CheckpointRewriter::PublishRemotely(const std::string& name, const std::string& bytes) {
  HR_RETURN_IF_ERROR(remote_.directory->UploadFiles(to_upload_));
  to_upload_.clear();
  HR_RETURN_IF_ERROR(remote_.directory->CheckFence());
  HR_RETURN_IF_ERROR(remote_.directory->ReplaceManifest(name, bytes));
  published_[name] = bytes;
  return Status::Ok();
}

Status CheckpointRewriter::FinishRemotely(const std::set<std::string>& others) {
  RemoteDirectory& remote = *remote_.directory;
  HR_RETURN_IF_ERROR(remote.CheckFence());
  for (const std::string& name : remote_.names) {
    if (!LooksLikeManifest(name)) continue;
    const auto published = published_.find(name);
    if (published != published_.end()) {
      HR_RETURN_IF_ERROR(remote.CheckContent(name, published->second));
      continue;
    }
    HR_ASSIGN_OR_RETURN(const std::string unchanged, files_.ReadAll(PathOf(name)));
    HR_RETURN_IF_ERROR(remote.CheckContent(name, unchanged));
  }
  // A manifest must not be left without its data.
  if (!remote_.outdated.empty()) HR_RETURN_IF_ERROR(remote.Delete(remote_.outdated));
  std::vector<std::string> gone(old_files_.begin(), old_files_.end());
  gone.insert(gone.end(), others.begin(), others.end());
  if (!gone.empty()) HR_RETURN_IF_ERROR(remote.Delete(gone));
  return remote.RemoveTemporaries();
}

Status CheckpointRewriter::Finish(const std::set<std::string>& others) {
  if (remote_.directory != nullptr) return FinishRemotely(others);
  HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
  for (const std::string& name : old_files_) HR_RETURN_IF_ERROR(files_.Remove(PathOf(name)));
  for (const std::string& name : others) HR_RETURN_IF_ERROR(files_.Remove(PathOf(name)));
  return Status::Ok();
}

}  // namespace headrace
