#include "rocksdb/rocksdb_options.h"

#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>

#include <algorithm>

namespace headrace {

namespace {

constexpr size_t kWriteBufferBytesMin = 64 << 10;
constexpr uint64_t kFileBytesMin = 1 << 20;
constexpr uint64_t kFileBytesMax = 64 << 20;
// Open files are descriptors; the cache of open tables makes room.
constexpr int kOpenFilesMax = 128;

rocksdb::BlockBasedTableOptions TableOptions(const SharedMemory& memory) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = memory.cache();
  table.block_size = 4096;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;  // Debian's build has no fast CRC32C
  // A key's own filter and that of its prefix, ten bits each: a wrong hit in a hundred.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  table.detect_filter_construct_corruption = true;
  // Everything that memory is needed for counts against the one cache. Cut into blocks, index and
  // filters of a state far larger than the cache are read in part, not in whole files.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_top_level_index_and_filter = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = 4096;
  table.optimize_filters_for_memory = true;
  const rocksdb::CacheEntryRoleOptions charged{rocksdb::CacheEntryRoleOptions::Decision::kEnabled};
  table.cache_usage_options.options_overrides = {
      {rocksdb::CacheEntryRole::kBlockBasedTableReader, {charged.charged}},
      {rocksdb::CacheEntryRole::kFilterConstruction, {charged.charged}},
  };
  return table;
}

void SetChecks(rocksdb::Options* options) {
  options->paranoid_checks = true;
  options->force_consistency_checks = true;
  options->verify_sst_unique_id_in_manifest = true;
  options->file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
}

void SetSizes(size_t write_buffer_bytes, rocksdb::Options* options) {
  // Three of a sixth: one fills, one waits, one is being flushed. Together half of the store's
  // share; when all are full, writers wait.
  options->write_buffer_size = write_buffer_bytes;
  options->max_write_buffer_number = 3;
  options->target_file_size_base =
      std::clamp<uint64_t>(write_buffer_bytes, kFileBytesMin, kFileBytesMax);
  options->max_bytes_for_level_base = 4 * options->target_file_size_base;
  options->level_compaction_dynamic_level_bytes = true;
  options->max_open_files = kOpenFilesMax;
}

}  // namespace

rocksdb::Options MakeRocksDbOptions(const ColdStoreOptions& options, const SharedMemory& memory) {
  rocksdb::Options made;
  made.create_if_missing = true;
  made.error_if_exists = true;
  made.env = memory.env();
  made.write_buffer_manager = memory.write_buffers();
  SetChecks(&made);
  SetSizes(std::max<size_t>(kWriteBufferBytesMin, static_cast<size_t>(options.memory_bytes) / 6),
           &made);
  made.table_factory.reset(rocksdb::NewBlockBasedTableFactory(TableOptions(memory)));
  made.prefix_extractor.reset(rocksdb::NewCappedPrefixTransform(options.prefix_bytes));
  // Most lookups of rows on disk pass the write buffers; a small filter spares the walk.
  made.memtable_prefix_bloom_size_ratio = 0.1;
  made.memtable_whole_key_filtering = true;
  // One writer: nothing to insert concurrently, no group to wait for.
  made.allow_concurrent_memtable_write = false;
  made.enable_write_thread_adaptive_yield = false;
  made.avoid_flush_during_shutdown = true;  // the directory goes with the store
  made.avoid_unnecessary_blocking_io = true;
  made.compression = rocksdb::kLZ4Compression;
  made.bottommost_compression = rocksdb::kZSTD;
  made.bottommost_compression_opts.level = 1;
  made.bottommost_compression_opts.enabled = true;
  made.max_background_jobs = 2;
  made.max_bgerror_resume_count = 0;  // an error fails the attempt
  made.statistics = rocksdb::CreateDBStatistics();
  made.statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  made.stats_dump_period_sec = 0;
  made.stats_persist_period_sec = 0;
  made.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  made.keep_log_file_num = 1;
  return made;
}

}  // namespace headrace
