#include "headrace/state/scratch_directory.h"

#include <utility>

namespace headrace {

namespace {

constexpr char kLockName[] = "LOCK";

// Removes what is in a directory, except the lock at its top.
Status RemoveContent(FileSystem* files, const std::string& directory, bool top) {
  HR_ASSIGN_OR_RETURN(const auto names, files->List(directory));
  for (const std::string& name : names) {
    if (top && name == kLockName) continue;
    const std::string path = directory + "/" + name;
    // A file, also a link to somewhere else, goes by itself; only what refuses is looked into.
    if (files->Remove(path).ok()) continue;
    HR_ASSIGN_OR_RETURN(const FileStatus status, files->Stat(path));
    if (status.is_directory) HR_RETURN_IF_ERROR(RemoveContent(files, path, false));
    HR_RETURN_IF_ERROR(files->Remove(path));
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<ScratchDirectory>> ScratchDirectory::Make(FileSystem* files,
                                                                 std::string path) {
  HR_RETURN_IF_ERROR(files->MakeDirectories(path));
  HR_ASSIGN_OR_RETURN(auto lock, files->Lock(path + "/" + kLockName));
  HR_RETURN_IF_ERROR(RemoveContent(files, path, true));
  return std::unique_ptr<ScratchDirectory>(
      new ScratchDirectory(files, std::move(path), std::move(lock)));
}

ScratchDirectory::~ScratchDirectory() {
  // Nothing depends on it: what is left over is removed by the next owner.
  if (!RemoveContent(files_, path_, true).ok()) return;
  if (!files_->Remove(path_ + "/" + kLockName).ok()) return;
  (void)files_->Remove(path_).ok();
}

}  // namespace headrace
