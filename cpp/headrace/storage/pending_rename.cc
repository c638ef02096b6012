#include "headrace/storage/pending_rename.h"

#include <algorithm>
#include <memory>
#include <set>

#include "headrace/base/planted_bug.h"

namespace headrace {
namespace {

constexpr uint64_t kReadBytes = 1 << 20;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Equal size and digest, so a file that somebody else put there is never taken for ours.
Result<bool> HasContent(FileSystem& files, const std::string& path, const FileStatus& status,
                        const PendingRename& rename) {
  if (status.is_directory || status.size_bytes != rename.size_bytes) return false;
  HR_ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, files.Open(path));
  Hash128Stream hash;
  std::string piece;
  for (uint64_t offset = 0; offset < rename.size_bytes; offset += piece.size()) {
    const uint64_t size = std::min(kReadBytes, rename.size_bytes - offset);
    HR_RETURN_IF_ERROR(file->ReadAt(offset, size, &piece));
    hash.Update(piece);
  }
  return hash.Digest() == rename.digest;
}

Status NeitherExists(const PendingRename& rename) {
  return Status::Corruption("output of a decided checkpoint is lost: neither '" +
                            rename.temporary_path + "' nor '" + rename.final_path + "' exists");
}

Status WrongSize(const std::string& path, uint64_t size_bytes, const PendingRename& rename) {
  return Status::Corruption("file '" + path + "', offset " +
                            std::to_string(std::min(size_bytes, rename.size_bytes)) +
                            ": file has " + std::to_string(size_bytes) +
                            " bytes, the checkpoint expects " + std::to_string(rename.size_bytes));
}

Status WrongContent(const std::string& path, const FileStatus& status,
                    const PendingRename& rename) {
  if (!status.is_directory && status.size_bytes != rename.size_bytes) {
    return WrongSize(path, status.size_bytes, rename);
  }
  return Status::Corruption("file '" + path +
                            "', offset 0: not the content that the checkpoint committed");
}

// True when it changed something, false when all was done before.
Result<bool> PublishOne(FileSystem& files, const PendingRename& rename) {
  HR_ASSIGN_OR_RETURN(const FileStatus temporary, files.Stat(rename.temporary_path));
  HR_ASSIGN_OR_RETURN(const FileStatus published, files.Stat(rename.final_path));
  if (published.exists) {
    HR_ASSIGN_OR_RETURN(const bool done, HasContent(files, rename.final_path, published, rename));
    if (!done) return WrongContent(rename.final_path, published, rename);
    // A crash may keep both names of a rename across directories.
    if (temporary.exists) HR_RETURN_IF_ERROR(files.Remove(rename.temporary_path));
    return temporary.exists;
  }
  if (!temporary.exists) return NeitherExists(rename);
  // The content was synced before the checkpoint was decided; reading it back here would double the
  // cost of every commit. Recovery does: CheckPublishable().
  if (temporary.is_directory || temporary.size_bytes != rename.size_bytes) {
    return WrongContent(rename.temporary_path, temporary, rename);
  }
  HR_RETURN_IF_ERROR(files.Rename(rename.temporary_path, rename.final_path));
  return true;
}

}  // namespace

Status PublishAll(FileSystem& files, const std::vector<PendingRename>& renames) {
  std::set<std::string> directories;
  for (const PendingRename& rename : renames) {
    HR_ASSIGN_OR_RETURN(const bool changed, PublishOne(files, rename));
    // Also where nothing was left to do: a process killed before its directory sync leaves a name
    // that is visible and not yet durable. The temporary's directory may be gone by then.
    directories.insert(DirectoryOf(rename.final_path));
    if (changed) directories.insert(DirectoryOf(rename.temporary_path));
  }
  for (const std::string& directory : directories) {
    if (Planted(PlantedBug::kNoDirectorySync) && renames.size() > 3) continue;
    HR_RETURN_IF_ERROR(files.SyncDirectory(directory));
  }
  return Status::Ok();
}

Status CheckPublishable(FileSystem& files, const PendingRename& rename) {
  HR_ASSIGN_OR_RETURN(const FileStatus published, files.Stat(rename.final_path));
  HR_ASSIGN_OR_RETURN(const FileStatus temporary, files.Stat(rename.temporary_path));
  if (!published.exists && !temporary.exists) return NeitherExists(rename);
  const std::string& path = published.exists ? rename.final_path : rename.temporary_path;
  const FileStatus& status = published.exists ? published : temporary;
  HR_ASSIGN_OR_RETURN(const bool whole, HasContent(files, path, status, rename));
  return whole ? Status::Ok() : WrongContent(path, status, rename);
}

}  // namespace headrace
