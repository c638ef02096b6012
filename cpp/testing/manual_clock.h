#pragma once

#include <cstdint>

#include "headrace/base/check.h"

namespace headrace {

/// Time that passes only when told to. The wall clock may be set, forward and back; the steady one
/// never goes back. Threading: owned by one thread.
class ManualClock {
 public:
  explicit ManualClock(int64_t wall_ms = 0) : wall_offset_ns_(wall_ms * 1'000'000) {}

  int64_t now_ms() const {
    const int64_t ns = wall_offset_ns_ + steady_ns_;
    return ns >= 0 ? ns / 1'000'000 : -((-ns + 999'999) / 1'000'000);
  }
  int64_t steady_ns() const { return steady_ns_; }

  void AdvanceNs(int64_t ns) {
    HR_CHECK_GE(ns, 0);
    steady_ns_ += ns;
  }
  void AdvanceMs(int64_t ms) { AdvanceNs(ms * 1'000'000); }
  /// Sets the wall clock by `ms`, which may be negative, while no time passes.
  void JumpWallMs(int64_t ms) { wall_offset_ns_ += ms * 1'000'000; }

 private:
  int64_t wall_offset_ns_;
  int64_t steady_ns_ = 0;
};

}  // namespace headrace
