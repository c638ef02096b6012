#include "rocksdb/rocksdb_store.h"

#include <rocksdb/statistics.h>
#include <rocksdb/version.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "headrace/base/check.h"
#include "rocksdb/rocksdb_options.h"
#include "rocksdb/rocksdb_status.h"

namespace headrace {

namespace {

rocksdb::Slice SliceOf(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ViewOf(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

// Places of `count` things in order of their keys; equal keys keep their order.
template <typename KeyOf>
std::vector<uint32_t> SortedPlaces(size_t count, KeyOf key_of) {
  std::vector<uint32_t> places(count);
  std::iota(places.begin(), places.end(), 0);
  const auto less = [&](uint32_t a, uint32_t b) { return key_of(a) < key_of(b); };
  if (!std::is_sorted(places.begin(), places.end(), less)) {
    std::stable_sort(places.begin(), places.end(), less);
  }
  return places;
}

// Whether every key in [begin, end) starts with the first `size` bytes of `begin`, so that filters
// on prefixes may be asked.
bool WithinOnePrefix(std::string_view begin, std::string_view end, size_t size) {
  if (size == 0 || begin.size() < size || end.empty()) return false;
  const std::string_view prefix = begin.substr(0, size);
  if (end.substr(0, size) == prefix) return true;
  std::string next(prefix);  // the first key after all that start with the prefix
  while (!next.empty() && next.back() == '\xff') next.pop_back();
  if (next.empty()) return false;
  next.back() = static_cast<char>(static_cast<unsigned char>(next.back()) + 1);
  return end == next;
}

rocksdb::Status OpenDb(const rocksdb::Options& options, const std::string& path,
                       std::unique_ptr<rocksdb::DB>* db) {
#if ROCKSDB_MAJOR >= 11
  return rocksdb::DB::Open(options, path, db);
#else
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path, &opened);
  db->reset(opened);
  return status;
#endif
}

}  // namespace

class RocksDbStore::View final : public ColdView {
 public:
  explicit View(RocksDbStore* store) : store_(store), snapshot_(store->db_->GetSnapshot()) {
    ++store_->open_views_;
  }
  ~View() override {
    store_->db_->ReleaseSnapshot(snapshot_);
    --store_->open_views_;
  }
  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override {
    return store_->ScanAt(snapshot_, begin, end, visit);
  }

 private:
  RocksDbStore* const store_;
  const rocksdb::Snapshot* const snapshot_;
};

RocksDbStore::RocksDbStore(const ColdStoreOptions& options, std::shared_ptr<SharedMemory> memory)
    : options_(options), memory_(std::move(memory)) {
  memory_->AddShare(options_.memory_bytes);
}

RocksDbStore::~RocksDbStore() {
  HR_CHECK_EQ(open_views_.load(), 0);  // a view may not outlive its store
  db_.reset();
  memory_->RemoveShare(options_.memory_bytes);
}

Result<std::unique_ptr<ColdStore>> RocksDbStore::Open(Env* env, const ColdStoreOptions& options,
                                                      std::shared_ptr<SharedMemory> memory) {
  HR_ASSIGN_OR_RETURN(auto directory, ScratchDirectory::Make(&env->files(), options.directory));
  std::unique_ptr<RocksDbStore> store(new RocksDbStore(options, std::move(memory)));
  store->directory_ = std::move(directory);
  const rocksdb::Options db_options = MakeRocksDbOptions(options, *store->memory_);
  store->statistics_ = db_options.statistics;
  const std::string path = options.directory + "/db";
  const rocksdb::Status opened = OpenDb(db_options, path, &store->db_);
  if (!opened.ok()) return FromRocksDb(opened, "RocksDB could not be opened in '" + path + "'");
  return std::unique_ptr<ColdStore>(std::move(store));
}

Status RocksDbStore::Apply(std::span<const ColdWrite> writes) {
  if (writes.empty()) return Status::Ok();
  const auto places = SortedPlaces(writes.size(), [&](uint32_t i) { return writes[i].key; });
  size_t bytes = 0;
  for (const ColdWrite& write : writes) {
    bytes += write.key.size() + (write.value ? write.value->size() : 0) + 12;
  }
  rocksdb::WriteBatch batch(bytes);
  for (size_t i = 0; i < places.size(); ++i) {
    const ColdWrite& write = writes[places[i]];
    // Only the last write of a key counts.
    if (i + 1 < places.size() && writes[places[i + 1]].key == write.key) continue;
    const rocksdb::Slice key = SliceOf(write.key);
    const rocksdb::Status added =
        write.value ? batch.Put(key, SliceOf(*write.value)) : batch.Delete(key);
    if (!added.ok()) return Failed(added);
  }
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return Failed(db_->Write(options, &batch));
}

Status RocksDbStore::MultiGet(std::span<const std::string_view> keys,
                              std::vector<std::optional<std::string>>* values) {
  values->assign(keys.size(), std::nullopt);
  if (keys.empty()) return Status::Ok();
  const auto places = SortedPlaces(keys.size(), [&](uint32_t i) { return keys[i]; });
  std::vector<rocksdb::Slice> sorted;
  sorted.reserve(keys.size());
  for (const uint32_t place : places) sorted.push_back(SliceOf(keys[place]));
  std::vector<rocksdb::PinnableSlice> found(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), sorted.size(), sorted.data(),
                found.data(), statuses.data(), /*sorted_input=*/true);
  for (size_t i = 0; i < places.size(); ++i) {
    if (statuses[i].IsNotFound()) continue;
    if (!statuses[i].ok()) return Failed(statuses[i]);
    (*values)[places[i]].emplace(found[i].data(), found[i].size());
  }
  return Status::Ok();
}

Status RocksDbStore::Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) {
  return ScanAt(nullptr, begin, end, visit);
}

Status RocksDbStore::ScanAt(const rocksdb::Snapshot* snapshot, std::string_view begin,
                            std::string_view end, const ColdVisitor& visit) {
  if (!end.empty() && end <= begin) return Status::Ok();
  const rocksdb::Slice bound = SliceOf(end);
  const bool narrow = WithinOnePrefix(begin, end, options_.prefix_bytes);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot;
  options.iterate_upper_bound = end.empty() ? nullptr : &bound;
  options.total_order_seek = !narrow;
  options.prefix_same_as_start = narrow;
  // A walk over much of the state, as of a checkpoint, would push out what point reads use.
  options.fill_cache = narrow;
  const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options));
  for (rows->Seek(SliceOf(begin)); rows->Valid(); rows->Next()) {
    if (!visit(ViewOf(rows->key()), ViewOf(rows->value()))) return Status::Ok();
  }
  return Failed(rows->status());
}

std::unique_ptr<ColdView> RocksDbStore::MakeView() { return std::make_unique<View>(this); }

int64_t RocksDbStore::Property(const std::string& name) const {
  uint64_t value = 0;
  return db_->GetIntProperty(name, &value) ? static_cast<int64_t>(value) : 0;
}

Status RocksDbStore::Failed(const rocksdb::Status& status) const {
  return status.ok() ? Status::Ok()
                     : FromRocksDb(status, "RocksDB in '" + options_.directory + "'");
}

int64_t RocksDbStore::memory_bytes() const {
  const double share = static_cast<double>(options_.memory_bytes) /
                       static_cast<double>(std::max<int64_t>(1, memory_->total_bytes()));
  return Property(rocksdb::DB::Properties::kSizeAllMemTables) +
         static_cast<int64_t>(share * static_cast<double>(memory_->CachedBytes()));
}

int64_t RocksDbStore::disk_bytes() const {
  return Property(rocksdb::DB::Properties::kTotalSstFilesSize);
}

std::map<std::string, int64_t> RocksDbStore::Statistics() const {
  const auto count = [&](uint32_t ticker) {
    return static_cast<int64_t>(statistics_->getTickerCount(ticker));
  };
  std::vector<rocksdb::LiveFileMetaData> files;
  db_->GetLiveFilesMetaData(&files);
  return {
      {"block_cache_hits", count(rocksdb::BLOCK_CACHE_HIT)},
      {"block_cache_misses", count(rocksdb::BLOCK_CACHE_MISS)},
      {"block_reads",
       count(rocksdb::LAST_LEVEL_READ_COUNT) + count(rocksdb::NON_LAST_LEVEL_READ_COUNT)},
      {"bytes_read",
       count(rocksdb::LAST_LEVEL_READ_BYTES) + count(rocksdb::NON_LAST_LEVEL_READ_BYTES)},
      {"bloom_filtered", count(rocksdb::BLOOM_FILTER_USEFUL)},
      {"bytes_written", count(rocksdb::BYTES_WRITTEN)},
      {"compaction_bytes_written",
       count(rocksdb::FLUSH_WRITE_BYTES) + count(rocksdb::COMPACT_WRITE_BYTES)},
      {"stall_micros", count(rocksdb::STALL_MICROS)},
      {"memtable_bytes", Property(rocksdb::DB::Properties::kSizeAllMemTables)},
      {"block_cache_bytes", memory_->CachedBytes()},
      {"disk_bytes", disk_bytes()},
      {"keys", Property(rocksdb::DB::Properties::kEstimateNumKeys)},
      {"files", static_cast<int64_t>(files.size())},
  };
}

}  // namespace headrace
