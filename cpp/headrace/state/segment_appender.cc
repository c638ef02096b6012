#include "headrace/state/segment_appender.h"

namespace headrace {

namespace {

constexpr size_t kBufferBytes = 1 << 20;

}  // namespace

Status SegmentAppender::StartSegment() {
  if (file_ != nullptr) HR_RETURN_IF_ERROR(file_->Seal());
  file_ = nullptr;
  number_ = (*next_number_)++;
  const std::string path = directory_ + "/" + std::to_string(number_) + ".segment";
  HR_ASSIGN_OR_RETURN(file_, SegmentFile::Create(files_, path, disk_bytes_));
  new_.emplace_back(number_, file_);
  return Status::Ok();
}

Result<RecordPlace> SegmentAppender::Add(std::string_view key, std::string_view value) {
  const size_t bytes = SegmentFile::RecordBytes(key.size(), value.size());
  if (buffer_.size() + bytes > kBufferBytes) HR_RETURN_IF_ERROR(Flush());
  const bool none = file_ == nullptr || file_->sealed();
  if (none || (buffer_.empty() && file_->size() >= segment_bytes_)) {
    HR_RETURN_IF_ERROR(StartSegment());
  }
  RecordPlace place;
  place.segment = number_;
  place.offset = static_cast<uint32_t>(file_->size() + buffer_.size());
  place.size = static_cast<uint32_t>(bytes);
  SegmentFile::AppendRecord(key, value, &buffer_);
  return place;
}

Status SegmentAppender::Flush() {
  if (buffer_.empty()) return Status::Ok();
  const Status status = file_->Append(buffer_);
  buffer_.clear();
  // A long record would keep its room for ever.
  if (buffer_.capacity() > 2 * kBufferBytes) buffer_.shrink_to_fit();
  return status;
}

}  // namespace headrace
