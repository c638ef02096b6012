#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/storage/codec.h"

namespace headrace {

/// A key and its value, both encoded (types/value_codec.h).
struct PartitionEntry {
  std::string key;
  std::string value;
};

/// One partition of keyed state that is stored for itself: document 004's StatePartition. It is a
/// checkpoint like any other, with one operator and one state, in two files of `directory`:
/// `<name>.manifest`, and a data file that it names.
struct StoredPartitionSpec {
  std::string directory;
  std::string name;       ///< also the operator's id
  std::string data_name;  ///< of the data file; never used before
  uint64_t version = 1;   ///< grows with every save
  int partition = 0;
  int partitions = 1;
  Compression compression;
};

/// What saving gave.
struct SavedPartition {
  uint64_t raw_bytes = 0;          ///< S: serialised
  uint64_t stored_bytes = 0;       ///< C: the same compressed
  uint64_t file_bytes = 0;         ///< both files, headers included
  std::vector<std::string> files;  ///< their names, the manifest last
};

/// Writes both files; the manifest is the last to get its name, so an older version is whole until
/// the new one is. Keys must be distinct (kInvalidArgument).
Result<SavedPartition> SaveStatePartition(Env* env, const StoredPartitionSpec& spec,
                                          const std::vector<PartitionEntry>& entries);
/// The entries in the order they were saved in. `manifest` (may be null) receives what was read.
/// kNotFound when there is no such manifest; kCorruption naming file and offset.
Result<std::vector<PartitionEntry>> LoadStatePartition(Env* env, const std::string& path,
                                                       Manifest* manifest);

}  // namespace headrace
