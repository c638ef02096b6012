#include "headrace/operators/timestamps_and_watermarks.h"

#include <algorithm>
#include <optional>

#include "headrace/operators/event_time_column.h"

namespace headrace {
namespace {

constexpr char kStateName[] = "watermark-generator";

class TimestampsAndWatermarksOperator final : public Operator {
 public:
  TimestampsAndWatermarksOperator(int timestamp_column, const WatermarkSpec& spec)
      : timestamp_column_(timestamp_column), spec_(spec), generator_(spec) {}

  Status Open(const OperatorContext& context) override {
    HR_RETURN_IF_ERROR(Operator::Open(context));
    return context.operator_state ? Restore(*context.operator_state) : Status::Ok();
  }

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (cursor_ == 0) {
      current_ = batch;
      if (timestamp_column_ != kTimestampsInBatch) {
        HR_ASSIGN_OR_RETURN(current_, WithEventTimesFrom(batch, timestamp_column_));
      } else if (!batch.timestamps) {
        return Status::InvalidArgument("the timestamp assigner left rows without event time");
      }
    }
    while (cursor_ < current_.num_rows) {
      if (out.RoomRows() == 0) return Progress::kBlocked;
      const TimestampMs before = produced_through_;
      const int64_t start = cursor_;
      // Stride after stride, as long as event time stands still: only an advance cuts the batch.
      while (cursor_ < current_.num_rows && produced_through_ == before) {
        const int64_t count = std::min(generator_.RowsUntilEmission(), current_.num_rows - cursor_);
        if (generator_.Observe(current_.Timestamps() + cursor_, count)) Produce();
        cursor_ += count;
      }
      out.Emit(current_.Slice(start, cursor_ - start));
      if (produced_through_ > before && cursor_ < current_.num_rows) return Progress::kBlocked;
    }
    cursor_ = 0;
    current_ = RecordBatch();
    idle_ = false;
    quiet_since_ms_.reset();
    return Progress::kDone;
  }

  TimestampMs ForwardedWatermark(TimestampMs incoming) override {
    return incoming == kMaxWatermark ? incoming : kMinWatermark;
  }
  TimestampMs TakeProducedWatermark() override { return std::exchange(produced_, kMinWatermark); }

  TimestampMs OnQuiet(TimestampMs now) override {
    TimestampMs again = kMaxWatermark;
    if (spec_.catch_up_ms > 0 && generator_.Current() > produced_through_) {
      if (now >= catch_up_at_ms_) {
        Produce();
        catch_up_at_ms_ = now + spec_.catch_up_ms;
      } else {
        again = catch_up_at_ms_;
      }
    }
    if (spec_.idle_timeout_ms > 0 && !idle_) {
      if (!quiet_since_ms_) quiet_since_ms_ = now;
      const TimestampMs due = *quiet_since_ms_ + spec_.idle_timeout_ms;
      idle_ = now >= due;
      if (!idle_) again = std::min(again, due);
    }
    return again;
  }
  bool ProducesIdle() const override { return idle_; }

  // The item of operator state:
  //
  //   varint   subtask index
  //   varint   parallelism
  //            the generator (watermark_generator.cc)
  Status Snapshot(uint64_t, OperatorState* state) override {
    ByteWriter item;
    item.Varint(static_cast<uint64_t>(context_.subtask_index));
    item.Varint(static_cast<uint64_t>(context_.parallelism));
    generator_.Snapshot(&item);
    state->Set(kStateName, Redistribution::kUnion, {item.Take()});
    return Status::Ok();
  }

 private:
  void Produce() {
    const TimestampMs watermark = generator_.Current();
    if (watermark <= produced_through_) return;
    produced_through_ = watermark;
    produced_ = watermark;
  }

  Status Restore(const OperatorState& state) {
    bool any = false;
    for (const std::string& item : state.Items(kStateName)) {
      ByteReader in(item);
      uint64_t index = 0;
      uint64_t parallelism = 0;
      HR_RETURN_IF_ERROR(in.Varint(&index));
      HR_RETURN_IF_ERROR(in.Varint(&parallelism));
      WatermarkGenerator stored(spec_);
      HR_RETURN_IF_ERROR(stored.Restore(&in));
      HR_RETURN_IF_ERROR(in.ExpectDone());
      const bool own = parallelism == static_cast<uint64_t>(context_.parallelism);
      if (own && index != static_cast<uint64_t>(context_.subtask_index)) continue;
      if (!any || stored.Current() < generator_.Current()) generator_ = stored;
      any = true;
    }
    return Status::Ok();
  }

  const int timestamp_column_;
  const WatermarkSpec spec_;
  WatermarkGenerator generator_;
  TimestampMs produced_ = kMinWatermark;          // not yet taken
  TimestampMs produced_through_ = kMinWatermark;  // largest ever given out by this attempt
  TimestampMs catch_up_at_ms_ = 0;                // not before this processing time
  std::optional<TimestampMs> quiet_since_ms_;
  bool idle_ = false;
  RecordBatch current_;  // the batch being cut, from row cursor_ on
  int64_t cursor_ = 0;
};

}  // namespace

OperatorFactoryPtr TimestampsAndWatermarks(int timestamp_column, WatermarkSpec spec) {
  return NativeOperator([timestamp_column, spec](int) -> Result<std::unique_ptr<Operator>> {
    return std::unique_ptr<Operator>(
        std::make_unique<TimestampsAndWatermarksOperator>(timestamp_column, spec));
  });
}

}  // namespace headrace
