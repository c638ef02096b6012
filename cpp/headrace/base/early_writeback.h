#pragma once

#include <cstdint>

#include "headrace/base/status.h"

namespace headrace {

/// A WritableFile of a file system that can be told to write out what was appended before Sync()
/// asks for it: the disk works while its owner makes the next bytes, and Sync() finds little left.
/// Threading: as the file.
class EarlyWriteback {
 public:
  virtual ~EarlyWriteback() = default;
  /// Starts to write out what was appended since the last call, and does not wait for it. It
  /// promises nothing: only Sync() does. A failure counts like one of Append().
  virtual Status StartWriteback() = 0;
};

}  // namespace headrace
