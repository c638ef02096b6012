#include "headrace/runtime/key_scatter.h"

#include <cstddef>
#include <utility>

#include "headrace/state/key_group.h"
#include "headrace/types/key_codec.h"

namespace headrace {

KeyScatter::KeyScatter(int consumers, int max_parallelism)
    : max_parallelism_(max_parallelism),
      consumer_of_group_(max_parallelism),
      rows_(consumers),
      ends_(consumers) {
  for (int group = 0; group < max_parallelism; ++group) {
    consumer_of_group_[group] =
        static_cast<uint16_t>(SubtaskOfKeyGroup(group, consumers, max_parallelism));
  }
}

Status KeyScatter::Scatter(const RecordBatch& batch) {
  if (!batch.key) {
    return Status::Internal("rows without a key reached an exchange that partitions by key");
  }
  groups_.resize(batch.num_rows);
  KeyView keys(*batch.key);
  const Status status = keys.Groups(batch.num_rows, max_parallelism_, groups_.data());
  if (!status.ok()) return status.WithContext("key of a record");
  const auto rows = static_cast<int32_t>(batch.num_rows);
  for (size_t i = 0; i < rows_.size(); ++i) {
    rows_[i] = Buffer::Allocate(static_cast<size_t>(rows) * sizeof(int32_t));
    ends_[i] = reinterpret_cast<int32_t*>(rows_[i]->mutable_data());
  }
  if (ends_.size() == 2) {
    // Both lists get each row, and the end of one moves: no branch, no end in memory.
    int32_t* first = ends_[0];
    int32_t* second = ends_[1];
    for (int32_t row = 0; row < rows; ++row) {
      const uint16_t consumer = consumer_of_group_[groups_[row]];
      *first = row;
      *second = row;
      first += 1 - consumer;
      second += consumer;
    }
    ends_ = {first, second};
  } else {
    for (int32_t row = 0; row < rows; ++row) *ends_[consumer_of_group_[groups_[row]]]++ = row;
  }
  return Status::Ok();
}

BatchPart KeyScatter::TakePart(const RecordBatch& batch, int consumer) {
  BatchPart part;
  std::shared_ptr<Buffer> rows = std::move(rows_[consumer]);
  part.num_rows = ends_[consumer] - reinterpret_cast<const int32_t*>(rows->data());
  if (part.num_rows == 0) return part;
  part.batch = batch;
  if (part.num_rows < batch.num_rows) part.rows = std::move(rows);
  return part;
}

}  // namespace headrace
