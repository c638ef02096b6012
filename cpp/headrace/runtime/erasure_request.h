#pragma once

#include <memory>
#include <utility>

#include "headrace/base/awaited_result.h"
#include "headrace/checkpoint/key_erasure.h"

namespace headrace {

/// A key that somebody wants a running job to forget; its result is what was erased, or why nothing
/// was.
/// Threading: thread-safe.
class ErasureRequest : public AwaitedResult<ErasureReport> {
 public:
  explicit ErasureRequest(KeyErasure erasure) : erasure_(std::move(erasure)) {}

  const KeyErasure& erasure() const { return erasure_; }

 private:
  const KeyErasure erasure_;
};
using ErasureRequestPtr = std::shared_ptr<ErasureRequest>;

}  // namespace headrace
