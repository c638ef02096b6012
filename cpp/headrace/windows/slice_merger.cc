#include "headrace/windows/slice_merger.h"

#include <algorithm>

namespace headrace {

Status SliceMerger::Open(SliceStore* store, TimestampMs start, TimestampMs end) {
  Clear();
  const auto first = store->slices().lower_bound(start);
  const auto last = store->slices().lower_bound(end);
  if (first == last) return Status::Ok();
  if (std::next(first) == last) {
    keys_ = &first->second->keys();
    single_ = &first->second->accumulators();
    return Status::Ok();
  }
  merged_keys_ = std::make_unique<KeyDictionary>(max_parallelism_);
  for (auto slice = first; slice != last; ++slice) {
    HR_RETURN_IF_ERROR(MergeSlice(slice->second.get()));
  }
  keys_ = merged_keys_.get();
  return Status::Ok();
}

void SliceMerger::Clear() {
  keys_ = nullptr;
  single_ = nullptr;
  merged_keys_.reset();
  merged_.clear();
}

const char* SliceMerger::Row(KeyId id) const {
  if (!single_) return const_cast<SliceMerger*>(this)->MergedRow(id);
  return id < single_->size() && single_->live(id) ? single_->Row(id) : nullptr;
}

Status SliceMerger::MergeSlice(SliceTable* slice) {
  KeyDictionary& from = slice->keys();
  const auto words = static_cast<size_t>(aggregates_->row_bytes()) / sizeof(int64_t);
  const uint32_t rows = std::min(from.size(), slice->accumulators().size());
  for (KeyId id = 0; id < rows; ++id) {
    if (!slice->accumulators().live(id)) continue;
    const uint32_t known = merged_keys_->size();
    KeyId merged = kNoKey;
    switch (from.FormOf(id)) {
      case KeyDictionary::Form::kInt:
        merged = merged_keys_->LookupOrInsertInt(from.IntOf(id));
        break;
      case KeyDictionary::Form::kString:
        merged = merged_keys_->LookupOrInsertString(from.BytesOf(id));
        break;
      case KeyDictionary::Form::kEncoded:
        merged = merged_keys_->LookupOrInsertEncoded(from.BytesOf(id));
        break;
    }
    if (merged_keys_->size() > known) {
      merged_.resize(merged_keys_->size() * words, 0);
      aggregates_->Init(MergedRow(merged));
    }
    HR_RETURN_IF_ERROR(aggregates_->Merge(MergedRow(merged), slice->accumulators().Row(id)));
  }
  return Status::Ok();
}

Result<const char*> SliceMerger::MergeKey(SliceStore* store, std::string_view canonical_key,
                                          TimestampMs start, TimestampMs end) {
  key_row_.assign(static_cast<size_t>(aggregates_->row_bytes()) / sizeof(int64_t), 0);
  auto* row = reinterpret_cast<char*>(key_row_.data());
  aggregates_->Init(row);
  const auto last = store->slices().lower_bound(end);
  for (auto slice = store->slices().lower_bound(start); slice != last; ++slice) {
    const KeyId id = slice->second->keys().LookupEncoded(canonical_key);
    if (id == kNoKey || !slice->second->accumulators().live(id)) continue;
    HR_RETURN_IF_ERROR(aggregates_->Merge(row, slice->second->accumulators().Row(id)));
  }
  return static_cast<const char*>(row);
}

}  // namespace headrace
