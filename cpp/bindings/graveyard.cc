#include "bindings/graveyard.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "bindings/gil.h"
#include "headrace/base/env.h"

namespace headrace::bindings {
namespace {

constexpr size_t kBlocksMax = 64;
constexpr size_t kReferencesMax = (size_t{8} << 20) / sizeof(void*);
constexpr std::chrono::milliseconds kAgeMax{100};
// References ahead whose objects are on their way to the cache; most were last used elsewhere.
constexpr size_t kPrefetched = 16;

struct Graveyard {
  std::atomic<bool> occupied{false};
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::vector<void*>> blocks;
  std::vector<void*> singles;
  size_t references = 0;
  uint64_t drains = 0;
  bool stopping = false;
  std::unique_ptr<Thread> reaper;

  bool Full() const { return blocks.size() > kBlocksMax || references > kReferencesMax; }
};

// Never destroyed: batches may die after static destruction.
Graveyard& Yard() {
  static Graveyard* yard = new Graveyard;
  return *yard;
}

void Reap() {
  Graveyard& yard = Yard();
  while (true) {
    {
      std::unique_lock<std::mutex> lock(yard.mutex);
      yard.changed.wait(lock, [&] { return yard.stopping || yard.references > 0; });
      const uint64_t drains = yard.drains;
      yard.changed.wait_for(lock, kAgeMax, [&] { return yard.stopping || yard.Full(); });
      if (yard.stopping) return;
      // While others hold the GIL now and then, they do the work.
      if (yard.references == 0 || (yard.drains != drains && !yard.Full())) continue;
    }
    if (InterpreterIsEnding()) return;
    GilScope gil;
    DrainGraveyard();
  }
}

}  // namespace

void ReleaseReference(PyObject* object) {
  if (GilHeld()) {
    Py_DECREF(object);
  } else {
    Bury(object);
  }
}

void Bury(std::vector<void*> references) {
  if (references.empty()) return;
  Graveyard& yard = Yard();
  bool wake;
  {
    std::lock_guard<std::mutex> lock(yard.mutex);
    wake = yard.references == 0;
    yard.references += references.size();
    yard.blocks.push_back(std::move(references));
    wake = wake || yard.Full();
    yard.occupied.store(true, std::memory_order_release);
  }
  if (wake) yard.changed.notify_one();
}

void Bury(PyObject* reference) {
  Graveyard& yard = Yard();
  bool wake;
  {
    std::lock_guard<std::mutex> lock(yard.mutex);
    wake = yard.references++ == 0;
    yard.singles.push_back(reference);
    yard.occupied.store(true, std::memory_order_release);
  }
  if (wake) yard.changed.notify_one();
}

void DrainGraveyard() {
  Graveyard& yard = Yard();
  if (!yard.occupied.load(std::memory_order_acquire) || InterpreterIsEnding()) return;
  std::vector<std::vector<void*>> blocks;
  std::vector<void*> singles;
  {
    std::lock_guard<std::mutex> lock(yard.mutex);
    blocks.swap(yard.blocks);
    singles.swap(yard.singles);
    yard.references = 0;
    ++yard.drains;
    yard.occupied.store(false, std::memory_order_relaxed);
  }
  for (const auto& block : blocks) {
    for (size_t i = 0; i < block.size(); ++i) {
      if (i + kPrefetched < block.size()) __builtin_prefetch(block[i + kPrefetched], /*rw=*/1);
      Py_XDECREF(static_cast<PyObject*>(block[i]));
    }
  }
  for (void* reference : singles) Py_DECREF(static_cast<PyObject*>(reference));
}

void StartReaper() {
  Graveyard& yard = Yard();
  std::lock_guard<std::mutex> lock(yard.mutex);
  if (!yard.reaper) yard.reaper = RealEnv().StartThread("headrace-reaper", Reap);
}

void StopReaper() {
  Graveyard& yard = Yard();
  std::unique_ptr<Thread> reaper;
  {
    std::lock_guard<std::mutex> lock(yard.mutex);
    yard.stopping = true;
    reaper = std::move(yard.reaper);
  }
  yard.changed.notify_all();
  // It may be waiting for the GIL that the caller holds.
  if (reaper) WithoutGil([&] { reaper->Join(); });
}

}  // namespace headrace::bindings
