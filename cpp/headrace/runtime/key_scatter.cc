#include "headrace/runtime/key_scatter.h"

#include "headrace/state/key_group.h"
#include "headrace/types/key_codec.h"

namespace headrace {

KeyScatter::KeyScatter(int consumers, int max_parallelism)
    : max_parallelism_(max_parallelism), consumer_of_group_(max_parallelism), rows_(consumers) {
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
  for (auto& rows : rows_) rows.clear();
  for (int32_t row = 0; row < batch.num_rows; ++row) {
    rows_[consumer_of_group_[groups_[row]]].push_back(row);
  }
  return Status::Ok();
}

}  // namespace headrace
