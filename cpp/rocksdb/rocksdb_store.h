#pragma once

#include <rocksdb/db.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/cold_store.h"
#include "headrace/state/scratch_directory.h"
#include "rocksdb/shared_memory.h"

namespace headrace {

/// A ColdStore in a RocksDB database of its own. rocksdb_store_factory.h says what is shared.
/// Threading: as ColdStore.
class RocksDbStore final : public ColdStore {
 public:
  static Result<std::unique_ptr<ColdStore>> Open(Env* env, const ColdStoreOptions& options,
                                                 std::shared_ptr<SharedMemory> memory);
  ~RocksDbStore() override;

  Status Apply(std::span<const ColdWrite> writes) override;
  Status MultiGet(std::span<const std::string_view> keys,
                  std::vector<std::optional<std::string>>* values) override;
  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override;
  std::unique_ptr<ColdView> MakeView() override;

  /// Its write buffers, and its part of what the shared cache holds. Takes the database's lock.
  int64_t memory_bytes() const override;
  int64_t disk_bytes() const override;
  std::map<std::string, int64_t> Statistics() const override;

 private:
  class View;

  RocksDbStore(const ColdStoreOptions& options, std::shared_ptr<SharedMemory> memory);

  /// Of the newest rows where `snapshot` is null.
  Status ScanAt(const rocksdb::Snapshot* snapshot, std::string_view begin, std::string_view end,
                const ColdVisitor& visit);
  int64_t Property(const std::string& name) const;
  Status Failed(const rocksdb::Status& status) const;

  const ColdStoreOptions options_;
  const std::shared_ptr<SharedMemory> memory_;
  std::unique_ptr<ScratchDirectory> directory_;
  std::shared_ptr<rocksdb::Statistics> statistics_;
  std::unique_ptr<rocksdb::DB> db_;
  std::atomic<int> open_views_{0};
};

}  // namespace headrace
