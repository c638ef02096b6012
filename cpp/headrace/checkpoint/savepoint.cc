#include "headrace/checkpoint/savepoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/storage/safe_path.h"

namespace headrace {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

// Writes the files of one savepoint into its directory, and takes them away again.
class SavepointWriter {
 public:
  SavepointWriter(Env* env, std::string directory, const std::function<bool()>& still_wanted)
      : env_(env),
        files_(env->files()),
        directory_(std::move(directory)),
        still_wanted_(still_wanted) {}

  Status Write(const Manifest& manifest, const std::string& from) {
    for (const FileManifest& file : manifest.files) HR_RETURN_IF_ERROR(Copy(file, from));
    HR_RETURN_IF_ERROR(files_.SyncDirectory(directory_));
    Manifest own = manifest;
    own.kind = CheckpointKind::kSavepoint;
    own.parent_digest = {};
    own.renames.clear();
    const std::string temporary = std::string(kSavepointManifest) + ".tmp";
    std::string bytes = SerializeManifest(own);
    if (!own.key_id.empty()) {
      HR_ASSIGN_OR_RETURN(bytes, SealManifest(env_, own, own.key_id));
    }
    HR_RETURN_IF_ERROR(WriteFile(temporary, bytes, !own.key_id.empty()));
    renamed_ = true;
    HR_RETURN_IF_ERROR(files_.Rename(PathOf(temporary), PathOf(kSavepointManifest)));
    return files_.SyncDirectory(directory_);
  }

  // The manifest first, and durably: power that fails in between must not leave a manifest whose
  // files are gone. Where it cannot be taken away all files stay, they are a savepoint then.
  void RemoveAll() {
    if (renamed_) {
      // A rename that was answered with an error may have been done all the same.
      const Result<FileStatus> manifest = files_.Stat(PathOf(kSavepointManifest));
      if (!manifest.ok()) return;
      if (manifest->exists) {
        if (!files_.Remove(PathOf(kSavepointManifest)).ok()) return;
        written_.pop_back();
      }
      if (!files_.SyncDirectory(directory_).ok()) return;
    }
    std::reverse(written_.begin(), written_.end());
    bool gone = true;
    for (const std::string& name : written_) gone = files_.Remove(PathOf(name)).ok() && gone;
    if (gone && !files_.Remove(directory_).ok()) return;
  }

 private:
  std::string PathOf(const std::string& name) const { return directory_ + "/" + name; }

  Result<std::unique_ptr<WritableFile>> Create(const std::string& name, bool encrypted) {
    const std::string path = PathOf(name);
    auto created = encrypted ? files_.CreatePrivate(path) : files_.Create(path);
    HR_ASSIGN_OR_RETURN(auto file, std::move(created));
    written_.push_back(name);
    return file;
  }

  Status WriteFile(const std::string& name, const std::string& bytes, bool encrypted) {
    HR_ASSIGN_OR_RETURN(auto file, Create(name, encrypted));
    HR_RETURN_IF_ERROR(file->Append(bytes));
    HR_RETURN_IF_ERROR(file->Sync());
    return file->Close();
  }

  Status Copy(const FileManifest& file, const std::string& from) {
    HR_ASSIGN_OR_RETURN(const std::string path, JoinSafely(from, file.name));
    HR_ASSIGN_OR_RETURN(auto source, files_.Open(path));
    HR_ASSIGN_OR_RETURN(auto target, Create(file.name, !file.key_id.empty()));
    Hash128Stream digest;
    std::string piece;
    for (uint64_t at = 0; at < file.size_bytes; at += piece.size()) {
      if (!still_wanted_()) return Status::Cancelled("it was given up");
      const size_t size = std::min<uint64_t>(kPieceBytes, file.size_bytes - at);
      HR_RETURN_IF_ERROR(source->ReadAt(at, size, &piece));
      digest.Update(piece);
      HR_RETURN_IF_ERROR(target->Append(piece));
    }
    if (digest.Digest() != file.digest) {
      return Status::Corruption("file " + path + ", offset 0: its content is not what was written");
    }
    HR_RETURN_IF_ERROR(target->Sync());
    return target->Close();
  }

  Env* const env_;
  FileSystem& files_;
  const std::string directory_;
  const std::function<bool()>& still_wanted_;
  std::vector<std::string> written_;  // names, in order; the manifest's temporary one last
  bool renamed_ = false;              // the manifest, or at least that was tried
};

Result<std::string> NewDirectory(FileSystem& files, const Manifest& manifest,
                                 const std::string& into) {
  const std::string name =
      into + "/savepoint-" + SanitizeName(manifest.job_key) + "-" + std::to_string(manifest.id);
  std::string path = name;
  for (int number = 2;; ++number) {
    HR_ASSIGN_OR_RETURN(const FileStatus status, files.Stat(path));
    if (!status.exists) break;
    path = name + "-" + std::to_string(number);
  }
  HR_RETURN_IF_ERROR(files.MakeDirectories(path));
  return path;
}

}  // namespace

Result<std::string> WriteSavepoint(Env* env, const Manifest& manifest, const std::string& from,
                                   const std::string& into,
                                   const std::function<bool()>& still_wanted) {
  HR_CHECK(manifest.full);
  HR_ASSIGN_OR_RETURN(std::string directory, NewDirectory(env->files(), manifest, into));
  SavepointWriter writer(env, directory, still_wanted);
  const Status written = writer.Write(manifest, from);
  if (written.ok()) return directory;
  writer.RemoveAll();
  return written.WithContext("savepoint " + directory);
}

}  // namespace headrace
