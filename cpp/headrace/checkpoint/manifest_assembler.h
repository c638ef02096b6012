#pragma once

#include <vector>

#include "headrace/base/status.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/checkpoint/snapshot_writer.h"
#include "headrace/checkpoint/task_snapshot.h"

namespace headrace {

/// A task's snapshot and what writing it gave.
struct WrittenSnapshot {
  TaskSnapshot snapshot;
  WrittenTask written;
};

/// Merges what the tasks wrote into `manifest`, whose other fields are left alone: operators in the
/// order of the tasks that have them, subtasks by index, splits by id, registry lines summed, every
/// file once. The result does not depend on the order in which tasks finished. kInternal, naming
/// the operator, when tasks disagree about it.
Status AssembleManifest(const std::vector<WrittenSnapshot>& tasks, Manifest* manifest);

}  // namespace headrace
