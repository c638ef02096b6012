#include "headrace/windows/slicing_window_operator.h"

#include <algorithm>

#include "headrace/base/check.h"
#include "headrace/operators/group_aggregator.h"
#include "headrace/operators/widened_state.h"
#include "headrace/windows/batch_slices.h"
#include "headrace/windows/slice_merger.h"
#include "headrace/windows/window_progress.h"
#include "headrace/windows/window_rows.h"

namespace headrace {
namespace {

constexpr char kStateName[] = "window-slices";

/// What becomes of the rows of one slice while the watermark stands where it is.
enum class Verdict : uint8_t {
  kOpen,    ///< counted; none of their windows fired yet
  kRefire,  ///< counted, and some windows that fired before fire again
  kLate,    ///< late for all their windows
  kGap,     ///< in no window (slide > size)
};

/// Hooks of the host that made the values of a key column; null without object values.
ObjectHooks* HooksOf(const Column& key) {
  if (key.objects) return key.objects->hooks();
  for (const ColumnPtr& child : key.children) {
    if (ObjectHooks* hooks = HooksOf(*child)) return hooks;
  }
  return nullptr;
}

class SlicingWindowOperator final : public Operator {
 public:
  SlicingWindowOperator(SlicingWindowSpec spec, SchemaPtr output)
      : spec_(std::move(spec)),
        output_(std::move(output)),
        layout_(spec_.window),
        batch_slices_(layout_) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    HR_CHECK(context.keyed_state != nullptr);
    HR_ASSIGN_OR_RETURN(aggregates_, AggregateRow::Make(spec_.aggregates, *spec_.input_schema));
    HR_ASSIGN_OR_RETURN(
        rows_, WindowRows::Make(output_, spec_.key_fields, spec_.hooks, aggregates_.get()));
    groups_ = std::make_unique<GroupAggregator>(aggregates_.get());
    merger_ = std::make_unique<SliceMerger>(aggregates_.get(), context.max_parallelism);
    const std::string fingerprint = spec_.window.ToString() + ": " + aggregates_->fingerprint();
    AdoptWidened(context.keyed_state, kStateName, fingerprint);
    HR_ASSIGN_OR_RETURN(slices_, context.keyed_state->RegisterSlices(kStateName, fingerprint,
                                                                     aggregates_->row_bytes()));
    if (context.metrics) late_rows_ = &context.metrics->late_rows;
    return context.operator_state
               ? progress_.Restore(*context.operator_state, context.keyed_state->range())
               : Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (batch.num_rows == 0) return Progress::kDone;
    if (!batch_open_) HR_RETURN_IF_ERROR(OpenBatch(batch));
    if (!side_rows_.empty()) {
      if (out.HasSideReader(spec_.window.late_tag)) {
        if (out.RoomRows() == 0) return Progress::kBlocked;
        HR_ASSIGN_OR_RETURN(RecordBatch late,
                            batch.Take(side_rows_.data(), static_cast<int64_t>(side_rows_.size())));
        out.EmitSide(spec_.window.late_tag, std::move(late));
      }
      side_rows_.clear();
    }
    if (!any_refire_) {
      HR_RETURN_IF_ERROR(AddSegment(batch, 0, batch.num_rows));
    } else {
      HR_ASSIGN_OR_RETURN(const Progress progress, AddWithRefires(batch, out));
      if (progress == Progress::kBlocked) return progress;
    }
    batch_open_ = false;
    row_ = 0;
    progress_.AddRows(batch.num_rows);
    HR_RETURN_IF_ERROR(context_.keyed_state->CheckBudget());
    return Progress::kDone;
  }

  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override {
    // A restored operator may be ahead of its inputs for a while.
    const TimestampMs now = std::max(watermark, progress_.watermark());
    while (true) {
      if (!firing_) {
        TimestampMs end = 0;
        if (!NextWindowEnd(now, &end)) break;
        window_ = TimeWindow{end - layout_.spec().size_ms, end};
        HR_RETURN_IF_ERROR(merger_->Open(slices_, window_.start, window_.end));
        firing_ = true;
        next_group_ = 0;
      }
      HR_ASSIGN_OR_RETURN(const Progress progress, EmitWindow(out));
      if (progress == Progress::kBlocked) return progress;
      merger_->Clear();
      firing_ = false;
      progress_.SetFiredThrough(window_.max_timestamp());
    }
    progress_.Advance(now);
    DropSlices();
    return Progress::kDone;
  }

  Status Snapshot(uint64_t, OperatorState* state) override {
    progress_.Snapshot(context_.keyed_state->range(), state);
    return Status::Ok();
  }

 private:
  // ---- Adding rows ----

  Status OpenBatch(const RecordBatch& batch) {
    HR_CHECK(batch.key != nullptr);
    HR_RETURN_IF_ERROR(batch_slices_.Assign(batch));
    rows_->SetHooks(HooksOf(*batch.key));
    verdicts_.clear();
    any_refire_ = false;
    bool any_dropped = false;
    for (const TimestampMs start : batch_slices_.starts()) {
      verdicts_.push_back(Judge(start));
      any_refire_ |= verdicts_.back() == Verdict::kRefire;
      any_dropped |= verdicts_.back() >= Verdict::kLate;
    }
    if (any_dropped) DropRows(batch);
    groups_->SetSequence(progress_.rows_seen());
    batch_open_ = true;
    return Status::Ok();
  }

  Verdict Judge(TimestampMs slice_start) const {
    if (!layout_.InAnyWindow(slice_start)) return Verdict::kGap;
    const TimestampMs now = progress_.watermark();
    const TimestampMs last_end = layout_.LastWindowEnd(slice_start);
    if (spec_.window.CleanupTime(last_end) <= now) return Verdict::kLate;
    return LastFiredEnd(slice_start) != kNoTimestamp ? Verdict::kRefire : Verdict::kOpen;
  }

  /// End of the last window over the slice that fired and is not late yet; kNoTimestamp when there
  /// is none.
  TimestampMs LastFiredEnd(TimestampMs slice_start) const {
    const TimestampMs now = progress_.watermark();
    if (layout_.FirstWindowEnd(slice_start) - 1 > now) return kNoTimestamp;
    const TimestampMs last_end = layout_.LastWindowEnd(slice_start);
    const TimestampMs end = last_end - 1 <= now ? last_end : layout_.LastEndUpTo(now + 1);
    return spec_.window.CleanupTime(end) > now ? end : kNoTimestamp;
  }

  /// Counts the rows that are late for all their windows; they go to the side output, if there is
  /// one.
  void DropRows(const RecordBatch& batch) {
    const TimestampMs now = progress_.watermark();
    int64_t late = 0;
    for (int64_t row = 0; row < batch.num_rows; ++row) {
      const Verdict verdict = VerdictOf(row);
      if (verdict < Verdict::kLate) continue;
      // A row between windows is late by its own time, or just belongs nowhere.
      if (verdict == Verdict::kGap && spec_.window.CleanupTime(batch.Timestamps()[row] + 1) > now) {
        continue;
      }
      ++late;
      if (!spec_.window.late_tag.empty()) side_rows_.push_back(static_cast<int32_t>(row));
    }
    if (late_rows_) late_rows_->Add(late);
  }

  Verdict VerdictOf(int64_t row) const {
    return verdicts_.size() == 1 ? verdicts_[0] : verdicts_[batch_slices_.slice_of_row()[row]];
  }
  TimestampMs SliceOf(int64_t row) const {
    const auto& starts = batch_slices_.starts();
    return starts.size() == 1 ? starts[0] : starts[batch_slices_.slice_of_row()[row]];
  }

  /// Adds the open rows of [from, to), slice by slice; the order within a slice is kept.
  Status AddSegment(const RecordBatch& batch, int64_t from, int64_t to) {
    const auto& starts = batch_slices_.starts();
    if (starts.size() == 1) {
      if (verdicts_[0] != Verdict::kOpen) return Status::Ok();
      return groups_->AddRange(batch, from, to - from, slices_->FindOrCreate(starts[0]));
    }
    const uint32_t* slice_of_row = batch_slices_.slice_of_row();
    ends_.assign(starts.size() + 1, 0);
    for (int64_t row = from; row < to; ++row) ++ends_[slice_of_row[row] + 1];
    for (size_t i = 1; i < ends_.size(); ++i) ends_[i] += ends_[i - 1];
    if (order_.size() < static_cast<size_t>(to - from))
      order_.resize(static_cast<size_t>(to - from));
    for (int64_t row = from; row < to; ++row) {
      order_[ends_[slice_of_row[row]]++] = static_cast<int32_t>(row);
    }
    // Placing the rows moved each slice's start to its end.
    uint32_t begin = 0;
    for (size_t i = 0; i < starts.size(); ++i) {
      const uint32_t end = ends_[i];
      if (end > begin && verdicts_[i] == Verdict::kOpen) {
        HR_RETURN_IF_ERROR(groups_->AddRows(batch, order_.data() + begin, end - begin,
                                            slices_->FindOrCreate(starts[i])));
      }
      begin = end;
    }
    return Status::Ok();
  }

  /// As Flink does, a result shows the rows up to the one that fired it, so here the order of rows
  /// counts.
  Result<Progress> AddWithRefires(const RecordBatch& batch, Output& out) {
    while (row_ < batch.num_rows) {
      int64_t end = row_;
      while (end < batch.num_rows && VerdictOf(end) != Verdict::kRefire) ++end;
      if (end > row_) {
        HR_RETURN_IF_ERROR(AddSegment(batch, row_, end));
        row_ = end;
        continue;
      }
      if (rows_->rows() > 0 && rows_->rows() >= out.RoomRows()) {
        if (out.RoomRows() == 0) return Progress::kBlocked;
        out.Emit(rows_->Finish());
      }
      HR_RETURN_IF_ERROR(Refire(batch, row_));
      ++row_;
    }
    if (rows_->rows() > 0) {
      if (out.RoomRows() == 0) return Progress::kBlocked;
      out.Emit(rows_->Finish());
    }
    return Progress::kDone;
  }

  Status Refire(const RecordBatch& batch, int64_t row) {
    const TimestampMs start = SliceOf(row);
    SliceTable* slice = slices_->FindOrCreate(start);
    HR_RETURN_IF_ERROR(groups_->AddRange(batch, row, 1, slice));
    HR_ASSIGN_OR_RETURN(const KeyId* ids, groups_->Locate(*batch.key, row, 1, slice));
    const KeyId id = ids[0];
    const TimestampMs now = progress_.watermark();
    const std::string key = layout_.tumbling() ? std::string() : slice->keys().EncodedKey(id);
    const TimestampMs first_end = layout_.FirstWindowEnd(start);
    for (TimestampMs end = LastFiredEnd(start);
         end >= first_end && spec_.window.CleanupTime(end) > now; end -= layout_.spec().slide_ms) {
      const TimeWindow window{end - layout_.spec().size_ms, end};
      const char* accumulators = nullptr;
      if (layout_.tumbling()) {
        accumulators = slice->accumulators().Row(id);
      } else {
        HR_ASSIGN_OR_RETURN(accumulators,
                            merger_->MergeKey(slices_, key, window.start, window.end));
      }
      HR_RETURN_IF_ERROR(rows_->Append(slice->keys(), id, window, accumulators));
    }
    return Status::Ok();
  }

  // ---- Firing windows ----

  /// End of the first window with rows that is due at watermark `now` and was not fired for all
  /// keys.
  bool NextWindowEnd(TimestampMs now, TimestampMs* end) const {
    const TimestampMs fired = progress_.fired_through();
    if (slices_->slices().empty() || fired > 2 * kEventTimeLimitMs) return false;
    auto slice = slices_->slices().begin();
    *end = layout_.FirstWindowEnd(slice->first);
    if (*end - 1 <= fired) {
      *end = layout_.LastEndUpTo(fired + 1) + layout_.spec().slide_ms;
      // Slices kept for late rows only lie behind; the window has to hold a later one.
      slice = slices_->slices().lower_bound(*end - layout_.spec().size_ms);
      if (slice == slices_->slices().end()) return false;
      *end = std::max(*end, layout_.FirstWindowEnd(slice->first));
    }
    return *end - 1 <= now;
  }

  Result<Progress> EmitWindow(Output& out) {
    while (next_group_ < merger_->size()) {
      const int64_t room = std::min(out.RoomRows(), context_.batch_rows);
      if (room <= 0) return Progress::kBlocked;
      for (; next_group_ < merger_->size() && rows_->rows() < room; ++next_group_) {
        const char* accumulators = merger_->Row(next_group_);
        if (!accumulators) continue;
        KeyDictionary& keys = merger_->keys();
        if (progress_.uneven() &&
            progress_.Fired(keys.KeyGroupOf(next_group_), window_.max_timestamp())) {
          continue;
        }
        HR_RETURN_IF_ERROR(rows_->Append(keys, next_group_, window_, accumulators));
      }
      if (rows_->rows() > 0) out.Emit(rows_->Finish());
    }
    return Progress::kDone;
  }

  /// A slice goes when the last window over it is late.
  void DropSlices() {
    while (!slices_->slices().empty()) {
      const TimestampMs start = slices_->slices().begin()->first;
      if (spec_.window.CleanupTime(layout_.LastWindowEnd(start)) > progress_.watermark()) return;
      slices_->Drop(start);
    }
  }

  const SlicingWindowSpec spec_;
  const SchemaPtr output_;
  const SliceLayout layout_;
  std::unique_ptr<AggregateRow> aggregates_;
  std::unique_ptr<GroupAggregator> groups_;
  std::unique_ptr<SliceMerger> merger_;
  std::unique_ptr<WindowRows> rows_;
  SliceStore* slices_ = nullptr;
  Counter* late_rows_ = nullptr;
  WindowProgress progress_;

  // The batch in work.
  BatchSlices batch_slices_;
  std::vector<Verdict> verdicts_;  // of batch_slices_.starts()
  std::vector<int32_t> side_rows_;
  std::vector<uint32_t> ends_;  // of each slice's rows in order_
  std::vector<int32_t> order_;
  bool batch_open_ = false;
  bool any_refire_ = false;
  int64_t row_ = 0;  // first row not yet added, when rows go one by one

  // The window in work.
  bool firing_ = false;
  TimeWindow window_;
  KeyId next_group_ = 0;
};

}  // namespace

Result<SchemaPtr> SlicingWindowSchema(const SlicingWindowSpec& spec) {
  HR_RETURN_IF_ERROR(spec.window.Validate());
  HR_ASSIGN_OR_RETURN(auto aggregates, AggregateRow::Make(spec.aggregates, *spec.input_schema));
  return WindowRowsSchema(spec.key_fields, *aggregates);
}

OperatorFactoryPtr SlicingWindow(SlicingWindowSpec spec) {
  return NativeOperator([spec = std::move(spec)](int) -> Result<std::unique_ptr<Operator>> {
    HR_ASSIGN_OR_RETURN(SchemaPtr output, SlicingWindowSchema(spec));
    return std::unique_ptr<Operator>(std::make_unique<SlicingWindowOperator>(spec, output));
  });
}

}  // namespace headrace
