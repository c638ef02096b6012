#include "rocksdb/rocksdb_store_factory.h"

#include "rocksdb/rocksdb_store.h"
#include "rocksdb/shared_memory.h"

namespace headrace {

namespace {

class RocksDbStoreFactory final : public ColdStoreFactory {
 public:
  std::string_view name() const override { return "rocksdb"; }
  Result<std::unique_ptr<ColdStore>> Open(Env* env, const ColdStoreOptions& options) override {
    return RocksDbStore::Open(env, options, memory_);
  }

 private:
  const std::shared_ptr<SharedMemory> memory_ = std::make_shared<SharedMemory>();
};

}  // namespace

std::shared_ptr<ColdStoreFactory> MakeRocksDbStoreFactory() {
  return std::make_shared<RocksDbStoreFactory>();
}

}  // namespace headrace
