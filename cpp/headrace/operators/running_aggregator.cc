#include "headrace/operators/running_aggregator.h"

#include <algorithm>
#include <numeric>

namespace headrace {
namespace {

constexpr char kStateName[] = "running-aggregate";
constexpr TimestampMs kOnlySlice = 0;
constexpr int64_t kChunkRows = 1024;

}  // namespace

Result<std::unique_ptr<RunningAggregator>> RunningAggregator::Make(
    const std::vector<AggregateSpec>& specs, const Schema& input, KeyedState* state) {
  std::unique_ptr<RunningAggregator> made(new RunningAggregator());
  HR_ASSIGN_OR_RETURN(made->aggregates_, AggregateRow::Make(specs, input));
  made->groups_ = std::make_unique<GroupAggregator>(made->aggregates_.get());
  HR_ASSIGN_OR_RETURN(made->store_,
                      state->RegisterSlices(kStateName, made->aggregates_->fingerprint(),
                                            made->aggregates_->row_bytes()));
  return made;
}

Status RunningAggregator::Run(const RecordBatch& batch,
                              std::vector<std::unique_ptr<ColumnBuilder>>* builders) {
  SliceTable* table = store_->FindOrCreate(kOnlySlice);
  for (int64_t start = 0; start < batch.num_rows; start += kChunkRows) {
    const int64_t count = std::min(kChunkRows, batch.num_rows - start);
    HR_ASSIGN_OR_RETURN(const KeyId* ids, groups_->Locate(*batch.key, start, count, table));
    last_run_.resize(std::max<size_t>(last_run_.size(), table->keys().size()), 0);
    for (int64_t from = 0; from < count;) {
      // After 2^32 runs an old mark could look new.
      if (++run_ == 0) {
        std::fill(last_run_.begin(), last_run_.end(), 0);
        run_ = 1;
      }
      int64_t to = from;
      for (; to < count && last_run_[ids[to]] != run_; ++to) last_run_[ids[to]] = run_;
      HR_RETURN_IF_ERROR(RunDistinct(batch, start + from, ids + from, to - from, builders));
      from = to;
    }
  }
  return Status::Ok();
}

Status RunningAggregator::RunDistinct(const RecordBatch& batch, int64_t start, const KeyId* ids,
                                      int64_t count,
                                      std::vector<std::unique_ptr<ColumnBuilder>>* builders) {
  PagedTable& table = store_->FindOrCreate(kOnlySlice)->accumulators();
  rows_.resize(static_cast<size_t>(count));
  accumulators_.resize(static_cast<size_t>(count));
  std::iota(rows_.begin(), rows_.end(), static_cast<int32_t>(start));
  table.MutableRows(ids, count, accumulators_.data());
  HR_RETURN_IF_ERROR(aggregates_->Update(batch, rows_.data(), accumulators_.data(), count));
  for (size_t part = 0; part < builders->size(); ++part) {
    for (const char* accumulators : accumulators_) {
      aggregates_->AppendResult(part, accumulators, (*builders)[part].get());
    }
  }
  return Status::Ok();
}

}  // namespace headrace
