#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/base/status.h"

namespace headrace {

/// Reads the partitions of a stored table before they are asked for, in order, on an I/O thread of
/// the Env: it reads, checks and decompresses while who asks works on those before.
///
/// What no thread has begun is read by who asks. So nothing waits for a thread that is not there,
/// and in a simulation every partition is read when it is asked for.
/// Threading: Take() is called by one thread at a time; `read` is called by that one and another.
class ReadAhead {
 public:
  using Payloads = Result<std::vector<std::string>>;
  struct Source {
    uint32_t count = 0;
    std::function<Payloads(uint32_t index)> read;          ///< thread-safe
    std::function<uint64_t(uint32_t index)> memory_bytes;  ///< that the payloads will take
  };

  ReadAhead(Env* env, Source source);
  /// Waits for a read that is under way.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// What `read` gives for `index`. Reading ahead goes on from there when indexes ascend; any other
  /// order is only as fast as `read`.
  Payloads Take(uint32_t index);

 private:
  struct Shared;
  void StartReading();

  Env* const env_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace headrace
