#pragma once

#include <cstdint>

namespace headrace {

/// Number of a checkpoint within a job; counts from 1 and never goes back. 0 = none yet.
using CheckpointId = uint64_t;
/// Place of a task among the parallel tasks of its operator chain, from 0.
using SubtaskIndex = int32_t;
/// The smallest share of keys that can move between subtasks; below the max parallelism (≤ 32768).
using KeyGroup = uint16_t;

}  // namespace headrace
