#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/time/watermark_generator.h"
#include "headrace/types/batch.h"

namespace headrace {

/// A part of a source that one reader reads in order, and how far it got. Split ids are stable:
/// they are planned once, at the first start, and come from the checkpoint ever after.
struct SplitState {
  std::string id;         ///< unique in the source, e.g. "file:/data/a.csv" or "range:0-999"
  std::string position;   ///< reader's own bytes; "" = from the start
  std::string watermark;  ///< WatermarkGenerator::Snapshot, filled by the runtime
  int64_t rows_read = 0;  ///< since the first start; filled by the runtime
  bool finished = false;
};

/// What one poll gave.
struct PollResult {
  enum class Kind : uint8_t {
    kBatch,     ///< `batch` came from split `split`
    kNothing,   ///< nothing to read now; poll again after `wait_ms` at the earliest
    kFinished,  ///< every split is at its end
  };
  Kind kind = Kind::kNothing;
  RecordBatch batch;
  int split = 0;  ///< index in the order of AddSplit
  bool split_finished =
      false;  ///< nothing comes from this split after `batch` (may be set with an empty batch)
  int64_t wait_ms = 10;
  std::string side_tag;    ///< with kBatch: the side output that `side_batch` goes to, ahead of it
  RecordBatch side_batch;  ///< such as rows of a file that cannot be read
};

/// Reads the splits of one source subtask. Threading: owned by one task thread.
///
/// Positions() must describe exactly what Poll() has returned so far: a reader restored there
/// returns the next row first. Two readers at the same position return the same rows (for
/// replayable sources).
class SourceReader {
 public:
  virtual ~SourceReader() = default;
  virtual Status Open(const OperatorContext& context) = 0;
  virtual Status AddSplit(const SplitState& split) = 0;
  /// At most `max_rows` rows, all of one split.
  virtual Result<PollResult> Poll(int64_t max_rows) = 0;
  /// Position of every split in the order of AddSplit.
  virtual Result<std::vector<std::string>> Positions() = 0;
  virtual Status OnCheckpointComplete(uint64_t checkpoint_id) {
    (void)checkpoint_id;
    return Status::Ok();
  }
  /// Asked from another thread to make a blocking Poll return soon.
  virtual void Cancel() {}
  /// `wake` may be called from any thread, also after Close: rows arrived, so poll before `wait_ms`
  /// is over.
  virtual void SetWaker(std::function<void()> wake) { (void)wake; }
  virtual Status Close() { return Status::Ok(); }
};

/// Describes a source of the graph. Threading: immutable after building.
class SourceFactory {
 public:
  virtual ~SourceFactory() = default;
  /// The splits of a fresh start, without positions.
  virtual Result<std::vector<SplitState>> PlanSplits(int parallelism) = 0;
  virtual Result<std::unique_ptr<SourceReader>> Make(int subtask_index) = 0;
  virtual SchemaPtr schema() const = 0;
  virtual bool calls_python() const { return false; }
  virtual bool bounded() const { return true; }
  /// False: rows read before a crash may come again ("at least once from source X").
  virtual bool replayable() const { return true; }
  /// True: rows of a later split never carry earlier event times, so unread splits do not hold back
  /// time.
  virtual bool time_ordered() const { return false; }
};
using SourceFactoryPtr = std::shared_ptr<SourceFactory>;

/// Rows a second and event time of a source, applied by the runtime around any reader.
struct SourceOptions {
  double rows_per_second = 0;  ///< 0 = as fast as possible; per source, over all subtasks
  int timestamp_column =
      -1;  ///< event time from this column (int64 ms or timestamp), -1 = as the batch has
  WatermarkSpec watermarks;  ///< per split
};

}  // namespace headrace
