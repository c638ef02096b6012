#pragma once

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/write_buffer_manager.h>

#include <cstdint>
#include <memory>
#include <mutex>

namespace headrace {

/// What the databases of a job process have in common: block cache, write-buffer budget, files. The
/// sizes follow the shares of the databases that are open. Threading: thread-safe.
class SharedMemory {
 public:
  SharedMemory();

  void AddShare(int64_t bytes) { Resize(bytes); }
  void RemoveShare(int64_t bytes) { Resize(-bytes); }

  /// What the cache holds beside the room it keeps for write buffers.
  int64_t CachedBytes() const;
  /// All shares together.
  int64_t total_bytes() const;

  const std::shared_ptr<rocksdb::Cache>& cache() const { return cache_; }
  const std::shared_ptr<rocksdb::WriteBufferManager>& write_buffers() const {
    return write_buffers_;
  }
  rocksdb::Env* env() const { return env_.get(); }

 private:
  void Resize(int64_t change_bytes);

  mutable std::mutex mutex_;
  int64_t total_bytes_ = 0;  ///< guarded by mutex_
  std::shared_ptr<rocksdb::Cache> cache_;
  std::shared_ptr<rocksdb::WriteBufferManager> write_buffers_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace headrace
