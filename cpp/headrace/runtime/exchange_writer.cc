#include "headrace/runtime/exchange_writer.h"

#include <utility>

#include "headrace/runtime/batch_concat.h"

namespace headrace {

ExchangeWriter::ExchangeWriter(Options options, std::vector<std::shared_ptr<Channel>> channels)
    : options_(options), channels_(std::move(channels)), pending_(channels_.size()) {
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
    const std::vector<int32_t>& rows = scatter_->rows_of(static_cast<int>(i));
    if (rows.empty()) continue;
    RecordBatch part;
    if (static_cast<int64_t>(rows.size()) == batch.num_rows) {
      part = batch;
    } else {
      HR_ASSIGN_OR_RETURN(part, batch.Take(rows.data(), static_cast<int64_t>(rows.size())));
    }
    Pending& pending = pending_[i];
    // Batches with and without event time or schema identity do not mix in one column.
    if (!pending.parts.empty() &&
        ((pending.parts[0].timestamps == nullptr) != (part.timestamps == nullptr) ||
         pending.parts[0].columns.size() != part.columns.size())) {
      HR_RETURN_IF_ERROR(FlushConsumer(i));
    }
    pending.rows += part.num_rows;
    pending.parts.push_back(std::move(part));
    if (pending.rows >= options_.batch_rows || options_.buffer_timeout_ms == 0) {
      HR_RETURN_IF_ERROR(FlushConsumer(i));
    } else if (!flush_due_ns_ && options_.buffer_timeout_ms > 0) {
      flush_due_ns_ = now_ns + options_.buffer_timeout_ms * 1'000'000;
    }
  }
  return Status::Ok();
}

Status ExchangeWriter::FlushConsumer(size_t consumer) {
  Pending& pending = pending_[consumer];
  if (pending.parts.empty()) return Status::Ok();
  std::vector<RecordBatch> parts = std::move(pending.parts);
  pending.parts.clear();
  pending.rows = 0;
  Result<RecordBatch> merged = ConcatBatches(parts);
  if (merged.ok()) {
    channels_[consumer]->Push(StreamElement::Batch(std::move(*merged)));
    return Status::Ok();
  }
  if (merged.status().code() != StatusCode::kUnimplemented) return merged.status();
  for (RecordBatch& part : parts) {
    channels_[consumer]->Push(StreamElement::Batch(std::move(part)));
  }
  return Status::Ok();
}

Status ExchangeWriter::Flush() {
  if (!scatter_) return Status::Ok();
  for (size_t i = 0; i < pending_.size(); ++i) HR_RETURN_IF_ERROR(FlushConsumer(i));
  flush_due_ns_.reset();
  return Status::Ok();
}

Status ExchangeWriter::FlushIfDue(int64_t now_ns) {
  if (!flush_due_ns_ || now_ns < *flush_due_ns_) return Status::Ok();
  return Flush();
}

Status ExchangeWriter::WriteControl(const StreamElement& element) {
  HR_RETURN_IF_ERROR(Flush());
  for (const auto& channel : channels_) channel->Push(element);
  return Status::Ok();
}

}  // namespace headrace
