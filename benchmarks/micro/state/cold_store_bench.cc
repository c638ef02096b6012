// Counters of which memory holds a part: 4,096 keys drawn uniformly are read by one MultiGet,
// counted up and written by one Apply, over a state several times the memory. Each store runs
// beside a plain RocksDB loop that batches the same way, with the same memory and the usual
// options; `ratio` is to that loop, in the same run, the two taking turns. The count of a key is
// checked against a plain array at each read.
#include <benchmark/benchmark.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "headrace/base/hash.h"
#include "headrace/state/page_file_store.h"
#include "rocksdb/rocksdb_store_factory.h"

namespace headrace {
namespace {

constexpr size_t kBatch = 4096;
constexpr size_t kKeyBytes = 16;
constexpr uint64_t kKeys = 4'000'000;  // 96 MB of keys and counts
constexpr int64_t kMemoryBytes = 16 << 20;
constexpr int kRoundsWarm = 100;
constexpr int kRoundsPerTurn = 10;

void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "cold_store_bench: %s\n", what.c_str());
  std::exit(1);
}

// Key group and hash first, as rows of keyed state have them.
std::string KeyOf(uint64_t i) {
  const uint64_t hash = __builtin_bswap64(Hash64(&i, sizeof(i)));
  std::string key(kKeyBytes, '\0');
  std::memcpy(key.data(), &hash, sizeof(hash));
  std::memcpy(key.data() + sizeof(hash), &i, sizeof(i));
  return key;
}

std::string_view BytesOf(const uint64_t& count) {
  return {reinterpret_cast<const char*>(&count), sizeof(count)};
}

/// What a loop needs of a store. Keys come sorted.
class Counters {
 public:
  virtual ~Counters() = default;
  virtual void Read(const std::vector<std::string_view>& keys, std::vector<uint64_t>* counts) = 0;
  virtual void Write(const std::vector<std::string_view>& keys,
                     const std::vector<uint64_t>& counts) = 0;
};

class ColdStoreCounters final : public Counters {
 public:
  ColdStoreCounters(std::shared_ptr<ColdStoreFactory> factory, const std::string& directory,
                    int64_t memory_bytes)
      : factory_(std::move(factory)) {
    ColdStoreOptions options;
    options.directory = directory;
    options.memory_bytes = memory_bytes;
    auto opened = factory_->Open(&RealEnv(), options);
    Require(opened.ok(), opened.status().ToString());
    store_ = std::move(*opened);
  }

  void Read(const std::vector<std::string_view>& keys, std::vector<uint64_t>* counts) override {
    const Status status = store_->MultiGet(keys, &values_);
    Require(status.ok(), status.ToString());
    counts->assign(keys.size(), 0);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (values_[i]) std::memcpy(&(*counts)[i], values_[i]->data(), sizeof(uint64_t));
    }
  }

  void Write(const std::vector<std::string_view>& keys,
             const std::vector<uint64_t>& counts) override {
    writes_.clear();
    for (size_t i = 0; i < keys.size(); ++i) writes_.push_back({keys[i], BytesOf(counts[i])});
    const Status status = store_->Apply(writes_);
    Require(status.ok(), status.ToString());
  }

  ColdStore* store() { return store_.get(); }

 private:
  std::shared_ptr<ColdStoreFactory> factory_;
  std::unique_ptr<ColdStore> store_;
  std::vector<std::optional<std::string>> values_;
  std::vector<ColdWrite> writes_;
};

/// RocksDB as its users set it up for this: WAL off, bloom filter, a cache and write buffers that
/// share the memory.
class PlainRocksDbCounters final : public Counters {
 public:
  explicit PlainRocksDbCounters(const std::string& directory) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(kMemoryBytes / 2);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = kMemoryBytes / 4;
    options.max_write_buffer_number = 2;
    options.level_compaction_dynamic_level_bytes = true;
    options.compression = rocksdb::kLZ4Compression;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, directory, &db);
    Require(status.ok(), status.ToString());
    db_.reset(db);
  }

  void Read(const std::vector<std::string_view>& keys, std::vector<uint64_t>* counts) override {
    slices_.clear();
    for (const std::string_view key : keys) slices_.emplace_back(key.data(), key.size());
    found_ = std::vector<rocksdb::PinnableSlice>(keys.size());
    statuses_.resize(keys.size());
    db_->MultiGet(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), keys.size(), slices_.data(),
                  found_.data(), statuses_.data(), /*sorted_input=*/true);
    counts->assign(keys.size(), 0);
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses_[i].ok()) std::memcpy(&(*counts)[i], found_[i].data(), sizeof(uint64_t));
    }
  }

  void Write(const std::vector<std::string_view>& keys,
             const std::vector<uint64_t>& counts) override {
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::string_view value = BytesOf(counts[i]);
      batch.Put({keys[i].data(), keys[i].size()}, {value.data(), value.size()});
    }
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    const rocksdb::Status status = db_->Write(options, &batch);
    Require(status.ok(), status.ToString());
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::Slice> slices_;
  std::vector<rocksdb::PinnableSlice> found_;
  std::vector<rocksdb::Status> statuses_;
};

/// Counts rounds of kBatch keys, and checks each count that is read.
class Loop {
 public:
  explicit Loop(std::unique_ptr<Counters> counters)
      : counters_(std::move(counters)), model_(kKeys, 1) {
    std::vector<uint64_t> all(kKeys);
    for (uint64_t i = 0; i < kKeys; ++i) all[i] = i;
    std::shuffle(all.begin(), all.end(), std::mt19937_64(1));
    const std::vector<uint64_t> ones(kBatch, 1);
    for (size_t from = 0; from < kKeys; from += kBatch) {
      SetKeys({all.begin() + static_cast<std::ptrdiff_t>(from),
               all.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(kKeys, from + kBatch))});
      counters_->Write(views_,
                       {ones.begin(), ones.begin() + static_cast<std::ptrdiff_t>(views_.size())});
    }
    for (int i = 0; i < kRoundsWarm; ++i) Round();
  }

  /// Seconds of one turn.
  double Turn() {
    double seconds = 0;
    for (int i = 0; i < kRoundsPerTurn; ++i) seconds += Round();
    return seconds;
  }

 private:
  void SetKeys(std::vector<uint64_t> numbers) {
    std::vector<std::pair<std::string, uint64_t>> sorted;
    for (const uint64_t number : numbers) sorted.emplace_back(KeyOf(number), number);
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    keys_.clear();
    numbers_.clear();
    for (auto& [key, number] : sorted) {
      keys_.push_back(std::move(key));
      numbers_.push_back(number);
    }
    views_.assign(keys_.begin(), keys_.end());
  }

  double Round() {
    std::vector<uint64_t> drawn(kBatch);
    for (uint64_t& number : drawn) number = random_() % kKeys;
    SetKeys(std::move(drawn));
    const auto start = std::chrono::steady_clock::now();
    counters_->Read(views_, &counts_);
    for (uint64_t& count : counts_) ++count;
    counters_->Write(views_, counts_);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    for (size_t i = 0; i < numbers_.size(); ++i) {
      Require(counts_[i] == ++model_[numbers_[i]], "a wrong count was read");
    }
    return taken.count();
  }

  std::unique_ptr<Counters> counters_;
  std::vector<uint64_t> model_;
  std::mt19937_64 random_{2};
  std::vector<std::string> keys_;
  std::vector<uint64_t> numbers_;
  std::vector<std::string_view> views_;
  std::vector<uint64_t> counts_;
};

std::string MakeFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "headrace_bench_XXXXXX";
  Require(::mkdtemp(pattern.data()) != nullptr, "no temporary folder");
  return pattern;
}

void Compare(benchmark::State& state, const std::shared_ptr<ColdStoreFactory>& factory,
             int64_t memory_bytes) {
  const std::string folder = MakeFolder();
  {
    auto counters = std::make_unique<ColdStoreCounters>(factory, folder + "/store", memory_bytes);
    ColdStore* store = counters->store();
    Loop ours(std::move(counters));
    Loop plain(std::make_unique<PlainRocksDbCounters>(folder + "/plain"));
    std::vector<double> ratios;
    for (auto _ : state) {
      const double theirs = plain.Turn();
      const double seconds = ours.Turn();
      ratios.push_back(theirs / seconds);
      state.SetIterationTime(seconds);
    }
    std::sort(ratios.begin(), ratios.end());
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kRoundsPerTurn * kBatch);
    state.counters["ratio"] = ratios[ratios.size() / 2];
    state.counters["ratio_min"] = ratios.front();
    state.counters["ratio_max"] = ratios.back();
    for (const auto& [name, value] : store->Statistics()) {
      state.counters[name] = static_cast<double>(value);
    }
    state.counters["memory_bytes"] = static_cast<double>(store->memory_bytes());
  }
  std::filesystem::remove_all(folder);
}

void RocksDbStoreOverCache(benchmark::State& state) {
  Compare(state, MakeRocksDbStoreFactory(), kMemoryBytes);
}
BENCHMARK(RocksDbStoreOverCache)->UseManualTime()->Iterations(30)->Unit(benchmark::kMillisecond);

// Its keys have to fit in memory: the values beside them do not.
void PageFileStoreOverCache(benchmark::State& state) {
  Compare(state, MakePageFileStoreFactory(), static_cast<int64_t>(kKeys * (kKeyBytes + 20)));
}
BENCHMARK(PageFileStoreOverCache)->UseManualTime()->Iterations(30)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headrace
