#pragma once

#include <cstdint>
#include <string>

#include "headrace/base/env.h"
#include "headrace/base/status.h"

namespace headrace {

class CheckpointRewriter;

/// Which key is to be gone.
struct KeyErasure {
  std::string key;          ///< canonical encoding
  std::string operator_id;  ///< of the one operator that forgets it; "": all of them
};

/// What was erased.
struct ErasureReport {
  uint64_t checkpoints = 0;  ///< written anew
  uint64_t files = 0;        ///< data files written anew
  uint64_t bytes = 0;        ///< of new files and manifests
  uint64_t removed = 0;      ///< data files that no checkpoint named, left by a crash
  /// Rows of the key, its entry in key dictionaries and its timers, over all checkpoints.
  uint64_t rows = 0;
};

/// Writes the checkpoints or the savepoint in `directory` anew without what keyed state holds of
/// one key: rows of every kind of table, window slices, timers, the key itself. Also what no
/// checkpoint shows any more, though its bytes are in the files: rows that later deltas cover,
/// blocks that nobody names, data files that a crash left. Afterwards no file holds bytes of the
/// key's state; the state of all other keys is as it was. Files stay encrypted with the keys that
/// they have.
///
/// Operator state, broadcast state, positions of sources and files of sinks are no keyed state and
/// stay. Takes memory for one partition, not for the state. See CheckpointRewriter for what being
/// cut off leaves; calling it again completes the work.
///
/// kFailedPrecondition when a job uses the directory (`LOCK`); kCorruption when any checkpoint
/// there is damaged: nothing is changed then; a KeyProblem when an encryption key is missing;
/// kNotFound without a checkpoint, or when none has the operator.
Result<ErasureReport> EraseKey(Env* env, const std::string& directory, const KeyErasure& erasure);

/// The same with a rewriter of the directory, for whoever has its lock.
Result<ErasureReport> EraseKey(Env* env, CheckpointRewriter* rewriter, const KeyErasure& erasure);

}  // namespace headrace
