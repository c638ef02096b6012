#include "rocksdb/unsynced_file_system.h"

#include <string>
#include <utility>

namespace headrace {

namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class UnsyncedFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  using FSWritableFileOwnerWrapper::FSWritableFileOwnerWrapper;

  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
};

class UnsyncedDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  using FSDirectoryWrapper::FSDirectoryWrapper;

  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*,
                               const rocksdb::DirFsyncOptions&) override {
    return IOStatus::OK();
  }
};

class UnsyncedFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  using FileSystemWrapper::FileSystemWrapper;

  const char* Name() const override { return "headrace.UnsyncedFileSystem"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                           IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSWritableFile> synced;
    IOStatus status = target()->NewWritableFile(path, options, &synced, debug);
    if (status.ok()) *file = std::make_unique<UnsyncedFile>(std::move(synced));
    return status;
  }

  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                        IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSDirectory> synced;
    IOStatus status = target()->NewDirectory(path, options, &synced, debug);
    if (status.ok()) *directory = std::make_unique<UnsyncedDirectory>(std::move(synced));
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeUnsyncedFileSystem(
    std::shared_ptr<rocksdb::FileSystem> target) {
  return std::make_shared<UnsyncedFileSystem>(std::move(target));
}

}  // namespace headrace
