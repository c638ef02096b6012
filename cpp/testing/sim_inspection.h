#pragma once

#include <string>

#include "headrace/base/env.h"
#include "testing/sim_graph.h"
#include "testing/sim_job_graph.h"

namespace headrace {

/// What must hold of the checkpoints in `directory` (a job's own) whenever no process writes them.
/// Each returns what is wrong, or "". `graph` is the one that `job` was made of.

/// No file that a manifest names is missing or of another length.
std::string FindMissingFiles(FileSystem& files, const std::string& directory);
/// The newest checkpoint, or the savepoint in `directory`, is what a plain loop makes of the source
/// rows before its offsets: the watermark of each split, and count, list and keys of each keyed
/// step that only stateless steps part from the sources. So no row from after the barrier is in it,
/// and none from before is missing.
std::string CompareSnapshot(Env* env, const std::string& directory, const SimGraph& graph,
                            const SimJobGraph& job);
/// No data file that only checkpoints before the second newest could name is left over.
std::string FindOrphans(FileSystem& files, const std::string& directory);
/// Id of the newest manifest; 0 when there is none.
int64_t NewestCheckpoint(FileSystem& files, const std::string& directory);

}  // namespace headrace
