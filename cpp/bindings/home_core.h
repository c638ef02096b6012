#pragma once

#include <sched.h>

#include <atomic>

namespace headrace::bindings {

/// The core on which the interpreter's lock was last held. What its next holder reads, the objects
/// that the last one made, is in that core's cache: a task thread that has got the lock moves there.
/// It is moved once and may be moved on by the system; nothing stays pinned.
/// Threading: used by whoever holds the interpreter's lock.
class HomeCore {
 public:
  /// Moves the calling thread to the core, unless it runs there, or may not.
  static void MoveTo();
  /// The calling thread gives the lock up.
  static void Leave() { core_.store(sched_getcpu(), std::memory_order_relaxed); }

 private:
  static std::atomic<int> core_;
};

}  // namespace headrace::bindings
