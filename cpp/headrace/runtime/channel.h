#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

#include "headrace/runtime/stream_element.h"

namespace headrace {

/// A bounded queue from one task to one other task.
///
/// Full means: as many rows, bytes or elements as the bounds say are queued. A full channel still
/// takes what is pushed (control elements always go through, a batch of a producer that had room is
/// never cut), so producers ask HasRoom() first and keep their rows otherwise. Nothing is ever
/// dropped while the channel is open.
///
/// Wake-ups: the consumer is woken when the channel becomes non-empty; a producer that was told "no
/// room" is woken once the channel is at most half full, so a busy pair does not switch for every
/// batch.
/// Threading: thread-safe for one producer and one consumer; guarded by `mutex_`.
class Channel {
 public:
  Channel(int64_t rows_max, int64_t bytes_max) : rows_max_(rows_max), bytes_max_(bytes_max) {}

  /// Both are called without the lock held. REQUIRES: set before the first Push.
  void SetWakers(std::function<void()> wake_consumer, std::function<void()> wake_producer);

  /// Producer: false also asks for a wake-up when there is room.
  bool HasRoom();
  void Push(StreamElement element);

  /// Consumer: false when nothing is queued.
  bool Pop(StreamElement* out);
  bool empty() const { return elements_.load(std::memory_order_acquire) == 0; }

  /// The attempt is over: drops what is queued and whatever comes.
  void Close();

  int64_t queued_rows() const { return rows_.load(std::memory_order_relaxed); }

 private:
  bool Full() const;

  const int64_t rows_max_;
  const int64_t bytes_max_;
  std::function<void()> wake_consumer_;
  std::function<void()> wake_producer_;

  std::mutex mutex_;
  std::deque<StreamElement> queue_;
  bool producer_waits_ = false;
  bool closed_ = false;
  // Written under the lock, read without it by the fast paths.
  std::atomic<int64_t> rows_{0};
  std::atomic<int64_t> bytes_{0};
  std::atomic<int64_t> elements_{0};
};

}  // namespace headrace
