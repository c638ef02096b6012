#pragma once

#include <rocksdb/file_system.h>

#include <memory>

namespace headrace {

/// `target` without its syncs: what a scratch database writes need not survive the machine, and
/// would only keep the disk from writing checkpoints. Threading: as `target`.
std::shared_ptr<rocksdb::FileSystem> MakeUnsyncedFileSystem(
    std::shared_ptr<rocksdb::FileSystem> target);

}  // namespace headrace
