#include "headrace/runtime/channel.h"

#include <utility>

namespace headrace {

namespace {

// Watermarks without rows between them must not pile up either.
constexpr int64_t kElementsMax = 1024;

}  // namespace

void Channel::SetWakers(std::function<void()> wake_consumer, std::function<void()> wake_producer) {
  wake_consumer_ = std::move(wake_consumer);
  wake_producer_ = std::move(wake_producer);
}

bool Channel::Full() const {
  return rows_.load(std::memory_order_relaxed) >= rows_max_ ||
         bytes_.load(std::memory_order_relaxed) >= bytes_max_ ||
         elements_.load(std::memory_order_relaxed) >= kElementsMax;
}

bool Channel::HasRoom() {
  if (!Full()) return true;
  std::lock_guard lock(mutex_);
  if (closed_ || !Full()) return true;
  producer_waits_ = true;
  return false;
}

void Channel::Push(StreamElement element) {
  const bool is_batch = element.kind == StreamElement::Kind::kBatch;
  const int64_t rows = is_batch ? element.num_rows() : 0;
  const int64_t bytes = is_batch ? element.SizeBytes() : 0;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    queue_.push_back(std::move(element));
    rows_.fetch_add(rows, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (elements_.fetch_add(1, std::memory_order_release) > 0) return;
  }
  if (wake_consumer_) wake_consumer_();
}

bool Channel::Pop(StreamElement* out) {
  if (empty()) return false;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (queue_.empty()) return false;
    *out = std::move(queue_.front());
    queue_.pop_front();
    if (out->kind == StreamElement::Kind::kBatch) {
      rows_.fetch_sub(out->num_rows(), std::memory_order_relaxed);
      bytes_.fetch_sub(out->SizeBytes(), std::memory_order_relaxed);
    }
    const int64_t left = elements_.fetch_sub(1, std::memory_order_release) - 1;
    if (producer_waits_ && rows_.load(std::memory_order_relaxed) <= rows_max_ / 2 &&
        bytes_.load(std::memory_order_relaxed) <= bytes_max_ / 2 && left <= kElementsMax / 2) {
      producer_waits_ = false;
      wake = true;
    }
  }
  if (wake && wake_producer_) wake_producer_();
  return true;
}

void Channel::Close() {
  std::deque<StreamElement> dropped;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(queue_);
    rows_ = 0;
    bytes_ = 0;
    elements_ = 0;
  }
  // Dropped outside the lock: the last owner of a block of host values may run foreign code.
}

}  // namespace headrace
