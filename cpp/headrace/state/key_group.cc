#include "headrace/state/key_group.h"

#include "headrace/base/check.h"

namespace headrace {

KeyGroupRange KeyGroupRangeOf(int index, int parallelism, int max_parallelism) {
  HR_CHECK(0 <= index && index < parallelism && parallelism <= max_parallelism);
  const int64_t max = max_parallelism;
  const int64_t p = parallelism;
  return {static_cast<int>((index * max + p - 1) / p),
          static_cast<int>(((index + 1) * max - 1) / p)};
}

}  // namespace headrace
