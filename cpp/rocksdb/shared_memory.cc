#include "rocksdb/shared_memory.h"

#include <rocksdb/file_system.h>

#include <algorithm>

#include "rocksdb/unsynced_file_system.h"

namespace headrace {

namespace {

// Index and filter blocks stay in this part of the cache however much data is read.
constexpr double kIndexAndFilterShare = 0.5;
// Two cores do not fight for more locks than this; each shard is a limit of its own.
constexpr int kCacheShardBits = 3;

std::shared_ptr<rocksdb::Cache> MakeCache() {
  rocksdb::LRUCacheOptions options;
  options.capacity = 0;
  options.num_shard_bits = kCacheShardBits;
  options.high_pri_pool_ratio = kIndexAndFilterShare;
  return rocksdb::NewLRUCache(options);
}

}  // namespace

SharedMemory::SharedMemory()
    : cache_(MakeCache()),
      // A size of 0 would mean no limit. Shares resize it before a database is opened.
      write_buffers_(std::make_shared<rocksdb::WriteBufferManager>(1, cache_)),
      env_(rocksdb::NewCompositeEnv(MakeUnsyncedFileSystem(rocksdb::FileSystem::Default()))) {}

int64_t SharedMemory::CachedBytes() const {
  const auto cached = static_cast<int64_t>(cache_->GetUsage());
  return std::max<int64_t>(
      0, cached - static_cast<int64_t>(write_buffers_->dummy_entries_in_cache_usage()));
}

int64_t SharedMemory::total_bytes() const {
  const std::lock_guard lock(mutex_);
  return total_bytes_;
}

void SharedMemory::Resize(int64_t change_bytes) {
  const std::lock_guard lock(mutex_);
  total_bytes_ += change_bytes;
  cache_->SetCapacity(static_cast<size_t>(total_bytes_));
  write_buffers_->SetBufferSize(static_cast<size_t>(std::max<int64_t>(1, total_bytes_ / 2)));
}

}  // namespace headrace
