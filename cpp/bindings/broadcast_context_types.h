#pragma once

#include <Python.h>

#include "bindings/task_scope.h"

namespace headrace::bindings {

/// The contexts of broadcast process functions. One object of each serves all records of a subtask.

/// Adds BroadcastContext, ReadOnlyBroadcastContext, KeyedReadOnlyBroadcastContext and
/// BroadcastOnTimerContext; false with a Python error set.
bool AddBroadcastContextTypes(PyObject* module);

enum class BroadcastSide : uint8_t {
  kBroadcast,  ///< of records that all subtasks get: may write the broadcast states
  kPlain,      ///< of the other records
  kKeyed,      ///< the same with a key
  kTimer,      ///< of timers
};

/// New reference, null with a Python error set.
PyObject* NewBroadcastContext(const TaskScopePtr& scope, BroadcastSide side);

}  // namespace headrace::bindings
