#pragma once

#include <rocksdb/status.h>

#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// What RocksDB says, in our codes, with "`context`: " in front. A full disk and too many open
/// files are kResourceExhausted; damage is kCorruption, and RocksDB's text names file and offset.
Status FromRocksDb(const rocksdb::Status& status, std::string_view context);

}  // namespace headrace
