#include "headrace/runtime/source_driver.h"

#include <algorithm>
#include <utility>

#include "headrace/base/planted_bug.h"
#include "headrace/operators/event_time_column.h"

namespace headrace {

namespace {

WatermarkSpec WithStride(const SourceOptions& options) {
  WatermarkSpec spec = options.watermarks;
  if (options.rows_per_second > 0) {
    spec.stride_rows = WatermarkStrideRows(options.rows_per_second);
  }
  return spec;
}

// Positions are those before the latest poll.
bool OffsetsAreLate(size_t splits) { return Planted(PlantedBug::kOffsetLate) && splits > 2; }

}  // namespace

SourceDriver::SourceDriver(std::shared_ptr<SourceReader> reader, Options options,
                           std::vector<OwnedSplit> splits)
    : reader_(std::move(reader)),
      options_(options),
      splits_(std::move(splits)),
      limiter_(0),
      time_(WithStride(options.source), options.time_ordered) {}

Status SourceDriver::Open(const OperatorContext& context) {
  rows_read_ = &context.metrics->UserCounter("rows_read");
  limiter_ = RateLimiter(options_.source.rows_per_second / context.parallelism);
  HR_RETURN_IF_ERROR(reader_->Open(context));
  for (size_t i = 0; i < splits_.size(); ++i) {
    const SplitState& split = splits_[i].state;
    HR_RETURN_IF_ERROR(time_.AddSplit(split.watermark, split.finished));
    if (split.finished) continue;
    HR_RETURN_IF_ERROR(reader_->AddSplit(split));
    split_of_reader_.push_back(static_cast<int>(i));
  }
  time_.Start();
  return Status::Ok();
}

Result<SourceDriver::Pulled> SourceDriver::Pull(int64_t now_ns, ChainNode* out) {
  if (ended_) return Pulled::kEnded;
  if (!started_) {
    started_ = true;
    SendTime(out);  // what a restored generator already knew
  }
  if (out->RoomRows() == 0) {
    quiet_since_ns_ = -1;  // backpressure is not silence
    return Pulled::kNothing;
  }
  if (!at_cut()) {
    EmitPiece(out);
    return Pulled::kEmitted;
  }
  const bool all_finished = std::all_of(splits_.begin(), splits_.end(),
                                        [](const OwnedSplit& s) { return s.state.finished; });
  if (all_finished) return End(out);
  if (now_ns < next_poll_ns_) return Pulled::kNothing;
  return Poll(now_ns, out);
}

Result<SourceDriver::Pulled> SourceDriver::Drain(ChainNode* out) {
  if (ended_) return Pulled::kEnded;
  if (out->RoomRows() == 0) return Pulled::kNothing;
  if (at_cut()) return End(out);
  EmitPiece(out);
  return Pulled::kEmitted;
}

Result<SourceDriver::Pulled> SourceDriver::Poll(int64_t now_ns, ChainNode* out) {
  int64_t rows_max = std::min(options_.batch_rows, limiter_.Allowed(now_ns));
  if (rows_max <= 0) {
    next_poll_ns_ = limiter_.NextDueNs();
    quiet_since_ns_ = -1;
    return Pulled::kNothing;
  }
  if (OffsetsAreLate(split_of_reader_.size())) HR_RETURN_IF_ERROR(TakePositions());
  HR_ASSIGN_OR_RETURN(PollResult polled, reader_->Poll(rows_max));
  if (polled.kind == PollResult::Kind::kNothing) return Quiet(now_ns, polled.wait_ms, out);
  quiet_since_ns_ = -1;
  next_poll_ns_ = 0;
  if (polled.kind == PollResult::Kind::kFinished) {
    for (size_t i = 0; i < split_of_reader_.size(); ++i) {
      FinishSplit(static_cast<int>(i), out);
    }
    return End(out);
  }
  if (polled.split < 0 || polled.split >= static_cast<int>(split_of_reader_.size())) {
    return Status::Internal("the reader returned rows of unknown split " +
                            std::to_string(polled.split));
  }
  rest_split_ = polled.split;
  if (polled.side_batch.num_rows > 0) out->EmitSide(polled.side_tag, std::move(polled.side_batch));
  if (polled.batch.num_rows == 0) {
    if (polled.split_finished) FinishSplit(rest_split_, out);
    return Pulled::kEmitted;
  }
  rest_ = std::move(polled.batch);
  rest_finishes_split_ = polled.split_finished;
  if (options_.source.timestamp_column >= 0) {
    HR_ASSIGN_OR_RETURN(rest_,
                        WithEventTimesFrom(std::move(rest_), options_.source.timestamp_column));
  }
  limiter_.Take(rest_.num_rows);
  rows_read_->Add(rest_.num_rows);
  splits_[split_of_reader_[rest_split_]].state.rows_read += rest_.num_rows;
  SetActive(out);
  EmitPiece(out);
  return Pulled::kEmitted;
}

void SourceDriver::EmitPiece(ChainNode* out) {
  const int split = split_of_reader_[rest_split_];
  int64_t rows = rest_.num_rows;
  bool advanced = false;
  if (time_.enabled()) {
    const TimestampMs* timestamps = rest_.Timestamps();
    if (!timestamps) {
      if (static_cast<int64_t>(no_timestamps_.size()) < rows) {
        no_timestamps_.assign(rows, kNoTimestamp);
      }
      timestamps = no_timestamps_.data();
    }
    rows = time_.Observe(split, timestamps, rows, &advanced);
  }
  if (rows == rest_.num_rows) {
    out->Emit(std::exchange(rest_, RecordBatch()));
  } else {
    out->Emit(rest_.Slice(0, rows));
    rest_ = rest_.Slice(rows, rest_.num_rows - rows);
  }
  if (advanced) SendTime(out);
  if (at_cut() && rest_finishes_split_) {
    rest_finishes_split_ = false;
    FinishSplit(rest_split_, out);
  }
}

void SourceDriver::FinishSplit(int reader_split, ChainNode* out) {
  const int split = split_of_reader_[reader_split];
  if (splits_[split].state.finished) return;
  splits_[split].state.finished = true;
  if (time_.OnFinished(split)) SendTime(out);
}

Result<SourceDriver::Pulled> SourceDriver::Quiet(int64_t now_ns, int64_t wait_ms, ChainNode* out) {
  next_poll_ns_ = now_ns + std::max<int64_t>(wait_ms, 1) * 1'000'000;
  const bool live = !options_.bounded || !options_.replayable;
  const int64_t catch_up_ms = options_.source.watermarks.catch_up_ms;
  if (live && catch_up_ms > 0 && now_ns - last_catch_up_ns_ >= catch_up_ms * 1'000'000) {
    last_catch_up_ns_ = now_ns;
    if (time_.CatchUp()) SendTime(out);
  }
  if (quiet_since_ns_ >= 0 && time_.OnQuiet(now_ns - quiet_since_ns_)) {
    SendTime(out);
    if (time_.idle() && !sent_idle_) {
      sent_idle_ = true;
      out->Forward(StreamElement::Control(StreamElement::Kind::kIdle));
    }
  }
  quiet_since_ns_ = now_ns;
  return Pulled::kNothing;
}

void SourceDriver::SendTime(ChainNode* out) { out->ForwardWatermark(time_.watermark()); }

void SourceDriver::SetActive(ChainNode* out) {
  if (!sent_idle_) return;
  sent_idle_ = false;
  out->Forward(StreamElement::Control(StreamElement::Kind::kActive));
}

Result<SourceDriver::Pulled> SourceDriver::End(ChainNode* out) {
  ended_ = true;
  SetActive(out);
  out->FinishSource();
  return Pulled::kEnded;
}

// SplitSnapshot::watermark of a split:
//
//   varint   ordinal: the place of the split among all of its source, which decides who reads it
//            event time of the split (split_watermarks.cc)
Result<std::vector<SplitSnapshot>> SourceDriver::Snapshot() {
  if (!OffsetsAreLate(split_of_reader_.size())) HR_RETURN_IF_ERROR(TakePositions());
  std::vector<SplitSnapshot> out;
  for (size_t i = 0; i < splits_.size(); ++i) {
    const SplitState& split = splits_[i].state;
    ByteWriter time;
    time.Varint(static_cast<uint64_t>(splits_[i].ordinal));
    time.Raw(time_.Snapshot(static_cast<int>(i)));
    out.push_back({split.id, split.position, time.Take(), split.rows_read, split.finished});
  }
  return out;
}

Status SourceDriver::TakePositions() {
  HR_ASSIGN_OR_RETURN(const std::vector<std::string> positions, reader_->Positions());
  if (positions.size() != split_of_reader_.size()) {
    return Status::Internal("the reader has " + std::to_string(split_of_reader_.size()) +
                            " splits but told " + std::to_string(positions.size()) + " positions");
  }
  for (size_t i = 0; i < positions.size(); ++i) {
    splits_[split_of_reader_[i]].state.position = positions[i];
  }
  return Status::Ok();
}

std::vector<SourceDriver::OwnedSplit> DealPlannedSplits(const std::vector<SplitState>& planned,
                                                        int subtask, int parallelism) {
  std::vector<SourceDriver::OwnedSplit> owned;
  for (size_t i = subtask; i < planned.size(); i += parallelism) {
    owned.push_back({planned[i], static_cast<int>(i)});
  }
  return owned;
}

Result<std::vector<SourceDriver::OwnedSplit>> DealStoredSplits(
    const std::vector<SplitSnapshot>& stored, int subtask, int parallelism) {
  std::vector<SourceDriver::OwnedSplit> all;
  for (const SplitSnapshot& split : stored) {
    ByteReader in(split.watermark);
    uint64_t ordinal = 0;
    std::string_view generator;
    HR_RETURN_IF_ERROR(in.Varint(&ordinal));
    HR_RETURN_IF_ERROR(in.Raw(in.remaining(), &generator));
    all.push_back(
        {{split.id, split.position, std::string(generator), split.rows_read, split.finished},
         static_cast<int>(ordinal)});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.ordinal < b.ordinal; });
  std::vector<SourceDriver::OwnedSplit> owned;
  for (size_t i = subtask; i < all.size(); i += parallelism) owned.push_back(std::move(all[i]));
  return owned;
}

}  // namespace headrace
