#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "headrace/state/keyed_state.h"
#include "headrace/state/operator_state.h"
#include "headrace/state/table_snapshot.h"
#include "headrace/storage/pending_rename.h"

namespace headrace {

using CheckpointId = uint64_t;

/// Stored progress of a source split (mirrors connectors' SplitState without depending on it).
struct SplitSnapshot {
  std::string id;
  std::string position;
  std::string watermark;
  int64_t rows_read = 0;
  bool finished = false;
};

/// What one operator subtask hands over at a barrier. Frozen: the task goes on while it is written.
struct OperatorSnapshot {
  std::string operator_id;
  std::string name;
  std::string kind;
  int subtask_index = 0;
  int parallelism = 1;
  int max_parallelism = kDefaultMaxParallelism;
  std::optional<KeyGroupRange> key_groups;  ///< keyed operators
  KeyedStateSnapshot keyed;
  std::vector<StateRegistration> registry;
  OperatorState operator_state;
  std::vector<SplitSnapshot> splits;   ///< sources
  std::vector<PendingRename> renames;  ///< sinks
  bool finished = false;               ///< the subtask has used up all its input
};

/// What one task (chain subtask) hands over at a barrier.
struct TaskSnapshot {
  int task = 0;  ///< index of the task in the job
  std::vector<OperatorSnapshot> operators;
};

}  // namespace headrace
