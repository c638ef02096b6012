#pragma once

#include <cstdint>

#include "headrace/state/key_group.h"

namespace headrace {

/// Cuts the prefixes (cold_key.h) of a subtask's key groups into ranges of equal size: the
/// partitions of a table that goes by keys. Equal ranges and counts give equal cuts, so a chain of
/// partitions goes on after a restore.
struct ColdBuckets {
  static constexpr uint32_t kMax = 1u << 16;

  KeyGroupRange range;
  uint32_t count = 1;  ///< a power of two

  uint32_t Of(uint64_t prefix) const {
    return static_cast<uint32_t>(Wide{prefix - Offset()} * count / Total());
  }
  /// First prefix of a bucket; that of bucket `count` is the end.
  uint64_t Begin(uint32_t bucket) const {
    return Offset() + static_cast<uint64_t>((Wide{Total()} * bucket + count - 1) / count);
  }

 private:
  __extension__ using Wide = unsigned __int128;

  uint64_t Offset() const { return static_cast<uint64_t>(range.first) << 32; }
  uint64_t Total() const { return static_cast<uint64_t>(range.size()) << 32; }
};

}  // namespace headrace
