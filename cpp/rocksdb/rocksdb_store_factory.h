#pragma once

#include <memory>

#include "headrace/state/cold_store.h"

namespace headrace {

/// Stores that keep their rows in RocksDB databases, one a store, in `<directory>/db`.
///
/// All stores of a factory share one block cache and one budget for write buffers, together as
/// large as the `memory_bytes` of the stores that are open; a store that is busy may use what
/// others leave. Write buffers take at most half, and make room in the cache. Nothing is logged or
/// synced: the directory is scratch. RocksDB opens its files and starts its threads itself, so this
/// is for production only, not for a simulated Env.
///
/// Statistics of a store, of RocksDB's own counters: "block_cache_hits", "block_cache_misses"
/// (data, index and filter blocks), "block_reads" (reads of a file, compaction's included),
/// "bytes_read", "bloom_filtered" (lookups that a filter ended), "bytes_written" and
/// "compaction_bytes_written", "stall_micros", "memtable_bytes", "block_cache_bytes" (of the whole
/// cache, used), "disk_bytes", "keys" (RocksDB's estimate), "files".
/// Threading: thread-safe. Stores keep what they share; the factory may go first.
std::shared_ptr<ColdStoreFactory> MakeRocksDbStoreFactory();

}  // namespace headrace
