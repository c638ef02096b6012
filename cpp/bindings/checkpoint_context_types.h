#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/task_scope.h"
#include "bindings/user_function.h"

namespace headrace::bindings {

/// Adds FunctionInitializationContext, FunctionSnapshotContext and OperatorStateStore; false with a
/// Python error set.
bool AddCheckpointContextTypes(PyObject* module);

/// The two callbacks of a CheckpointedFunction.
/// Threading: owned by one task thread, which holds the GIL.
class CheckpointedCallbacks {
 public:
  /// Binds snapshot_state of `function`, if it has it, and calls its initialize_state: before
  /// open().
  Status Initialize(PyObject* function, const TaskScopePtr& scope);
  /// Calls snapshot_state, if there is one.
  Status Snapshot(uint64_t checkpoint_id, const TaskScopePtr& scope) const;

  explicit operator bool() const { return static_cast<bool>(snapshot_); }

 private:
  UserFunction snapshot_;
};

}  // namespace headrace::bindings
