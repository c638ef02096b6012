#pragma once

#include <rocksdb/options.h>

#include "headrace/state/cold_store.h"
#include "rocksdb/shared_memory.h"

namespace headrace {

/// How a scratch database is run. rocksdb_options.cc says why for each choice, with what was
/// measured.
rocksdb::Options MakeRocksDbOptions(const ColdStoreOptions& options, const SharedMemory& memory);

}  // namespace headrace
