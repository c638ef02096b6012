#pragma once

#include <memory>
#include <string>
#include <vector>

#include "headrace/base/env.h"

namespace headrace {

/// The local disk through POSIX calls.
///
/// Interrupted calls and short writes are taken up again. Errors name the call, the path and the
/// reason: ENOENT is kNotFound, EEXIST kAlreadyExists, ENOSPC, EDQUOT, EMFILE, ENFILE and ENOMEM
/// kResourceExhausted, the rest kIoError. A Lock() is a flock(2) on a file that holds the owner's
/// process id; it is refused within one process too, and a forked child does not inherit it.
/// Threading: thread-safe.
class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Result<std::unique_ptr<WritableFile>> CreatePrivate(const std::string& path) override;
  Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) override;
  Result<std::string> ReadAll(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status SyncDirectory(const std::string& path) override;
  Status MakeDirectories(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& path) override;
  Result<FileStatus> Stat(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  Status MakeDirectory(const std::string& path);
};

}  // namespace headrace
