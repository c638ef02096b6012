#include "headrace/state/slice_store.h"

#include <utility>

namespace headrace {

SliceStore::SliceStore(int accumulator_bytes, int max_parallelism, MemoryMeterPtr meter)
    : accumulator_bytes_(accumulator_bytes),
      max_parallelism_(max_parallelism),
      meter_(std::move(meter)) {}

SliceTable* SliceStore::Find(TimestampMs start) {
  const auto found = slices_.find(start);
  return found == slices_.end() ? nullptr : found->second.get();
}

SliceTable* SliceStore::FindOrCreate(TimestampMs start) {
  std::unique_ptr<SliceTable>& slice = slices_[start];
  if (!slice) {
    slice = std::make_unique<SliceTable>(start, accumulator_bytes_, max_parallelism_, meter_,
                                         partition_bytes_);
  }
  return slice.get();
}

void SliceStore::Drop(TimestampMs start) {
  slices_.erase(start);
  const auto stored = stored_.find(start);
  if (stored != stored_.end()) stored->second = false;
}

std::vector<TimestampMs> SliceStore::TakeDropped() {
  std::vector<TimestampMs> dropped;
  for (const auto& [start, alive] : stored_) {
    // A slice dropped and made anew is written whole under its old name, so it is not gone.
    if (!alive && slices_.count(start) == 0) dropped.push_back(start);
  }
  stored_.clear();
  for (const auto& [start, slice] : slices_) stored_.emplace_hint(stored_.end(), start, true);
  return dropped;
}

}  // namespace headrace
