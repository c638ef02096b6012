#include "headrace/base/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "headrace/base/early_writeback.h"
#include "headrace/base/failpoint.h"
#include "headrace/base/posix_error.h"
#include "headrace/base/posix_file_lock.h"

namespace headrace {

namespace {

// A descriptor that is closed when it goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;

  int get() const { return value_; }
  int Release() { return std::exchange(value_, -1); }

 private:
  int value_;
};

constexpr mode_t kReadableByAll = 0644;
constexpr mode_t kReadableByOwner = 0600;

Descriptor OpenDescriptor(const std::string& path, int flags, mode_t mode = kReadableByAll) {
  return Descriptor(
      RetryWhenInterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
}

Result<uint64_t> SizeOf(int descriptor, const std::string& path) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) return PosixError("fstat", path, errno);
  return static_cast<uint64_t>(found.st_size);
}

class PosixWritableFile final : public WritableFile, public EarlyWriteback {
 public:
  PosixWritableFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Status Append(std::string_view bytes) override {
    HR_RETURN_IF_ERROR(ExpectOpen());
    HR_RETURN_IF_ERROR(Failpoint("fs.append", path_));
    while (!bytes.empty()) {
      const ssize_t written = RetryWhenInterrupted(
          [&] { return ::write(descriptor_.get(), bytes.data(), bytes.size()); });
      if (written < 0) return PosixError("write", path_, errno);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return Status::Ok();
  }

  // Who cannot do it, or may not, leaves all to fsync().
  Status StartWriteback() override {
    HR_RETURN_IF_ERROR(ExpectOpen());
    HR_RETURN_IF_ERROR(Failpoint("fs.writeback", path_));
    // To the end of the file; of that, pages that are not written yet.
    const int failed = RetryWhenInterrupted(
        [&] { return ::sync_file_range(descriptor_.get(), 0, 0, SYNC_FILE_RANGE_WRITE); });
    if (failed == 0 || (errno != EIO && errno != ENOSPC)) return Status::Ok();
    return PosixError("sync_file_range", path_, errno);
  }

  Status Sync() override {
    HR_RETURN_IF_ERROR(ExpectOpen());
    HR_RETURN_IF_ERROR(Failpoint("fs.sync", path_));
    if (RetryWhenInterrupted([&] { return ::fsync(descriptor_.get()); }) != 0) {
      return PosixError("fsync", path_, errno);
    }
    return Status::Ok();
  }

  Status Close() override {
    HR_RETURN_IF_ERROR(ExpectOpen());
    // Closed whatever comes of it, and not called again when interrupted: Linux has let go of the
    // number.
    Status status = Failpoint("fs.close", path_);
    if (::close(descriptor_.Release()) != 0 && status.ok()) {
      status = PosixError("close", path_, errno);
    }
    return status;
  }

 private:
  Status ExpectOpen() const {
    if (descriptor_.get() >= 0) return Status::Ok();
    return Status::FailedPrecondition("file '" + path_ + "' is closed");
  }

  Descriptor descriptor_;
  const std::string path_;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(Descriptor descriptor, std::string path)
      : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Status ReadAt(uint64_t offset, size_t size, std::string* out) override {
    HR_RETURN_IF_ERROR(Failpoint("fs.read", path_));
    HR_ASSIGN_OR_RETURN(const uint64_t size_bytes, SizeOf(descriptor_.get(), path_));
    // Before the allocation: `size` may come from a damaged file.
    if (offset > size_bytes || size > size_bytes - offset) return Short(offset, size, size_bytes);
    out->resize(size);
    size_t done = 0;
    while (done < size) {
      const ssize_t got = RetryWhenInterrupted([&] {
        return ::pread(descriptor_.get(), out->data() + done, size - done,
                       static_cast<off_t>(offset + done));
      });
      if (got < 0) return PosixError("pread", path_, errno);
      if (got == 0) return Short(offset, size, offset + done);
      done += static_cast<size_t>(got);
    }
    return Status::Ok();
  }

  Result<uint64_t> Size() override {
    HR_RETURN_IF_ERROR(Failpoint("fs.stat", path_));
    return SizeOf(descriptor_.get(), path_);
  }

 private:
  Status Short(uint64_t offset, size_t size, uint64_t size_bytes) const {
    return Status::Corruption("file '" + path_ + "', offset " + std::to_string(offset) +
                              ": wanted " + std::to_string(size) + " bytes, but the file ends at " +
                              std::to_string(size_bytes));
  }

  Descriptor descriptor_;
  const std::string path_;
};

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

namespace {

Result<std::unique_ptr<WritableFile>> CreateWithMode(const std::string& path, mode_t mode) {
  HR_RETURN_IF_ERROR(Failpoint("fs.create", path));
  Descriptor descriptor = OpenDescriptor(path, O_WRONLY | O_CREAT | O_EXCL, mode);
  if (descriptor.get() < 0) return PosixError("create", path, errno);
  return std::unique_ptr<WritableFile>(new PosixWritableFile(std::move(descriptor), path));
}

}  // namespace

Result<std::unique_ptr<WritableFile>> PosixFileSystem::Create(const std::string& path) {
  return CreateWithMode(path, kReadableByAll);
}

Result<std::unique_ptr<WritableFile>> PosixFileSystem::CreatePrivate(const std::string& path) {
  return CreateWithMode(path, kReadableByOwner);
}

Result<std::unique_ptr<ReadableFile>> PosixFileSystem::Open(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.open", path));
  Descriptor descriptor = OpenDescriptor(path, O_RDONLY);
  if (descriptor.get() < 0) return PosixError("open", path, errno);
  return std::unique_ptr<ReadableFile>(new PosixReadableFile(std::move(descriptor), path));
}

Result<std::string> PosixFileSystem::ReadAll(const std::string& path) {
  HR_ASSIGN_OR_RETURN(auto file, Open(path));
  HR_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  std::string content;
  HR_RETURN_IF_ERROR(file->ReadAt(0, size_bytes, &content));
  return content;
}

Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  HR_RETURN_IF_ERROR(Failpoint("fs.rename", from));
  if (::rename(from.c_str(), to.c_str()) != 0) {
    return PosixError("rename", from + "' -> '" + to, errno);
  }
  return Status::Ok();
}

Status PosixFileSystem::Remove(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.remove", path));
  if (std::remove(path.c_str()) != 0) return PosixError("remove", path, errno);
  return Status::Ok();
}

Status PosixFileSystem::SyncDirectory(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.sync_directory", path));
  const Descriptor descriptor = OpenDescriptor(path, O_RDONLY | O_DIRECTORY);
  if (descriptor.get() < 0) return PosixError("open", path, errno);
  if (RetryWhenInterrupted([&] { return ::fsync(descriptor.get()); }) != 0) {
    return PosixError("fsync", path, errno);
  }
  return Status::Ok();
}

Status PosixFileSystem::MakeDirectories(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.mkdir", path));
  std::string wanted = path;
  while (wanted.size() > 1 && wanted.back() == '/') wanted.pop_back();
  return MakeDirectory(wanted);
}

Status PosixFileSystem::MakeDirectory(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) == 0) {
    return S_ISDIR(found.st_mode) ? Status::Ok() : PosixError("mkdir", path, ENOTDIR);
  }
  if (errno != ENOENT) return PosixError("stat", path, errno);
  const std::string parent = ParentOf(path);
  if (parent == path) return PosixError("mkdir", path, ENOENT);
  HR_RETURN_IF_ERROR(MakeDirectory(parent));
  // Another process may have been faster; then what counts is that a directory is there.
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return PosixError("mkdir", path, errno);
  if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) {
    return PosixError("mkdir", path, ENOTDIR);
  }
  return SyncDirectory(parent);
}

Result<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.list", path));
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return PosixError("opendir", path, errno);
  std::vector<std::string> names;
  int error = 0;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(directory);
  if (error != 0) return PosixError("readdir", path, error);
  std::sort(names.begin(), names.end());
  return names;
}

Result<FileStatus> PosixFileSystem::Stat(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.stat", path));
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return FileStatus{};
    return PosixError("stat", path, errno);
  }
  return FileStatus{true, S_ISDIR(found.st_mode), static_cast<uint64_t>(found.st_size)};
}

Result<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path) {
  HR_RETURN_IF_ERROR(Failpoint("fs.lock", path));
  return TakePosixFileLock(path);
}

}  // namespace headrace
