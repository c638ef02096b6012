#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headrace {

/// What a host language does around the work of tasks that call it. One object serves one job; the
/// runtime knows nothing of interpreters and locks beyond this.
///
/// Order on one task thread: OnTaskThreadStart, then EnterStep … LeaveStep around one or more
/// slices of work (Make, Open and Close of operators included) with BetweenSteps after each, then
/// OnTaskThreadStop. A task sleeps only outside EnterStep / LeaveStep.
/// Threading: thread-safe; called from the task threads, the last two from the job's loop.
class ThreadHooks {
 public:
  virtual ~ThreadHooks() = default;
  virtual void OnTaskThreadStart() {}
  virtual void OnTaskThreadStop() {}
  virtual void EnterStep() {}
  virtual void LeaveStep() {}
  virtual void BetweenSteps() {}
  /// How long a busy task may stay between EnterStep and LeaveStep. CPython's lock goes to a waiter
  /// only when that has waited for the switch interval; a task that gave it up earlier and took it
  /// back at once would starve all other threads, so it is kept for longer than that.
  virtual int64_t HoldNs() const { return 0; }
  /// The job is stopping and task threads have been inside a step for 100 ms: raise in them.
  virtual void InterruptThreads() {}
  /// Where task threads are inside host code now, for messages: "file.py:12 in process".
  virtual std::vector<std::string> WhereThreads() { return {}; }
};

}  // namespace headrace
