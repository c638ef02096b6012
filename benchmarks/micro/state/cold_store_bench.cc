// Counters of which memory holds a part: 4,096 keys drawn uniformly are read by one MultiGet,
// counted up and written by one Apply, over a state several times the memory. Each store runs
// beside a plain RocksDB loop that batches the same way, with the same memory and the usual
// options; `ratio` is to that loop, in the same run, the two taking turns. The count of a key is
// checked against a plain array at each read.
#include <benchmark/benchmark.h>

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

#include "counters_on_rocksdb.h"
#include "headrace/state/page_file_store.h"
#include "rocksdb/rocksdb_store_factory.h"

namespace headrace {
namespace {

constexpr size_t kBatch = 4096;
constexpr uint64_t kKeys = 2'000'000;  // 48 MB of keys and counts
constexpr int64_t kMemoryBytes = 8 << 20;
constexpr int kRoundsWarm = 50;
constexpr int kRoundsPerTurn = 10;

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

/// The plain loop as one of the two.
class PlainRocksDbCounters final : public Counters {
 public:
  explicit PlainRocksDbCounters(const std::string& directory) : rocksdb_(directory, kMemoryBytes) {}

  void Read(const std::vector<std::string_view>& keys, std::vector<uint64_t>* counts) override {
    rocksdb_.Read(keys, counts);
  }
  void Write(const std::vector<std::string_view>& keys,
             const std::vector<uint64_t>& counts) override {
    rocksdb_.Write(keys, counts);
  }

 private:
  CountersOnRocksDb rocksdb_;
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
    for (const uint64_t number : numbers) sorted.emplace_back(CounterKey(number), number);
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

void Compare(benchmark::State& state, const std::shared_ptr<ColdStoreFactory>& factory,
             int64_t memory_bytes) {
  const std::string folder = MakeFolder();
  {
    auto counters = std::make_unique<ColdStoreCounters>(factory, folder + "/store", memory_bytes);
    ColdStore* store = counters->store();
    Loop ours(std::move(counters));
    Loop plain(std::make_unique<PlainRocksDbCounters>(folder + "/plain"));
    TakeTurns(state, &ours, &plain, kRoundsPerTurn * static_cast<int64_t>(kBatch));
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
  Compare(state, MakePageFileStoreFactory(), static_cast<int64_t>(kKeys * (kCounterKeyBytes + 20)));
}
BENCHMARK(PageFileStoreOverCache)->UseManualTime()->Iterations(30)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headrace
