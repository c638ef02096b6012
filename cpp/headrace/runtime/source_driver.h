#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/checkpoint/task_snapshot.h"
#include "headrace/connectors/source.h"
#include "headrace/runtime/chain_node.h"
#include "headrace/runtime/rate_limiter.h"
#include "headrace/runtime/split_watermarks.h"

namespace headrace {

/// Drives the reader of one source subtask: polls when there is room, keeps to the rows a second,
/// gives rows their event time, sends watermarks at exact row numbers, and ends the stream.
///
/// A polled batch is cut where a watermark belongs, so what operators see depends on the rows alone
/// and not on how they were polled. Between two Pull() calls the reader may be ahead of what was
/// emitted; a snapshot is only taken when at_cut().
/// Threading: owned by one task thread.
class SourceDriver {
 public:
  struct Options {
    SourceOptions source;
    bool replayable = true;
    bool bounded = true;
    bool time_ordered = false;
    int64_t batch_rows = 4096;
  };
  /// `splits`: those of this subtask, each with its place among all splits of the source.
  struct OwnedSplit {
    SplitState state;
    int ordinal = 0;
  };
  SourceDriver(std::shared_ptr<SourceReader> reader, Options options,
               std::vector<OwnedSplit> splits);

  Status Open(const OperatorContext& context);

  enum class Pulled : uint8_t { kEmitted, kNothing, kEnded };
  /// Emits one piece through `out`, or polls. kNothing: blocked, or nothing due before
  /// NextPollNs().
  Result<Pulled> Pull(int64_t now_ns, ChainNode* out);
  /// Emits what was polled, then ends the stream although the splits have more rows.
  Result<Pulled> Drain(ChainNode* out);
  /// Everything polled was emitted.
  bool at_cut() const { return rest_.num_rows == 0; }
  int64_t next_poll_ns() const { return next_poll_ns_; }
  /// Rows arrived: poll at the next chance.
  void PollSoon() { next_poll_ns_ = 0; }
  /// REQUIRES: at_cut().
  Result<std::vector<SplitSnapshot>> Snapshot();

 private:
  Result<Pulled> Poll(int64_t now_ns, ChainNode* out);
  void EmitPiece(ChainNode* out);
  /// Of all splits, as the reader tells them.
  Status TakePositions();
  void FinishSplit(int reader_split, ChainNode* out);
  Result<Pulled> Quiet(int64_t now_ns, int64_t wait_ms, ChainNode* out);
  void SendTime(ChainNode* out);
  void SetActive(ChainNode* out);
  Result<Pulled> End(ChainNode* out);

  std::shared_ptr<SourceReader> reader_;
  Options options_;
  std::vector<OwnedSplit> splits_;
  std::vector<int> split_of_reader_;  ///< reader's split number -> index in splits_
  RateLimiter limiter_;
  SplitWatermarks time_;
  RecordBatch rest_;  ///< polled, not yet emitted
  int rest_split_ = 0;
  bool rest_finishes_split_ = false;
  bool sent_idle_ = false;
  bool started_ = false;
  bool ended_ = false;
  int64_t next_poll_ns_ = 0;
  int64_t quiet_since_ns_ = -1;
  int64_t last_catch_up_ns_ = 0;
  Counter* rows_read_ = nullptr;
  std::vector<TimestampMs> no_timestamps_;
};

/// The splits of subtask `subtask` of `parallelism`: split i goes to subtask i mod parallelism.
/// `stored` (from a checkpoint) come back in the order in which they were planned.
std::vector<SourceDriver::OwnedSplit> DealPlannedSplits(const std::vector<SplitState>& planned,
                                                        int subtask, int parallelism);
Result<std::vector<SourceDriver::OwnedSplit>> DealStoredSplits(
    const std::vector<SplitSnapshot>& stored, int subtask, int parallelism);

}  // namespace headrace
