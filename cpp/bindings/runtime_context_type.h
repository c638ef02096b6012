#pragma once

#include <Python.h>

#include "bindings/task_scope.h"

namespace headrace::bindings {

/// Adds RuntimeContext, MetricGroup and Counter; false with a Python error set.
bool AddRuntimeContextTypes(PyObject* module);

/// What open() of a user function is handed: a new reference, null with a Python error set. With
/// `per_window` the states it gives belong to the window at work.
PyObject* NewRuntimeContext(const TaskScopePtr& scope, bool per_window = false);

}  // namespace headrace::bindings
