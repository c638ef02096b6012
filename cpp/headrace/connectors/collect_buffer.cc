#include "headrace/connectors/collect_buffer.h"

#include <chrono>

namespace headrace {

std::deque<CollectBuffer::Waiting>& CollectBuffer::Of(int subtask) {
  const auto index = static_cast<size_t>(subtask);
  if (waiting_.size() <= index) waiting_.resize(index + 1);
  return waiting_[index];
}

void CollectBuffer::Publish(std::deque<Waiting>* waiting, uint64_t checkpoint_id) {
  while (!waiting->empty() && waiting->front().checkpoint_id <= checkpoint_id) {
    visible_rows_ += waiting->front().batch.num_rows;
    visible_.push_back(std::move(waiting->front().batch));
    waiting->pop_front();
  }
  changed_.notify_all();
}

void CollectBuffer::BeginAttempt(int subtask, uint64_t restored_checkpoint) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::deque<Waiting>& waiting = Of(subtask);
  if (restored_checkpoint > 0) Publish(&waiting, restored_checkpoint);
  waiting.clear();
}

bool CollectBuffer::HasRoom() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return rows_max_ <= 0 || visible_rows_ < rows_max_;
}

void CollectBuffer::Append(int subtask, RecordBatch batch) {
  if (batch.num_rows == 0) return;
  std::lock_guard<std::mutex> lock(mutex_);
  std::deque<Waiting>& waiting = Of(subtask);
  waiting.push_back(Waiting{kNotCut, std::move(batch)});
  if (!checkpointed_) Publish(&waiting, kNotCut);
}

void CollectBuffer::Cut(int subtask, uint64_t checkpoint_id) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (Waiting& batch : Of(subtask)) {
    if (batch.checkpoint_id == kNotCut) batch.checkpoint_id = checkpoint_id;
  }
}

void CollectBuffer::OnCheckpointComplete(int subtask, uint64_t checkpoint_id) {
  std::lock_guard<std::mutex> lock(mutex_);
  Publish(&Of(subtask), checkpoint_id);
}

void CollectBuffer::Close(bool ended_well) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (std::deque<Waiting>& waiting : waiting_) {
    if (ended_well) Publish(&waiting, kNotCut);
    waiting.clear();
  }
  closed_ = true;
  changed_.notify_all();
}

bool CollectBuffer::Take(int64_t timeout_ms, int64_t limit_rows, RecordBatch* out) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (timeout_ms > 0) {
    changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                      [this] { return !visible_.empty() || closed_; });
  }
  if (visible_.empty()) return false;
  RecordBatch& front = visible_.front();
  if (limit_rows > 0 && front.num_rows > limit_rows) {
    *out = front.Slice(0, limit_rows);
    front = front.Slice(limit_rows, front.num_rows - limit_rows);
  } else {
    *out = std::move(front);
    visible_.pop_front();
  }
  visible_rows_ -= out->num_rows;
  handed_out_ = true;
  return true;
}

bool CollectBuffer::closed() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return closed_ && visible_.empty();
}

bool CollectBuffer::handed_out() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return handed_out_;
}

}  // namespace headrace
