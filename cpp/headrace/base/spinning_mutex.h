#pragma once

#include <mutex>

namespace headrace {

/// A mutex for sections well under a microsecond: who finds it taken asks again for a while before
/// it lets the system put it to sleep, which costs more than the section.
/// Threading: thread-safe.
class SpinningMutex {
 public:
  void lock() {
    for (int i = 0; i < kAttempts; ++i) {
      if (mutex_.try_lock()) return;
      Relax();
    }
    mutex_.lock();
  }
  void unlock() { mutex_.unlock(); }

 private:
  static constexpr int kAttempts = 100;

  static void Relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  std::mutex mutex_;
};

}  // namespace headrace
