#include <pthread.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/base/env.h"
#include "headrace/base/posix_file_system.h"

namespace headrace {

namespace {

constexpr int kBackgroundThreads = 2;
// A third of the weight of a task's thread where there are not enough processors.
constexpr int kBackgroundNiceness = 5;
constexpr int kNicenessMax = 19;

struct ThreadStart {
  std::string name;
  std::function<void()> body;
};

// pthreads and not std::thread: running out of threads is an answer here, not an exception, and a
// thread that a fork left behind may be forgotten without std::terminate.
void* RunThread(void* argument) {
  const std::unique_ptr<ThreadStart> start(static_cast<ThreadStart*>(argument));
  // The kernel keeps 15 characters.
  ::pthread_setname_np(::pthread_self(), start->name.substr(0, 15).c_str());
  start->body();
  return nullptr;
}

bool CreateThread(std::string name, std::function<void()> body, pthread_t* thread) {
  auto start = std::make_unique<ThreadStart>(ThreadStart{std::move(name), std::move(body)});
  if (::pthread_create(thread, nullptr, RunThread, start.get()) != 0) return false;
  start.release();
  return true;
}

class PosixThread final : public Thread {
 public:
  explicit PosixThread(pthread_t thread) : thread_(thread) {}
  ~PosixThread() override { Join(); }

  void Join() override {
    if (!Owned()) return;
    HR_CHECK_EQ(::pthread_join(thread_, nullptr), 0);
    owned_ = false;
  }

  void Detach() override {
    if (!Owned()) return;
    ::pthread_detach(thread_);
    owned_ = false;
  }

 private:
  bool Owned() const { return owned_ && ::getpid() == creator_; }

  const pthread_t thread_;
  const pid_t creator_ = ::getpid();
  bool owned_ = true;
};

// Threads for blocking I/O. Never destroyed: they are detached and die with the process, so that
// leaving the interpreter waits for no disk.
class BackgroundPool {
 public:
  // The pool of this process. After a fork the parent's pool (its threads are gone, its mutex
  // perhaps held) is left alone and the child starts one of its own.
  static BackgroundPool& Current() {
    static std::atomic<BackgroundPool*> current{nullptr};
    BackgroundPool* pool = current.load(std::memory_order_acquire);
    while (pool == nullptr || pool->creator_ != ::getpid()) {
      auto fresh = std::unique_ptr<BackgroundPool>(new BackgroundPool());
      // On failure `pool` becomes what another thread put there.
      if (current.compare_exchange_strong(pool, fresh.get(), std::memory_order_acq_rel)) {
        pool = fresh.release();
      }
    }
    return *pool;
  }

  void Run(std::function<void()> work) {
    {
      const std::lock_guard<std::mutex> guard(mutex_);
      if (threads_ < kBackgroundThreads && idle_ <= static_cast<int>(queue_.size())) StartOne();
      if (threads_ > 0) {
        queue_.push_back(std::move(work));
        work = nullptr;
      }
    }
    // Not a single thread to be had: late is better than never.
    if (work != nullptr) return work();
    wake_.notify_one();
  }

 private:
  BackgroundPool() = default;

  void StartOne() {
    pthread_t thread;
    if (!CreateThread(
            "headrace-io", [this] { Loop(); }, &thread))
      return;
    ::pthread_detach(thread);
    ++threads_;
  }

  void Loop() {
    // Checkpoints are written in what the tasks leave over. Best effort: it may be refused.
    const int niceness = ::getpriority(PRIO_PROCESS, 0) + kBackgroundNiceness;
    (void)::setpriority(PRIO_PROCESS, 0, std::min(niceness, kNicenessMax));
    std::unique_lock<std::mutex> guard(mutex_);
    for (;;) {
      ++idle_;
      wake_.wait(guard, [this] { return !queue_.empty(); });
      --idle_;
      std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      guard.unlock();
      work();
      // What the work holds is dropped before the lock is taken: its destructors may be slow.
      work = nullptr;
      guard.lock();
    }
  }

  const pid_t creator_ = ::getpid();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  int threads_ = 0;
  int idle_ = 0;
};

int64_t ReadClockNs(clockid_t clock) {
  timespec now{};
  HR_CHECK_EQ(::clock_gettime(clock, &now), 0);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

class RealEnvironment final : public Env {
 public:
  int64_t NowMs() override { return ReadClockNs(CLOCK_REALTIME) / 1'000'000; }
  int64_t SteadyNs() override { return ReadClockNs(CLOCK_MONOTONIC); }

  // From the kernel each time: no state of ours that a fork would double.
  uint64_t Random64() override {
    uint64_t value = 0;
    ssize_t got = 0;
    do {
      got = ::getrandom(&value, sizeof(value), 0);
    } while (got < 0 && errno == EINTR);
    HR_CHECK_EQ(got, static_cast<ssize_t>(sizeof(value)));
    return value;
  }

  FileSystem& files() override { return files_; }

  std::unique_ptr<Thread> StartThread(std::string name, std::function<void()> body) override {
    pthread_t thread;
    if (!CreateThread(std::move(name), std::move(body), &thread)) return nullptr;
    return std::make_unique<PosixThread>(thread);
  }

  void RunInBackground(std::function<void()> work) override {
    BackgroundPool::Current().Run(std::move(work));
  }

 private:
  PosixFileSystem files_;
};

}  // namespace

Env& RealEnv() {
  // Never destroyed: background threads use it until the process is gone.
  static Env& env = *new RealEnvironment();
  return env;
}

}  // namespace headrace
