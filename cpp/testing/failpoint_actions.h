#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/failpoint.h"

namespace headrace {

/// Installs a failpoint action for its own lifetime. One at a time. Threading: as
/// SetFailpointAction(); the counting itself is thread-safe, as hits may come from any thread.
class ScopedFailpoints {
 public:
  /// Counts hits and lets everything pass.
  ScopedFailpoints();
  ~ScopedFailpoints();
  ScopedFailpoints(const ScopedFailpoints&) = delete;
  ScopedFailpoints& operator=(const ScopedFailpoints&) = delete;

  /// Names that count: those that start with `prefix` ("" = all) and whose detail contains
  /// `detail_part`.
  void Watch(std::string prefix, std::string detail_part = "");
  /// The k-th watched hit from now (1 = the next) fails with `failure`, the others pass.
  void FailAt(uint64_t k, Status failure);
  /// Every watched hit from the k-th on fails: the disk stays broken.
  void FailFrom(uint64_t k, Status failure);
  /// The k-th watched hit kills the process by SIGKILL: nothing is flushed, no destructor runs.
  void KillAt(uint64_t k);

  /// Watched hits since the last of the calls above.
  uint64_t hits() const { return hits_.load(); }

 private:
  enum class Mode : unsigned char { kCount, kFailOnce, kFailOn, kKill };

  void Arm(Mode mode, uint64_t k, Status failure);
  Status Hit(std::string_view name, std::string_view detail);

  std::string prefix_;
  std::string detail_part_;
  Mode mode_ = Mode::kCount;
  uint64_t k_ = 0;
  Status failure_;
  std::atomic<uint64_t> hits_{0};
};

}  // namespace headrace
