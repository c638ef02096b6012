#pragma once

#include <cstdint>
#include <string>

#include "headrace/base/env.h"
#include "headrace/base/status.h"

namespace headrace {

/// What was written anew.
struct RekeyReport {
  uint64_t checkpoints = 0;
  uint64_t files = 0;
  uint64_t bytes = 0;
};

/// Writes the checkpoints of a job's directory anew so that all of their files are encrypted with
/// the key `key_id`, or in the clear for "". A file that is so already is kept. New data files come
/// first, under names of their own; then each manifest is replaced by a rename; then the old data
/// files go, when no manifest names them. Cut off anywhere, every checkpoint is whole under one key
/// or the other, and calling it again completes the work.
/// kFailedPrecondition when a job uses the directory (`LOCK`); a KeyProblem when a key is missing.
Result<RekeyReport> RekeyCheckpoints(Env* env, const std::string& directory,
                                     const std::string& key_id);

}  // namespace headrace
