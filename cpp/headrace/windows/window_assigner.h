#pragma once

#include <memory>
#include <string>
#include <vector>

#include "headrace/windows/time_window.h"
#include "headrace/windows/window_spec.h"

namespace headrace {

/// Says which windows a row belongs to. Threading: immutable; shared by the subtasks.
class WindowAssigner {
 public:
  virtual ~WindowAssigner() = default;
  /// Replaces the content of `windows` by the windows of a row with this event time, in the order
  /// in which they take the row.
  virtual void Assign(TimestampMs timestamp, std::vector<TimeWindow>* windows) const = 0;
  /// "tumbling(10000)"; part of state fingerprints.
  virtual std::string ToString() const = 0;
};
using WindowAssignerPtr = std::shared_ptr<const WindowAssigner>;

/// Tumbling or sliding windows of event time; the latest window first, as in Flink.
/// kInvalidArgument when the spec is out of range.
Result<WindowAssignerPtr> MakeWindowAssigner(const WindowSpec& spec);

}  // namespace headrace
