#pragma once

#include <cstdint>

#include "headrace/base/status.h"

namespace headrace {

inline constexpr int kDefaultMaxParallelism = 128;
inline constexpr int kMaxParallelismLimit = 32768;

/// The contiguous key groups [first, last] that one subtask owns.
struct KeyGroupRange {
  int first = 0;
  int last = -1;
  bool Contains(int group) const { return first <= group && group <= last; }
  int size() const { return last - first + 1; }
  bool operator==(const KeyGroupRange&) const = default;
};

/// Groups of subtask `index` of `parallelism`: ceil(i·max/p) … floor(((i+1)·max-1)/p).
/// REQUIRES: 0 <= index < parallelism <= max_parallelism.
KeyGroupRange KeyGroupRangeOf(int index, int parallelism, int max_parallelism);

/// The subtask that owns `key_group`: key_group · p / max.
inline int SubtaskOfKeyGroup(int key_group, int parallelism, int max_parallelism) {
  return static_cast<int>(static_cast<int64_t>(key_group) * parallelism / max_parallelism);
}

}  // namespace headrace
