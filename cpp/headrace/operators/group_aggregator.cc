#include "headrace/operators/group_aggregator.h"

#include <algorithm>
#include <numeric>

namespace headrace {
namespace {

// Ids, pointers and row numbers of a run stay in the first-level cache.
constexpr int64_t kRunRows = 1024;

}  // namespace

Result<const KeyId*> GroupAggregator::Locate(const Column& keys, int64_t start, int64_t count,
                                             SliceTable* table) {
  if (ids_.size() < static_cast<size_t>(count)) ids_.resize(static_cast<size_t>(count));
  const uint32_t known = table->keys().size();
  HR_RETURN_IF_ERROR(table->keys().LookupOrInsertBatch(keys, start, count, ids_.data()));
  // Ids of a slice are never released, so the new ones are those past the former size.
  const uint32_t size = table->keys().size();
  if (size > known) {
    table->accumulators().EnsureSize(size);
    for (KeyId id = known; id < size; ++id) aggregates_->Init(table->accumulators().MutableRow(id));
  }
  return static_cast<const KeyId*>(ids_.data());
}

Status GroupAggregator::AddRange(const RecordBatch& batch, int64_t start, int64_t count,
                                 SliceTable* table) {
  for (int64_t done = 0; done < count;) {
    const int64_t at = start + done;
    const int64_t run = std::min(kRunRows, count - done);
    HR_ASSIGN_OR_RETURN(const KeyId* ids, Locate(*batch.key, at, run, table));
    const int32_t* rows = nullptr;
    if (at != 0) {
      rows_.resize(kRunRows);
      std::iota(rows_.begin(), rows_.begin() + run, static_cast<int32_t>(at));
      rows = rows_.data();
    }
    HR_RETURN_IF_ERROR(Gather(batch, rows, ids, run, table));
    done += run;
  }
  return Status::Ok();
}

Status GroupAggregator::AddRows(const RecordBatch& batch, const int32_t* rows, int64_t count,
                                SliceTable* table) {
  const Column& key = *batch.key;
  const bool ints = key.type->kind() == TypeKind::kInt64 && !key.validity;
  for (int64_t done = 0; done < count;) {
    const int64_t run = std::min(kRunRows, count - done);
    const int32_t* run_rows = rows + done;
    const bool consecutive = run_rows[run - 1] - run_rows[0] == run - 1;
    const KeyId* ids = nullptr;
    if (consecutive) {
      HR_ASSIGN_OR_RETURN(ids, Locate(key, run_rows[0], run, table));
    } else if (ints) {
      HR_ASSIGN_OR_RETURN(ids, Locate(*PickInts(key, run_rows, run), 0, run, table));
    } else {
      HR_ASSIGN_OR_RETURN(ColumnPtr picked, Column::Take(batch.key, run_rows, run));
      HR_ASSIGN_OR_RETURN(ids, Locate(*picked, 0, run, table));
    }
    HR_RETURN_IF_ERROR(Gather(batch, run_rows, ids, run, table));
    done += run;
  }
  return Status::Ok();
}

Status GroupAggregator::Gather(const RecordBatch& batch, const int32_t* rows, const KeyId* ids,
                               int64_t count, SliceTable* table) {
  if (accumulators_.size() < static_cast<size_t>(count)) {
    accumulators_.resize(static_cast<size_t>(count));
  }
  PagedTable& accumulators = table->accumulators();
  char** at = accumulators_.data();
  accumulators.MutableRows(ids, count, at);
  return aggregates_->Update(batch, rows, at, count, sequence_);
}

ColumnPtr GroupAggregator::PickInts(const Column& keys, const int32_t* rows, int64_t count) {
  if (!picked_keys_) {
    picked_.resize(kRunRows);
    picked_keys_ = std::make_shared<Column>();
    picked_keys_->type = keys.type;
    picked_keys_->length = kRunRows;
    picked_keys_->values =
        std::make_shared<Buffer>(picked_.data(), kRunRows * sizeof(int64_t), nullptr);
  }
  const auto* values = keys.Values<int64_t>();
  for (int64_t i = 0; i < count; ++i) picked_[static_cast<size_t>(i)] = values[rows[i]];
  return picked_keys_;
}

}  // namespace headrace
