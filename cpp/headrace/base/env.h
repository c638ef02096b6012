#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/status.h"

namespace headrace {

/// A file being written; created empty, never seen by readers of the final name until renamed.
/// A failed Sync() or Close() means the content is unknown: abandon the file, never retry in place.
/// Threading: owned by one thread at a time.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status Append(std::string_view bytes) = 0;
  /// Returns once everything appended survives power loss.
  virtual Status Sync() = 0;
  virtual Status Close() = 0;
};

/// A file being read. Threading: thread-safe (positioned reads).
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  /// Reads exactly `size` bytes at `offset` into `out`; kCorruption when the file is shorter.
  virtual Status ReadAt(uint64_t offset, size_t size, std::string* out) = 0;
  virtual Result<uint64_t> Size() = 0;
};

/// Held while this process may write a directory; freed by the destructor and by the death of the
/// process.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

/// What is known of a path.
struct FileStatus {
  bool exists = false;
  bool is_directory = false;
  uint64_t size_bytes = 0;
};

/// Files by absolute path. Every call passes a failpoint named "fs.<call>" (see failpoint.h).
///
/// Durability follows POSIX at its weakest: file content survives a crash only after Sync(), a
/// created, renamed or removed name only after SyncDirectory() of its directory.
/// Threading: thread-safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  /// Creates a new file; kAlreadyExists when the name is taken.
  virtual Result<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  /// The same, for nobody but its owner to read, where the file system has such a thing.
  virtual Result<std::unique_ptr<WritableFile>> CreatePrivate(const std::string& path) {
    return Create(path);
  }
  virtual Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) = 0;
  /// Whole content of a file.
  virtual Result<std::string> ReadAll(const std::string& path) = 0;
  /// Atomically gives `from` the name `to`, replacing what was there.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  /// Removes a file or an empty directory.
  virtual Status Remove(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;
  /// Creates the directory and its parents, durably; an existing one is fine.
  virtual Status MakeDirectories(const std::string& path) = 0;
  /// Names (not paths) in a directory, sorted. kNotFound when there is no such directory.
  virtual Result<std::vector<std::string>> List(const std::string& path) = 0;
  virtual Result<FileStatus> Stat(const std::string& path) = 0;
  /// Exclusive advisory lock on a lock file; kFailedPrecondition when another live owner holds it.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

/// A joinable thread. Destroyed without Join() or Detach(), it is joined; in a forked child, where
/// the thread does not exist, both do nothing.
class Thread {
 public:
  virtual ~Thread() = default;
  /// Waits until the thread's function has returned.
  virtual void Join() = 0;
  /// Lets the thread run on without an owner.
  virtual void Detach() = 0;
};

/// The one door to clock, randomness, threads and files. Production uses RealEnv(); the simulation
/// and tests pass their own (cpp/testing). Nothing outside base/ asks the operating system for
/// these.
/// Threading: thread-safe.
class Env {
 public:
  virtual ~Env() = default;
  /// Wall clock, milliseconds since 1970-01-01 UTC; may jump.
  virtual int64_t NowMs() = 0;
  /// Steady clock, nanoseconds since an arbitrary start; never goes back.
  virtual int64_t SteadyNs() = 0;
  virtual uint64_t Random64() = 0;
  virtual FileSystem& files() = 0;
  /// Null when the operating system has no thread left for us.
  virtual std::unique_ptr<Thread> StartThread(std::string name, std::function<void()> body) = 0;
  /// Runs `work` later, outside the caller: on an I/O thread in production, when the scheduler
  /// picks it in simulation. Order between works is not promised.
  virtual void RunInBackground(std::function<void()> work) = 0;
};

/// The operating system's clock, files and threads. Lives as long as the process.
Env& RealEnv();

}  // namespace headrace
