#include "headrace/runtime/exchange_writer.h"

#include <algorithm>
#include <utility>

#include "headrace/base/planted_bug.h"
#include "headrace/runtime/batch_concat.h"

namespace headrace {

ExchangeWriter::ExchangeWriter(Options options, std::vector<std::shared_ptr<Channel>> channels)
    : options_(options),
      enough_rows_(std::max<int64_t>(1, options.batch_rows / 4)),
      channels_(std::move(channels)),
      pending_(channels_.size()) {
  if (options_.partitioning == Partitioning::kHash && channels_.size() > 1) {
    scatter_.emplace(static_cast<int>(channels_.size()), options_.max_parallelism);
  }
  next_consumer_ = static_cast<size_t>(options_.first_consumer) % channels_.size();
}

bool ExchangeWriter::HasRoom() {
  bool room = true;
  // All are asked: each full one has to know that its producer waits.
  for (const auto& channel : channels_) room = channel->HasRoom() && room;
  return room;
}

Status ExchangeWriter::Write(const RecordBatch& batch, int64_t now_ns) {
  if (batch.num_rows == 0) return Status::Ok();
  if (scatter_) return WriteByKey(batch, now_ns);
  if (channels_.size() == 1 || options_.partitioning == Partitioning::kGlobal) {
    channels_[0]->Push(StreamElement::Batch(batch));
    return Status::Ok();
  }
  if (options_.partitioning == Partitioning::kRebalance) {
    channels_[next_consumer_]->Push(StreamElement::Batch(batch));
    next_consumer_ = (next_consumer_ + 1) % channels_.size();
    return Status::Ok();
  }
  for (size_t i = 1; i < channels_.size(); ++i) {
    if (options_.copy_objects) {
      HR_ASSIGN_OR_RETURN(RecordBatch copy, CopyMutableObjects(batch));
      channels_[i]->Push(StreamElement::Batch(std::move(copy)));
    } else {
      channels_[i]->Push(StreamElement::Batch(batch));
    }
  }
  channels_[0]->Push(StreamElement::Batch(batch));
  return Status::Ok();
}

Status ExchangeWriter::WriteByKey(const RecordBatch& batch, int64_t now_ns) {
  HR_RETURN_IF_ERROR(scatter_->Scatter(batch));
  for (size_t i = 0; i < channels_.size(); ++i) {
    BatchPart part = scatter_->TakePart(batch, static_cast<int>(i));
    if (part.num_rows == 0) continue;
    Pending& pending = pending_[i];
    // Batches with and without event time or schema identity do not mix in one column.
    if (!pending.parts.empty()) {
      const RecordBatch& first = pending.parts[0].batch;
      if ((first.timestamps == nullptr) != (part.batch.timestamps == nullptr) ||
          first.columns.size() != part.batch.columns.size()) {
        FlushConsumer(i);
      }
    }
    pending.rows += part.num_rows;
    pending.parts.push_back(std::move(part));
    if (pending.rows >= enough_rows_ || options_.buffer_timeout_ms == 0) {
      FlushConsumer(i);
    } else if (!flush_due_ns_ && options_.buffer_timeout_ms > 0) {
      flush_due_ns_ = now_ns + options_.buffer_timeout_ms * 1'000'000;
    }
  }
  return Status::Ok();
}

void ExchangeWriter::FlushConsumer(size_t consumer) {
  Pending& pending = pending_[consumer];
  if (pending.parts.empty()) return;
  channels_[consumer]->Push(StreamElement::Parts(std::exchange(pending.parts, {})));
  pending.rows = 0;
}

void ExchangeWriter::Flush() {
  if (!scatter_) return;
  for (size_t i = 0; i < pending_.size(); ++i) FlushConsumer(i);
  flush_due_ns_.reset();
}

void ExchangeWriter::FlushIfDue(int64_t now_ns) {
  if (flush_due_ns_ && now_ns >= *flush_due_ns_) Flush();
}

void ExchangeWriter::WriteControl(const StreamElement& element) {
  if (Planted(PlantedBug::kBufferDroppedAtBarrier) &&
      element.kind == StreamElement::Kind::kBarrier && element.checkpoint > 5) {
    pending_.back() = Pending();
  }
  Flush();
  for (const auto& channel : channels_) channel->Push(element);
}

}  // namespace headrace
