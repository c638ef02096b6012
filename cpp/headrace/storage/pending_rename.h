#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/base/hash.h"
#include "headrace/base/status.h"

namespace headrace {

/// A finished, synced temporary file that becomes visible under its final name once a checkpoint is
/// decided.
struct PendingRename {
  std::string temporary_path;
  std::string final_path;
  uint64_t size_bytes = 0;
  Digest128 digest;
};

/// Publishes in any state a crash can leave behind: temporary present → renamed; final name present
/// with equal size and digest → done already; neither, or a final name with other content →
/// kCorruption naming both paths. Never replaces a file. Syncs each directory once. Idempotent.
Status PublishAll(FileSystem& files, const std::vector<PendingRename>& renames);

/// Reads every byte that PublishAll() would make visible, or finds it visible already: kCorruption
/// naming the file whose length or content is not what the checkpoint committed. Changes nothing.
Status CheckPublishable(FileSystem& files, const PendingRename& rename);

}  // namespace headrace
