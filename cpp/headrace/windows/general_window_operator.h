#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/windows/window_assigner.h"
#include "headrace/windows/window_function.h"

namespace headrace {

/// Makes the function of one subtask, on the task's thread.
using WindowFunctionMaker = std::function<Result<std::unique_ptr<WindowFunction>>(int subtask)>;

/// Keyed windows of event time with any function: one state for each (key, window), timers for
/// firing and clean-up, no sharing between overlapping windows (SlicingWindow does that for
/// built-in aggregates).
///
/// Lateness, repeated firing and side output are as WindowSpec says. Windows fire in the order of
/// timers: time, key bytes, window start. A window over all rows is one over a constant key at
/// parallelism 1.
///
/// State: timers with the encoded window as namespace, WindowProgress, and what the function
/// registers.
/// Metric: late_rows. Rows without event time fail with kInvalidArgument.
class GeneralWindowOperator final : public Operator {
 public:
  GeneralWindowOperator(WindowSpec spec, WindowAssignerPtr assigner,
                        std::unique_ptr<WindowFunction> function);
  ~GeneralWindowOperator() override;

  Status Open(const OperatorContext& context) override;
  Result<Progress> Process(const RecordBatch& batch, int input, Output& out) override;
  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override;
  Status Snapshot(uint64_t checkpoint_id, OperatorState* state) override;
  std::vector<StateRegistration> OperatorStateRegistry() const override;
  Status Close() override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Factory; `calls_python` as OperatorFactory::calls_python(). REQUIRES: spec.Validate() is ok.
OperatorFactoryPtr GeneralWindow(WindowSpec spec, WindowFunctionMaker make, bool calls_python);

}  // namespace headrace
