#include "headrace/runtime/task_scheduler.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace headrace {

namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kAgain = 0;
constexpr int64_t kClosed = -1;
// About 5 µs: longer than a hand-over between two running tasks, shorter than a sleep costs.
constexpr int kSpins = 100;
constexpr int64_t kLongestSleepNs = 1'000'000'000;
// Steps of one task in a row. A task that moves to another worker finds cold caches, so it should
// not move at every step; a turn is about 1 ms at most, so that the others do not wait long.
constexpr int kStepsPerTurn = 8;

void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// True when the task was idle and has to be queued. Always writes, also where the state stays:
// whoever takes the task to run it reads what was written here, and so sees everything that
// happened before the wake-up.
bool TaskScheduler::MarkWoken(std::atomic<State>* state) {
  State seen = state->load(std::memory_order_relaxed);
  State next;
  do {
    next = seen == State::kIdle      ? State::kQueued
           : seen == State::kRunning ? State::kRunningAgain
                                     : seen;
  } while (!state->compare_exchange_weak(seen, next, std::memory_order_acq_rel));
  return seen == State::kIdle;
}

TaskScheduler::TaskScheduler(Options options) : options_(std::move(options)) {}
TaskScheduler::~TaskScheduler() = default;

void TaskScheduler::Add(std::shared_ptr<Task> task, bool calls_host) {
  auto slot = std::make_unique<Slot>();
  slot->task = std::move(task);
  slot->calls_host = calls_host;
  slot->own_thread = calls_host && !options_.stepped;
  slot->deadline_ns = kNever;
  Slot* raw = slot.get();
  slot->task->SetWaker([this, raw] { WakeSlot(raw); });
  slots_.push_back(std::move(slot));
}

void TaskScheduler::Start(std::shared_ptr<void> keep_alive) {
  WakeAll();
  if (options_.stepped) return;
  int native_tasks = 0;
  for (const auto& slot : slots_) {
    if (!slot->own_thread) {
      ++native_tasks;
      continue;
    }
    slot->thread = options_.env->StartThread(
        "hr-" + slot->task->name(), [this, raw = slot.get(), keep_alive] { OwnThreadLoop(raw); });
  }
  const int workers = std::min(native_tasks, std::max(1, options_.native_threads));
  for (int i = 0; i < workers; ++i) {
    workers_.push_back(options_.env->StartThread("hr-worker-" + std::to_string(i),
                                                 [this, keep_alive] { WorkerLoop(); }));
  }
}

void TaskScheduler::Wake(size_t task) { WakeSlot(slots_[task].get()); }

void TaskScheduler::WakeAll() {
  for (const auto& slot : slots_) WakeSlot(slot.get());
}

void TaskScheduler::WakeSlot(Slot* slot) {
  if (MarkWoken(&slot->state)) Enqueue(slot);
}

void TaskScheduler::Enqueue(Slot* slot) {
  std::lock_guard lock(mutex_);
  if (slot->own_thread) {
    slot->woken.notify_one();
    return;
  }
  PushReady(slot);
  if (sleeping_workers_ > 0) ready_changed_.notify_one();
}

void TaskScheduler::PushReady(Slot* slot) {
  ready_.push_back(slot);
  ready_count_.fetch_add(1, std::memory_order_release);
}

void TaskScheduler::RequestStop() {
  stopping_ = true;
  for (const auto& slot : slots_) slot->task->CancelSource();
  WakeAll();
  std::lock_guard lock(mutex_);
  ready_changed_.notify_all();
}

int64_t TaskScheduler::RunOnce(Slot* slot) {
  Task* task = slot->task.get();
  if (!stopping_.load(std::memory_order_acquire)) {
    const Result<Task::Outcome> outcome = task->Step();
    if (outcome.ok()) {
      return *outcome == Task::Outcome::kProgress ? kAgain : task->next_wake_ns();
    }
    options_.on_failure(outcome.status());
  }
  const Status closed = task->Close();
  if (!closed.ok()) options_.on_failure(closed);
  return kClosed;
}

void TaskScheduler::AfterRun(Slot* slot, int64_t deadline_ns) {
  if (deadline_ns == kClosed) {
    slot->closed = true;
    closed_.fetch_add(1);
    if (all_closed()) {
      std::lock_guard lock(mutex_);
      ready_changed_.notify_all();
    }
    if (options_.on_closed) options_.on_closed();
    return;  // stays kRunning, so nobody queues it again
  }
  if (deadline_ns != kAgain) {
    {
      std::lock_guard lock(mutex_);
      const bool known = slot->deadline_ns == deadline_ns;
      slot->deadline_ns = deadline_ns;
      if (deadline_ns != kNever && !known && !slot->own_thread) {
        deadlines_.emplace(deadline_ns, slot);
        // A worker that sleeps longer than this has to look again.
        if (deadlines_.begin()->second == slot) ready_changed_.notify_one();
      }
    }
    State running = State::kRunning;
    if (slot->state.compare_exchange_strong(running, State::kIdle, std::memory_order_acq_rel)) {
      return;
    }
  }
  slot->state.exchange(State::kQueued, std::memory_order_acq_rel);
  if (slot->own_thread) return;
  // No wake-up for the task itself: the worker that ran it looks at the queue next.
  std::lock_guard lock(mutex_);
  if (!ready_.empty() && sleeping_workers_ > 0) ready_changed_.notify_one();
  PushReady(slot);
}

int64_t TaskScheduler::QueueDue(int64_t now_ns) {
  while (!deadlines_.empty()) {
    const auto first = deadlines_.begin();
    Slot* slot = first->second;
    if (first->first > now_ns) return first->first;
    const bool current = slot->deadline_ns == first->first;
    deadlines_.erase(first);
    if (!current) continue;  // the task has run since and said something else
    slot->deadline_ns = kNever;
    if (MarkWoken(&slot->state)) PushReady(slot);
  }
  return kNever;
}

void TaskScheduler::RunTurn(Slot* slot) {
  slot->state.exchange(State::kRunning, std::memory_order_acq_rel);
  int64_t deadline_ns = kAgain;
  for (int steps = 0; steps < kStepsPerTurn && deadline_ns == kAgain; ++steps) {
    deadline_ns = RunOnce(slot);
  }
  AfterRun(slot, deadline_ns);
}

void TaskScheduler::WorkerLoop() {
  std::unique_lock lock(mutex_);
  bool spun = false;
  while (!(stopping_ && all_closed())) {
    const int64_t now_ns = deadlines_.empty() ? 0 : options_.env->SteadyNs();
    const int64_t next_ns = QueueDue(now_ns);
    if (!ready_.empty()) {
      Slot* slot = ready_.front();
      ready_.pop_front();
      ready_count_.fetch_sub(1, std::memory_order_relaxed);
      lock.unlock();
      spun = false;
      RunTurn(slot);
      lock.lock();
      continue;
    }
    if (!spun) {
      spun = true;
      lock.unlock();
      for (int i = 0; i < kSpins && ready_count_.load(std::memory_order_acquire) == 0; ++i) {
        CpuRelax();
      }
      lock.lock();
      continue;
    }
    ++sleeping_workers_;
    const int64_t sleep_ns = next_ns == kNever
                                 ? kLongestSleepNs
                                 : std::clamp<int64_t>(next_ns - now_ns, 1000, kLongestSleepNs);
    ready_changed_.wait_for(lock, std::chrono::nanoseconds(sleep_ns));
    --sleeping_workers_;
    spun = false;
  }
}

int64_t TaskScheduler::RunHeld(Slot* slot, ThreadHooks* hooks) {
  hooks->EnterStep();
  const int64_t until_ns = options_.env->SteadyNs() + hooks->HoldNs();
  int64_t deadline_ns = kAgain;
  do {
    deadline_ns = RunOnce(slot);
    hooks->BetweenSteps();
  } while (deadline_ns == kAgain && options_.env->SteadyNs() < until_ns);
  hooks->LeaveStep();
  return deadline_ns;
}

void TaskScheduler::OwnThreadLoop(Slot* slot) {
  ThreadHooks* hooks = options_.hooks.get();
  if (hooks) hooks->OnTaskThreadStart();
  while (true) {
    slot->state.exchange(State::kRunning, std::memory_order_acq_rel);
    const int64_t deadline_ns = hooks ? RunHeld(slot, hooks) : RunOnce(slot);
    AfterRun(slot, deadline_ns);
    if (deadline_ns == kClosed) break;
    if (slot->state.load(std::memory_order_acquire) != State::kIdle) continue;
    std::unique_lock lock(mutex_);
    while (slot->state.load(std::memory_order_acquire) == State::kIdle) {
      if (deadline_ns == kNever) {
        slot->woken.wait(lock);
        continue;
      }
      const int64_t now_ns = options_.env->SteadyNs();
      if (now_ns >= deadline_ns) break;
      slot->woken.wait_for(lock, std::chrono::nanoseconds(deadline_ns - now_ns));
    }
  }
  if (hooks) hooks->OnTaskThreadStop();
}

std::vector<std::string> TaskScheduler::OpenTasks() const {
  std::vector<std::string> names;
  for (const auto& slot : slots_) {
    if (!slot->closed) names.push_back(slot->task->DescribeCurrent());
  }
  return names;
}

void TaskScheduler::JoinOrAbandon() {
  const bool all = all_closed();
  for (const auto& slot : slots_) {
    if (!slot->thread) continue;
    if (slot->closed) {
      slot->thread->Join();
    } else {
      slot->thread->Detach();
    }
  }
  for (const auto& worker : workers_) {
    if (all) {
      worker->Join();
    } else {
      worker->Detach();  // one of them may be inside the task that does not return
    }
  }
}

bool TaskScheduler::StepOne() {
  Slot* slot = nullptr;
  {
    std::lock_guard lock(mutex_);
    QueueDue(options_.env->SteadyNs());
    if (ready_.empty()) return false;
    const auto at = ready_.begin() + static_cast<int64_t>(options_.env->Random64() % ready_.size());
    slot = *at;
    ready_.erase(at);
    ready_count_.fetch_sub(1, std::memory_order_relaxed);
  }
  slot->state.exchange(State::kRunning, std::memory_order_acq_rel);
  ThreadHooks* hooks = slot->calls_host ? options_.hooks.get() : nullptr;
  if (hooks) hooks->EnterStep();
  const int64_t deadline_ns = RunOnce(slot);
  if (hooks) hooks->LeaveStep();
  AfterRun(slot, deadline_ns);
  return true;
}

int64_t TaskScheduler::NextDeadlineNs() {
  std::lock_guard lock(mutex_);
  const int64_t next_ns = QueueDue(options_.env->SteadyNs());
  return ready_.empty() ? next_ns : 0;
}

}  // namespace headrace
