#pragma once

#include <Python.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/operator_state_store.h"
#include "bindings/record_type.h"
#include "headrace/operators/operator.h"
#include "headrace/state/ttl_rows.h"

namespace headrace::bindings {

/// Whose state and timers user code sees right now, and at what time. Moved by the operator before
/// each call.
struct KeyCursor {
  KeyId id = kNoKey;            ///< kNoKey: no record or timer is at work
  KeyedState* state = nullptr;  ///< null without keys, and once the attempt is over
  TimestampMs timestamp = kNoTimestamp;
  TimestampMs watermark = kMinWatermark;
  TimeDomain domain = TimeDomain::kEventTime;
  std::string_view ns;  ///< the window, for per-window state

  /// Where the record's key can be read; null for timers, whose key comes from the dictionary.
  const Column* key_column = nullptr;
  int64_t key_row = 0;

  /// The current key as a Python object: a new reference, null with a Python error set.
  PyObject* CurrentKey() const;
};

class ObjectCell;
struct FoldFunctions;

/// What the handles given to one user function share: they may outlive the attempt, the state does
/// not.
/// Threading: owned by one task thread, which holds the GIL.
struct TaskScope {
  explicit TaskScope(const OperatorContext& operator_context);
  ~TaskScope();

  /// Writes cached values back into the keyed state; called at a barrier.
  Status Flush();
  /// The rows of a state with a time to live; null for one without. The scope owns them.
  TtlRows* TimedRows(RowState* rows, const TimeToLive& ttl, TtlRows::Layout layout);
  /// User code has seen so many records: looks for state that is over.
  void CleanUp(int64_t records) {
    for (const auto& rows : timed_rows) rows->CleanUp(records);
  }
  /// The attempt is over: every later use of a handle raises.
  void Close();

  OperatorContext context;
  KeyCursor cursor;
  std::vector<std::unique_ptr<ObjectCell>> cells;
  /// Functions of folding states. Here and not in their handles: user code keeps those, and the
  /// functions may refer to it.
  std::vector<std::unique_ptr<FoldFunctions>> folds;
  std::vector<std::unique_ptr<TtlRows>> timed_rows;
  OperatorStateStore operator_states;
  bool closed = false;  ///< the attempt is over
};
using TaskScopePtr = std::shared_ptr<TaskScope>;

/// Sets the error for a handle that is used outside of a record or timer; null for convenience.
PyObject* RaiseNoKey(const std::string& what);
/// Sets the error for a handle that is used after its attempt; null for convenience.
PyObject* RaiseClosed(const std::string& what);

}  // namespace headrace::bindings
