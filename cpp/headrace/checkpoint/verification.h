#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"

namespace headrace {

/// A place where a stored file is not what was written.
struct Damage {
  std::string path;
  uint64_t offset = 0;  ///< of the first byte of the smallest unit whose checksum fails
  std::string what;
};

/// One checkpoint of a directory, and whether all of it is there.
struct CheckedCheckpoint {
  std::string manifest_path;
  CheckpointId id = 0;  ///< 0: the manifest cannot be read
  CheckpointKind kind = CheckpointKind::kCheckpoint;
  bool whole = false;
};

/// What reading every byte of some checkpoints gave.
struct DirectoryReport {
  uint64_t files = 0;
  uint64_t bytes_on_disk = 0;  ///< size of these files
  uint64_t bytes_read = 0;     ///< of them, counted where they were read; no byte counts twice
  std::vector<Damage> damage;  ///< one a damaged file, sorted by path
  std::vector<CheckedCheckpoint> checkpoints;  ///< newest last
  std::vector<std::string> unreferenced;       ///< data files that no manifest names

  /// The newest whole one, or null.
  const CheckedCheckpoint* newest_whole() const;
};

/// Reads every byte of all checkpoints of a job's directory, or of the one whose manifest (or name
/// without `.manifest`) is given; files that several share are read once. Of the newest also the
/// sink files that it commits. Goes on after damage; a failure means that nothing is there to be
/// checked. Takes no lock and changes nothing.
Result<DirectoryReport> VerifyStored(FileSystem& files, const std::string& path);

}  // namespace headrace
