#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/windows/time_window.h"

namespace headrace {

/// One (key, window) that a WindowFunction is asked about. The views are valid during the call.
struct WindowGroup {
  KeyId key = kNoKey;  ///< in OperatorContext::keyed_state->keys()
  TimeWindow window;
  std::string_view ns;  ///< EncodeWindow(window): namespace for RowState
};

/// What a window does with its rows: collect them, fold them into an accumulator, hand them to a
/// host function.
///
/// Contents live in keyed state under (group.key, group.ns), so that checkpoints hold them. Order
/// of calls: Open; for each batch BeginBatch, then Add for each of its rows and windows, with Fire
/// in between; Clear once per group, after its last Fire. A blocked Fire is called again with the
/// same group before anything else.
/// Threading: owned by one task thread.
class WindowFunction {
 public:
  virtual ~WindowFunction() = default;
  /// Registers state. `watermark` may be read at any later time: the current watermark.
  virtual Status Open(const OperatorContext& context, const TimestampMs* watermark) = 0;
  /// Rows of `batch` follow; for work that is done once a batch.
  virtual Status BeginBatch(const RecordBatch& batch) {
    (void)batch;
    return Status::Ok();
  }
  virtual Status Add(const WindowGroup& group, const RecordBatch& batch, int64_t row) = 0;
  /// Emits the window's result for the key, with event time group.window.max_timestamp(). Keeps a
  /// cursor when it returns kBlocked.
  virtual Result<Progress> Fire(const WindowGroup& group, Output& out) = 0;
  /// The window is over: removes its contents.
  virtual Status Clear(const WindowGroup& group) = 0;
  /// Emits what was held back for larger batches. Called when a batch or watermark is used up.
  virtual Result<Progress> Flush(Output& out) {
    (void)out;
    return Progress::kDone;
  }
  /// As Operator::Snapshot and Operator::OperatorStateRegistry.
  virtual Status Snapshot(uint64_t checkpoint_id, OperatorState* state) {
    (void)checkpoint_id, (void)state;
    return Status::Ok();
  }
  virtual std::vector<StateRegistration> OperatorStateRegistry() const { return {}; }
  virtual Status Close() { return Status::Ok(); }
};

}  // namespace headrace
