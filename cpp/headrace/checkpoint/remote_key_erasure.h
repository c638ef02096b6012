#pragma once

#include <memory>
#include <string>

#include "headrace/base/env.h"
#include "headrace/base/status.h"
#include "headrace/checkpoint/checkpoint_transport.h"
#include "headrace/checkpoint/key_erasure.h"

namespace headrace {

/// EraseKey() for a remote directory that no job uses; all of its checkpoints are brought to
/// `staging`, a local directory that nobody else uses.
///
/// kFailedPrecondition when a run there has not ended and its process may be alive. With
/// `job_is_gone` it is taken for dead; if it is not, it fails at its next checkpoint.
Result<ErasureReport> EraseKeyRemotely(Env* env, std::shared_ptr<CheckpointTransport> transport,
                                       const std::string& staging, const KeyErasure& erasure,
                                       bool job_is_gone);

}  // namespace headrace
