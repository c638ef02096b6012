#include "headrace/state/list_rows.h"

namespace headrace {
namespace {

constexpr size_t kSegmentBytes = 1024;

}  // namespace

ListAppender::ListAppender(RowState* rows, KeyId key, std::string_view ns)
    : rows_(rows), key_(key), ns_(ns), segment_number_(rows->CountNumbered(key, ns)) {
  if (segment_number_ == 0) return;
  std::string_view last;
  if (rows->Get(key, ns, RowState::NumberedSubKey(segment_number_ - 1), &last) &&
      last.size() < kSegmentBytes) {
    segment_ = last;
    --segment_number_;
  }
}

void ListAppender::Append(std::string_view element) {
  segment_.append(element);
  if (segment_.size() >= kSegmentBytes) Store();
}

void ListAppender::Finish() {
  if (!segment_.empty()) Store();
}

void ListAppender::Store() {
  rows_->Put(key_, ns_, RowState::NumberedSubKey(segment_number_++), segment_);
  segment_.clear();
}

std::string ReadList(const RowState& rows, KeyId key, std::string_view ns) {
  std::string bytes;
  rows.Walk(key, ns, nullptr, [&bytes](std::string_view, std::string_view segment) {
    bytes.append(segment);
    return true;
  });
  return bytes;
}

}  // namespace headrace
