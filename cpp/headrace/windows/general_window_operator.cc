#include "headrace/windows/general_window_operator.h"

#include <algorithm>

#include "headrace/base/check.h"
#include "headrace/windows/window_progress.h"

namespace headrace {

struct GeneralWindowOperator::Impl {
  Impl(WindowSpec s, WindowAssignerPtr a, std::unique_ptr<WindowFunction> f)
      : spec(std::move(s)), assigner(std::move(a)), function(std::move(f)) {}

  Status OpenBatch(const RecordBatch& batch);
  Result<Progress> AddRow(const RecordBatch& batch, Output& out);
  Status Register(const WindowGroup& group);
  Result<Progress> OnTimer(Output& out);
  Result<Progress> EmitLate(const RecordBatch& batch, Output& out);

  bool Late(const TimeWindow& window) const { return spec.CleanupTime(window.end) <= watermark; }

  const WindowSpec spec;
  const WindowAssignerPtr assigner;
  const std::unique_ptr<WindowFunction> function;
  KeyedState* keyed_state = nullptr;
  Counter* late_counter = nullptr;
  WindowProgress progress;
  TimestampMs watermark = kMinWatermark;  // the function reads it through a pointer

  // The batch in work: rows before `row` are done, of `row` the windows before `next_window`.
  bool batch_open = false;
  std::vector<KeyId> keys;
  int64_t row = 0;
  bool row_open = false;  // `windows` are those of `row`
  bool added = false;     // windows[next_window] has taken the row
  bool taken = false;     // some window has taken the row
  size_t next_window = 0;
  std::vector<TimeWindow> windows;
  std::vector<int32_t> late;

  // The timer in work.
  bool timer_open = false;
  Timer timer;
};

Status GeneralWindowOperator::Impl::OpenBatch(const RecordBatch& batch) {
  HR_CHECK(batch.key != nullptr);
  const TimestampMs* times = batch.Timestamps();
  for (int64_t i = 0; i < batch.num_rows; ++i) {
    if (!times || times[i] == kNoTimestamp) {
      return Status::InvalidArgument(
          "a record has no event time: call assign_timestamps_and_watermarks");
    }
    if (times[i] < -kEventTimeLimitMs || times[i] > kEventTimeLimitMs) {
      return Status::InvalidArgument("event time " + std::to_string(times[i]) +
                                     " ms is out of range: is the unit right?");
    }
  }
  keys.resize(static_cast<size_t>(batch.num_rows));
  HR_RETURN_IF_ERROR(
      keyed_state->keys().LookupOrInsertBatch(*batch.key, 0, batch.num_rows, keys.data()));
  HR_RETURN_IF_ERROR(function->BeginBatch(batch));
  row = 0;
  row_open = false;
  late.clear();
  batch_open = true;
  return Status::Ok();
}

Result<Progress> GeneralWindowOperator::Impl::AddRow(const RecordBatch& batch, Output& out) {
  if (!row_open) {
    assigner->Assign(batch.TimestampAt(row), &windows);
    next_window = 0;
    added = false;
    taken = false;
    row_open = true;
  }
  for (; next_window < windows.size(); ++next_window) {
    const TimeWindow& window = windows[next_window];
    if (Late(window)) continue;
    const std::string ns = EncodeWindow(window);
    const WindowGroup group{keys[static_cast<size_t>(row)], window, ns};
    if (!added) {
      HR_RETURN_IF_ERROR(function->Add(group, batch, row));
      HR_RETURN_IF_ERROR(Register(group));
      added = true;
      taken = true;
    }
    if (window.max_timestamp() <= watermark) {
      HR_ASSIGN_OR_RETURN(const Progress fired, function->Fire(group, out));
      if (fired == Progress::kBlocked) return fired;
    }
    added = false;
  }
  // A row that no window took is late by its own time, or belongs nowhere (slide > size).
  if (!taken && spec.CleanupTime(batch.TimestampAt(row) + 1) <= watermark) {
    late.push_back(static_cast<int32_t>(row));
  }
  row_open = false;
  return Progress::kDone;
}

Status GeneralWindowOperator::Impl::Register(const WindowGroup& group) {
  TimerService& timers = keyed_state->timers();
  const TimestampMs fire_at = group.window.max_timestamp();
  if (fire_at > watermark) timers.Register(TimeDomain::kEventTime, group.key, group.ns, fire_at);
  timers.Register(TimeDomain::kEventTime, group.key, group.ns, spec.CleanupTime(group.window.end));
  return Status::Ok();
}

Result<Progress> GeneralWindowOperator::Impl::OnTimer(Output& out) {
  HR_ASSIGN_OR_RETURN(const TimeWindow window, DecodeWindow(timer.ns));
  const WindowGroup group{timer.key, window, timer.ns};
  if (timer.time == window.max_timestamp()) {
    HR_ASSIGN_OR_RETURN(const Progress fired, function->Fire(group, out));
    if (fired == Progress::kBlocked) return fired;
  }
  if (timer.time >= spec.CleanupTime(window.end)) HR_RETURN_IF_ERROR(function->Clear(group));
  return Progress::kDone;
}

Result<Progress> GeneralWindowOperator::Impl::EmitLate(const RecordBatch& batch, Output& out) {
  if (late.empty()) return Progress::kDone;
  if (!spec.late_tag.empty() && out.HasSideReader(spec.late_tag)) {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    HR_ASSIGN_OR_RETURN(RecordBatch rows,
                        batch.Take(late.data(), static_cast<int64_t>(late.size())));
    out.EmitSide(spec.late_tag, std::move(rows));
  }
  if (late_counter) late_counter->Add(static_cast<int64_t>(late.size()));
  late.clear();
  return Progress::kDone;
}

GeneralWindowOperator::GeneralWindowOperator(WindowSpec spec, WindowAssignerPtr assigner,
                                             std::unique_ptr<WindowFunction> function)
    : impl_(std::make_unique<Impl>(std::move(spec), std::move(assigner), std::move(function))) {}

GeneralWindowOperator::~GeneralWindowOperator() = default;

Status GeneralWindowOperator::Open(const OperatorContext& context) {
  HR_RETURN_IF_ERROR(Operator::Open(context));
  HR_CHECK(context.keyed_state != nullptr);
  impl_->keyed_state = context.keyed_state;
  if (context.metrics) impl_->late_counter = &context.metrics->late_rows;
  if (context.operator_state) {
    HR_RETURN_IF_ERROR(
        impl_->progress.Restore(*context.operator_state, context.keyed_state->range()));
    impl_->watermark = impl_->progress.watermark();
  }
  return impl_->function->Open(context, &impl_->watermark);
}

Result<Progress> GeneralWindowOperator::Process(const RecordBatch& batch, int, Output& out) {
  if (!impl_->batch_open) HR_RETURN_IF_ERROR(impl_->OpenBatch(batch));
  for (; impl_->row < batch.num_rows; ++impl_->row) {
    HR_ASSIGN_OR_RETURN(const Progress added, impl_->AddRow(batch, out));
    if (added == Progress::kBlocked) return added;
  }
  HR_ASSIGN_OR_RETURN(const Progress late, impl_->EmitLate(batch, out));
  if (late == Progress::kBlocked) return late;
  HR_ASSIGN_OR_RETURN(const Progress flushed, impl_->function->Flush(out));
  if (flushed == Progress::kBlocked) return flushed;
  impl_->batch_open = false;
  HR_RETURN_IF_ERROR(context_.keyed_state->CheckBudget());
  return Progress::kDone;
}

Result<Progress> GeneralWindowOperator::OnWatermark(TimestampMs watermark, Output& out) {
  Impl& impl = *impl_;
  // Flink advances the watermark before timers fire: functions see the new one.
  impl.watermark = std::max(impl.watermark, watermark);
  TimerService& timers = impl.keyed_state->timers();
  while (true) {
    if (!impl.timer_open && !timers.PopDue(TimeDomain::kEventTime, impl.watermark, &impl.timer)) {
      break;
    }
    impl.timer_open = true;
    HR_ASSIGN_OR_RETURN(const Progress fired, impl.OnTimer(out));
    if (fired == Progress::kBlocked) return fired;
    impl.timer_open = false;
  }
  HR_ASSIGN_OR_RETURN(const Progress flushed, impl.function->Flush(out));
  if (flushed == Progress::kBlocked) return flushed;
  impl.progress.Advance(impl.watermark);
  return Progress::kDone;
}

Status GeneralWindowOperator::Snapshot(uint64_t checkpoint_id, OperatorState* state) {
  impl_->progress.Snapshot(context_.keyed_state->range(), state);
  return impl_->function->Snapshot(checkpoint_id, state);
}

std::vector<StateRegistration> GeneralWindowOperator::OperatorStateRegistry() const {
  return impl_->function->OperatorStateRegistry();
}

Status GeneralWindowOperator::Close() { return impl_->function->Close(); }

OperatorFactoryPtr GeneralWindow(WindowSpec spec, WindowFunctionMaker make, bool calls_python) {
  class Factory final : public OperatorFactory {
   public:
    Factory(WindowSpec spec, WindowFunctionMaker make, bool calls_python)
        : spec_(std::move(spec)), make_(std::move(make)), calls_python_(calls_python) {}

    Result<std::unique_ptr<Operator>> Make(int subtask_index) override {
      HR_ASSIGN_OR_RETURN(WindowAssignerPtr assigner, MakeWindowAssigner(spec_));
      HR_ASSIGN_OR_RETURN(auto function, make_(subtask_index));
      return std::unique_ptr<Operator>(
          std::make_unique<GeneralWindowOperator>(spec_, std::move(assigner), std::move(function)));
    }
    bool calls_python() const override { return calls_python_; }

   private:
    const WindowSpec spec_;
    const WindowFunctionMaker make_;
    const bool calls_python_;
  };
  return std::make_shared<Factory>(std::move(spec), std::move(make), calls_python);
}

}  // namespace headrace
