#include "headrace/checkpoint/read_ahead.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace headrace {
namespace {

// Payloads that wait to be taken, at most; a partition is about 64 KiB.
constexpr uint64_t kAheadBytes = 4 << 20;

}  // namespace

struct ReadAhead::Shared {
  explicit Shared(Source source) : source(std::move(source)) {}

  bool MayRead() const { return !stopped && next < source.count && bytes_ahead < kAheadBytes; }
  // On an I/O thread.
  void ReadSome();

  Source source;
  std::mutex mutex;
  std::condition_variable changed;
  // All below are guarded by `mutex`. Partitions before `next` were begun: those that wait are in
  // `begun`, without payloads while they are being read.
  uint32_t next = 0;
  std::map<uint32_t, std::optional<Payloads>> begun;
  uint64_t bytes_ahead = 0;
  bool asked = false;  // an I/O thread reads, or will
  bool reading = false;
  bool stopped = false;
};

void ReadAhead::Shared::ReadSome() {
  std::unique_lock<std::mutex> guard(mutex);
  reading = true;
  while (MayRead()) {
    const uint32_t index = next++;
    begun[index];
    bytes_ahead += source.memory_bytes(index);
    guard.unlock();
    Payloads payloads = source.read(index);
    guard.lock();
    begun[index] = std::move(payloads);
    changed.notify_all();
  }
  reading = false;
  asked = false;
  changed.notify_all();
}

ReadAhead::ReadAhead(Env* env, Source source)
    : env_(env), shared_(std::make_shared<Shared>(std::move(source))) {}

ReadAhead::~ReadAhead() {
  std::unique_lock<std::mutex> guard(shared_->mutex);
  shared_->stopped = true;
  shared_->changed.wait(guard, [this] { return !shared_->reading; });
  // What it holds goes now, not with an I/O thread that has yet to let go.
  shared_->source = Source();
  shared_->begun.clear();
}

ReadAhead::Payloads ReadAhead::Take(uint32_t index) {
  Shared& shared = *shared_;
  std::unique_lock<std::mutex> guard(shared.mutex);
  const auto found = shared.begun.find(index);
  if (found != shared.begun.end()) {
    shared.changed.wait(guard, [&] { return found->second.has_value(); });
    Payloads payloads = *std::move(found->second);
    shared.begun.erase(found);
    shared.bytes_ahead -= shared.source.memory_bytes(index);
    // Not woken for every single one.
    const bool ask = shared.bytes_ahead < kAheadBytes / 2;
    guard.unlock();
    if (ask) StartReading();
    return payloads;
  }
  const bool next = index == shared.next;
  if (next) ++shared.next;
  guard.unlock();
  if (next) StartReading();
  return shared.source.read(index);
}

void ReadAhead::StartReading() {
  {
    const std::lock_guard<std::mutex> guard(shared_->mutex);
    if (shared_->asked || !shared_->MayRead()) return;
    shared_->asked = true;
  }
  env_->RunInBackground([weak = std::weak_ptr<Shared>(shared_)] {
    if (const std::shared_ptr<Shared> shared = weak.lock()) shared->ReadSome();
  });
}

}  // namespace headrace
