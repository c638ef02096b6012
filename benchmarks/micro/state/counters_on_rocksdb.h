// What the benches of state over RocksDB have in common: a plain loop to compare with.
#pragma once

#include <benchmark/benchmark.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/hash.h"

namespace headrace {

inline constexpr size_t kCounterKeyBytes = 16;

/// Ends the program unless `ok`.
inline void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

/// Key group and hash first, as rows of keyed state have them.
inline std::string CounterKey(uint64_t i) {
  const uint64_t hash = __builtin_bswap64(Hash64(&i, sizeof(i)));
  std::string key(kCounterKeyBytes, '\0');
  std::memcpy(key.data(), &hash, sizeof(hash));
  std::memcpy(key.data() + sizeof(hash), &i, sizeof(i));
  return key;
}

/// RocksDB as its users set it up for this: WAL off, bloom filter, a cache and write buffers that
/// share the memory.
/// Threading: owned by one thread.
class CountersOnRocksDb {
 public:
  CountersOnRocksDb(const std::string& directory, int64_t memory_bytes) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(static_cast<size_t>(memory_bytes) / 2);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = static_cast<size_t>(memory_bytes) / 4;
    options.max_write_buffer_number = 2;
    options.level_compaction_dynamic_level_bytes = true;
    options.compression = rocksdb::kLZ4Compression;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    const rocksdb::Status status = rocksdb::DB::Open(options, directory, &db);
    Require(status.ok(), status.ToString());
    db_.reset(db);
  }

  /// Keys come sorted.
  void Read(const std::vector<std::string_view>& keys, std::vector<uint64_t>* counts) {
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

  void Write(const std::vector<std::string_view>& keys, const std::vector<uint64_t>& counts) {
    rocksdb::WriteBatch batch;
    for (size_t i = 0; i < keys.size(); ++i) {
      const std::string_view value(reinterpret_cast<const char*>(&counts[i]), sizeof(counts[i]));
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

/// A new folder for one run.
inline std::string MakeFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "headrace_bench_XXXXXX";
  Require(::mkdtemp(pattern.data()) != nullptr, "no temporary folder");
  return pattern;
}

/// One turn of each an iteration; Turn() gives the seconds of `keys_per_turn` keys. The counter
/// `ratio` is the speed of `ours` to that of `theirs`, the median over the turns.
template <typename Ours, typename Theirs>
void TakeTurns(benchmark::State& state, Ours* ours, Theirs* theirs, int64_t keys_per_turn) {
  std::vector<double> ratios;
  for (auto _ : state) {
    const double their_seconds = theirs->Turn();
    const double seconds = ours->Turn();
    ratios.push_back(their_seconds / seconds);
    state.SetIterationTime(seconds);
  }
  std::sort(ratios.begin(), ratios.end());
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * keys_per_turn);
  state.counters["ratio"] = ratios[ratios.size() / 2];
  state.counters["ratio_min"] = ratios.front();
  state.counters["ratio_max"] = ratios.back();
}

}  // namespace headrace
