#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/storage/checkpoint_file.h"

namespace headrace {

/// Data files of one directory from which blocks are read. Those used last stay open, so that a
/// file is not opened for each block, and few, so that long chains do not use up the process's
/// descriptors.
/// Threading: thread-safe.
class OpenDataFiles {
 public:
  OpenDataFiles(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}

  /// The block at `ref` of the file `name`. `expected`: what the file must be, looked at when it is
  /// opened; null: it was looked at before. kCorruption also when the file is missing.
  Result<Block> Read(const std::string& name, const PartitionRef& ref,
                     const CheckpointFileIdentity* expected = nullptr);

 private:
  static constexpr size_t kOpenMax = 16;
  using Entry = std::pair<std::string, std::shared_ptr<CheckpointFileReader>>;

  Result<std::shared_ptr<CheckpointFileReader>> Open(const std::string& name,
                                                     const CheckpointFileIdentity* expected);

  FileSystem& files_;
  const std::string directory_;
  std::mutex mutex_;
  std::list<Entry> open_;  // guarded by `mutex_`; used last: first
};

}  // namespace headrace
