#pragma once

#include <memory>
#include <string>

#include "headrace/base/env.h"
#include "headrace/base/status.h"

namespace headrace {

/// A directory that is empty when made, belongs to this object alone while it lives, and is removed
/// with it. What removal cannot delete stays; the next Make() tries again.
///
/// Inside it is a file "LOCK"; everything else is the owner's.
/// Threading: owned by one thread.
class ScratchDirectory {
 public:
  /// `path` and its parents are made where missing, and emptied. kFailedPrecondition, with nothing
  /// touched, while another live store, of any process, has it. `files` outlives this.
  static Result<std::unique_ptr<ScratchDirectory>> Make(FileSystem* files, std::string path);
  ~ScratchDirectory();
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  ScratchDirectory(FileSystem* files, std::string path, std::unique_ptr<FileLock> lock)
      : files_(files), path_(std::move(path)), lock_(std::move(lock)) {}

  FileSystem* const files_;
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace headrace
