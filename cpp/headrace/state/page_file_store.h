#pragma once

#include <memory>

#include "headrace/state/cold_store.h"

namespace headrace {

/// Stores that keep values in local files and their keys in memory: the disk backend, for values
/// from about 1 KiB. All files go through the Env.
///
/// A value is appended to the newest of a store's segment files, with a checksum that each read
/// compares; the index (cold_index.h) says where, and takes about 20 bytes beside each key. What
/// memory the index leaves keeps values that were read lately. When more than half of the files is
/// dead, each Apply also moves some of the live records out of the segment that has most to gain,
/// in proportion to what was written; a segment with no live record is deleted, unless a view needs
/// it.
///
/// Apply fails with kResourceExhausted, and changes nothing, when the index would not fit
/// `memory_bytes` (it names the way out) or when the disk is full; after the latter it may succeed
/// again. kInvalidArgument for a row of 1 GiB or more.
///
/// Statistics of a store: "keys", "index_bytes", "block_cache_bytes", "block_cache_hits" and
/// "block_cache_misses" (values), "block_reads" (reads of a file), "bytes_read", "bytes_written"
/// (moved ones included), "bytes_moved", "disk_bytes", "live_bytes", "files".
/// Threading: thread-safe; a store as ColdStore. The factory may go before its stores.
std::shared_ptr<ColdStoreFactory> MakePageFileStoreFactory();

}  // namespace headrace
