#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/runtime/task.h"
#include "headrace/runtime/thread_hooks.h"

namespace headrace {

/// Runs the tasks of one attempt: those without Python on a few shared threads, each that calls
/// Python on a thread of its own, or all of them on the caller's thread, in an order drawn from
/// Env::Random64, in simulation.
///
/// A task is stepped when it was woken or its deadline passed, never by two threads at once. A
/// wake-up that comes while the task runs makes it run again, so none is lost. After RequestStop()
/// every task is closed on the thread that ran it.
/// Threading: thread-safe; guarded by `mutex_`, states of tasks by their atomics.
class TaskScheduler {
 public:
  struct Options {
    Env* env = nullptr;
    int native_threads = 2;
    std::shared_ptr<ThreadHooks> hooks;      ///< may be null
    bool stepped = false;                    ///< simulation: no threads
    std::function<void(Status)> on_failure;  ///< of a step or a close; called on the task's thread
    std::function<void()> on_closed;         ///< a task was closed
  };
  explicit TaskScheduler(Options options);
  ~TaskScheduler();

  /// Before Start. `calls_host`: the task may call the host language, so it gets a thread of its
  /// own.
  void Add(std::shared_ptr<Task> task, bool calls_host);
  /// Starts threads; they hold `keep_alive` until they end, so an abandoned one never outlives what
  /// it uses.
  void Start(std::shared_ptr<void> keep_alive);
  void Wake(size_t task);
  void WakeAll();

  /// Makes every task close at its next step.
  void RequestStop();
  bool all_closed() const { return closed_.load() == static_cast<int>(slots_.size()); }
  /// Descriptions of the operators whose tasks have not come back.
  std::vector<std::string> OpenTasks() const;
  /// Waits for the threads of closed tasks and abandons the others. REQUIRES: RequestStop() was
  /// called.
  void JoinOrAbandon();

  /// Simulation: steps one ready task; false when none is.
  bool StepOne();
  /// Earliest deadline of a sleeping task, 0 when one is ready now, INT64_MAX when none ever will
  /// be.
  int64_t NextDeadlineNs();

 private:
  enum class State : uint8_t { kIdle, kQueued, kRunning, kRunningAgain };
  struct Slot {
    std::shared_ptr<Task> task;
    bool own_thread = false;
    bool calls_host = false;
    std::atomic<State> state{State::kIdle};
    std::atomic<bool> closed{false};
    int64_t deadline_ns = 0;        // guarded by mutex_
    std::condition_variable woken;  // own thread, with mutex_
    std::unique_ptr<Thread> thread;
  };
  /// Steps or closes; returns the deadline, 0 = again at once, -1 = closed.
  int64_t RunOnce(Slot* slot);
  void AfterRun(Slot* slot, int64_t deadline_ns);
  /// A worker's turn with a task: steps it until it has nothing to do or others have waited long.
  void RunTurn(Slot* slot);
  void Enqueue(Slot* slot);
  /// REQUIRES: mutex_ held.
  void PushReady(Slot* slot);
  void WakeSlot(Slot* slot);
  static bool MarkWoken(std::atomic<State>* state);
  /// Steps a task inside the hooks until it has nothing to do or has held the host long enough.
  int64_t RunHeld(Slot* slot, ThreadHooks* hooks);
  void WorkerLoop();
  void OwnThreadLoop(Slot* slot);
  /// Queues tasks whose deadline passed; returns the next one. REQUIRES: mutex_ held.
  int64_t QueueDue(int64_t now_ns);

  Options options_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<Thread>> workers_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> closed_{0};

  mutable std::mutex mutex_;
  std::condition_variable ready_changed_;
  std::deque<Slot*> ready_;                  // guarded by mutex_
  std::multimap<int64_t, Slot*> deadlines_;  // guarded by mutex_
  int sleeping_workers_ = 0;                 // guarded by mutex_
  std::atomic<int> ready_count_{0};
};

}  // namespace headrace
