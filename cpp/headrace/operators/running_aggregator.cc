#include "headrace/operators/running_aggregator.h"

#include <algorithm>
#include <numeric>

#include "headrace/operators/widened_state.h"

namespace headrace {
namespace {

constexpr char kStateName[] = "running-aggregate";
constexpr int64_t kChunkRows = 1024;

}  // namespace

Result<std::unique_ptr<RunningAggregator>> RunningAggregator::Make(
    const std::vector<AggregateSpec>& specs, const Schema& input, KeyedState* state) {
  std::unique_ptr<RunningAggregator> made(new RunningAggregator());
  HR_ASSIGN_OR_RETURN(made->aggregates_, AggregateRow::Make(specs, input));
  made->groups_ = std::make_unique<GroupAggregator>(made->aggregates_.get());
  AdoptWidened(state, kStateName, made->aggregates_->fingerprint());
  if (state->caches_rows()) {
    made->keys_ = &state->keys();
    HR_ASSIGN_OR_RETURN(made->values_,
                        state->RegisterAccumulators(kStateName, made->aggregates_->fingerprint(),
                                                    made->aggregates_->row_bytes()));
    return made;
  }
  HR_ASSIGN_OR_RETURN(made->store_,
                      state->RegisterSlices(kStateName, made->aggregates_->fingerprint(),
                                            made->aggregates_->row_bytes()));
  return made;
}

Status RunningAggregator::Run(const RecordBatch& batch,
                              std::vector<std::unique_ptr<ColumnBuilder>>* builders) {
  for (int64_t start = 0; start < batch.num_rows; start += kChunkRows) {
    const int64_t count = std::min(kChunkRows, batch.num_rows - start);
    HR_ASSIGN_OR_RETURN(const KeyId* ids, Locate(*batch.key, start, count));
    last_run_.resize(std::max<size_t>(last_run_.size(), Keys().size()), 0);
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

Result<const KeyId*> RunningAggregator::Locate(const Column& keys, int64_t start, int64_t count) {
  if (values_ == nullptr) {
    return groups_->Locate(keys, start, count, store_->FindOrCreate(KeyedState::kOnlySlice));
  }
  ids_.resize(static_cast<size_t>(count));
  HR_RETURN_IF_ERROR(keys_->LookupOrInsertBatch(keys, start, count, ids_.data()));
  for (const KeyId id : ids_) {
    if (!values_->Has(id)) aggregates_->Init(values_->MutableRow(id));
  }
  return static_cast<const KeyId*>(ids_.data());
}

KeyDictionary& RunningAggregator::Keys() {
  return values_ != nullptr ? *keys_ : store_->FindOrCreate(KeyedState::kOnlySlice)->keys();
}

PagedTable& RunningAggregator::Accumulators() {
  return values_ != nullptr ? values_->table()
                            : store_->FindOrCreate(KeyedState::kOnlySlice)->accumulators();
}

Status RunningAggregator::RunDistinct(const RecordBatch& batch, int64_t start, const KeyId* ids,
                                      int64_t count,
                                      std::vector<std::unique_ptr<ColumnBuilder>>* builders) {
  PagedTable& table = Accumulators();
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
