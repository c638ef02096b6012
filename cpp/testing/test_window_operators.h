#pragma once

#include <vector>

#include "headrace/operators/operator.h"
#include "headrace/windows/window_spec.h"
#include "testing/test_rows.h"

namespace headrace {

/// Sums x of each key and window with the engine's general window operator. Rows out: kind
/// 10 · step + 2, key, number of rows, sum of x, last timestamp of the window.
OperatorFactoryPtr TestWindow(int64_t step, const WindowSpec& window);
/// The same sums by the engine's slicing window operator, in its own schema: TestWindowRows()
/// makes TestRows of them.
OperatorFactoryPtr TestSlicingWindow(const WindowSpec& window);
SchemaPtr TestSlicingWindowSchema(const WindowSpec& window);
OperatorFactoryPtr TestWindowRows(int64_t step);

/// The rows that either of them makes of `input`, in any order.
std::vector<TestRow> TestWindowOracle(int64_t step, const WindowSpec& window,
                                      const std::vector<TestRow>& input);

}  // namespace headrace
