// A counter by key of which the row cache holds a quarter: batches of 4,096 int64 keys drawn
// uniformly go through KeyedState as an operator of the engine uses it, over each cold store.
// Beside it runs a plain RocksDB loop that batches the same way (one MultiGet, one write a batch)
// and may use as much memory; its keys are encoded and sorted before its clock starts. `ratio` is
// to that loop, in the same run, the two taking turns; each count is compared with a plain array.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "counters_on_rocksdb.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/page_file_store.h"
#include "rocksdb/rocksdb_store_factory.h"

namespace headrace {
namespace {

constexpr size_t kBatch = 4096;
constexpr uint64_t kKeys = 2'000'000;
constexpr int kRoundsWarm = 200;
constexpr int kRoundsPerTurn = 10;
constexpr int64_t kStatePerCache = 4;

/// Counts keys of batches and checks each count. Threading: owned by one thread.
class CountedKeys {
 public:
  explicit CountedKeys(int seed) : model_(kKeys), random_(seed) {}
  virtual ~CountedKeys() = default;

  /// Seconds of one batch of keys drawn uniformly.
  double Round() {
    for (size_t i = 0; i < kBatch; ++i) keys_[i] = random_() % kKeys;
    return Count();
  }
  /// Counts all keys once, in random order.
  void Fill() {
    std::vector<uint64_t> all(kKeys);
    for (uint64_t i = 0; i < kKeys; ++i) all[i] = i;
    std::shuffle(all.begin(), all.end(), std::mt19937_64(1));
    for (size_t from = 0; from + kBatch <= kKeys; from += kBatch) {
      std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(from), kBatch, keys_.begin());
      Count();
    }
  }
  double Turn() {
    double seconds = 0;
    for (int i = 0; i < kRoundsPerTurn; ++i) seconds += Round();
    return seconds;
  }

 protected:
  /// Counts `keys`, which may hold one several times; gives the new count of each.
  virtual double CountBatch(const std::vector<uint64_t>& keys, std::vector<uint64_t>* counts) = 0;

 private:
  double Count() {
    const double seconds = CountBatch(keys_, &counts_);
    for (const uint64_t key : keys_) ++model_[key];
    for (size_t i = 0; i < kBatch; ++i) {
      Require(counts_[i] <= model_[keys_[i]], "a wrong count was read");
    }
    // The last count of a key in its batch is the newest.
    seen_.clear();
    for (size_t i = kBatch; i-- > 0;) seen_.emplace_back(keys_[i], counts_[i]);
    std::stable_sort(seen_.begin(), seen_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < kBatch; ++i) {
      if (i > 0 && seen_[i].first == seen_[i - 1].first) continue;
      Require(seen_[i].second == model_[seen_[i].first], "a wrong count was read");
    }
    return seconds;
  }

  std::vector<uint64_t> model_;
  std::mt19937_64 random_;
  std::vector<uint64_t> keys_ = std::vector<uint64_t>(kBatch);
  std::vector<uint64_t> counts_ = std::vector<uint64_t>(kBatch);
  std::vector<std::pair<uint64_t, uint64_t>> seen_;
};

class KeyedStateCounters final : public CountedKeys {
 public:
  KeyedStateCounters(int64_t budget_bytes, std::unique_ptr<ColdStore> cold)
      : CountedKeys(2), keyed_({0, 127}, 128, budget_bytes, std::move(cold)) {
    auto count = keyed_.RegisterFixed("count", "value<int64>", 8);
    Require(count.ok(), count.status().ToString());
    count_ = *count;
  }
  KeyedState& keyed() { return keyed_; }

 private:
  double CountBatch(const std::vector<uint64_t>& keys, std::vector<uint64_t>* counts) override {
    const auto start = std::chrono::steady_clock::now();
    keyed_.keys().LookupOrInsertInts(reinterpret_cast<const int64_t*>(keys.data()),
                                     static_cast<int64_t>(kBatch), ids_.data());
    for (size_t i = 0; i < kBatch; ++i) {
      (*counts)[i] = ++*reinterpret_cast<uint64_t*>(count_->MutableRow(ids_[i]));
    }
    keyed_.Maintain();
    Require(keyed_.CheckBudget().ok(), keyed_.CheckBudget().ToString());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return taken.count();
  }

  KeyedState keyed_;
  FixedValueState* count_ = nullptr;
  std::vector<KeyId> ids_ = std::vector<KeyId>(kBatch);
};

class PlainCounters final : public CountedKeys {
 public:
  PlainCounters(const std::string& directory, int64_t memory_bytes)
      : CountedKeys(2), rocksdb_(directory, memory_bytes) {}

 private:
  double CountBatch(const std::vector<uint64_t>& keys, std::vector<uint64_t>* counts) override {
    std::vector<std::pair<std::string, size_t>> sorted;
    for (size_t i = 0; i < kBatch; ++i) sorted.emplace_back(CounterKey(keys[i]), i);
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<std::string_view> distinct;
    for (const auto& [key, at] : sorted) {
      if (distinct.empty() || distinct.back() != key) distinct.push_back(key);
    }
    std::vector<uint64_t> values;
    const auto start = std::chrono::steady_clock::now();
    rocksdb_.Read(distinct, &values);
    size_t place = 0;
    for (const auto& [key, at] : sorted) {
      if (distinct[place] != key) ++place;
      (*counts)[at] = ++values[place];
    }
    rocksdb_.Write(distinct, values);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return taken.count();
  }

  CountersOnRocksDb rocksdb_;
};

int64_t BytesInMemory() {
  KeyedStateCounters all(int64_t{1} << 40, nullptr);
  all.Fill();
  return all.keyed().memory_bytes();
}

void Compare(benchmark::State& state, const std::shared_ptr<ColdStoreFactory>& factory) {
  const std::string folder = MakeFolder();
  {
    const int64_t budget = BytesInMemory() / kStatePerCache;
    ColdStoreOptions options;
    options.directory = folder + "/store";
    options.memory_bytes = budget / KeyedState::kColdStoreShare;
    auto opened = factory->Open(&RealEnv(), options);
    Require(opened.ok(), opened.status().ToString());
    KeyedStateCounters ours(budget, std::move(*opened));
    PlainCounters plain(folder + "/plain", budget);
    for (CountedKeys* one : {static_cast<CountedKeys*>(&ours), static_cast<CountedKeys*>(&plain)}) {
      one->Fill();
      for (int i = 0; i < kRoundsWarm; ++i) one->Round();
    }
    TakeTurns(state, &ours, &plain, kRoundsPerTurn * static_cast<int64_t>(kBatch));
    state.counters["budget_bytes"] = static_cast<double>(budget);
    state.counters["memory_bytes"] = static_cast<double>(ours.keyed().memory_bytes());
    state.counters["keys_cached"] = static_cast<double>(ours.keyed().keys().live_keys());
    for (const auto& [name, value] : ours.keyed().ColdStatistics()) {
      state.counters[name] = static_cast<double>(value);
    }
  }
  std::filesystem::remove_all(folder);
}

void RowCacheOverRocksDb(benchmark::State& state) { Compare(state, MakeRocksDbStoreFactory()); }
BENCHMARK(RowCacheOverRocksDb)->UseManualTime()->Iterations(30)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace headrace
