#pragma once

#include <Python.h>

#include <memory>
#include <string>

#include "bindings/state_type.h"
#include "bindings/task_scope.h"

namespace headrace::bindings {

/// The handles user code holds: hand-written types, as user code calls them for every record.

/// Add the types to the module; false with a Python error set.
bool AddValueStateType(PyObject* module);
bool AddListStateType(PyObject* module);
bool AddMapStateType(PyObject* module);

/// Register the state and give its handle: a new reference, null with a Python error set. In
/// windows the state is one for each window when `per_window`. `scope->cursor.state` is not null.
PyObject* NewValueState(const TaskScopePtr& scope, const std::string& name, const StateType& type,
                        bool per_window);
PyObject* NewListState(const TaskScopePtr& scope, const std::string& name, const StateType& element,
                       bool per_window);
PyObject* NewMapState(const TaskScopePtr& scope, const std::string& name, const StateType& key,
                      const StateType& value, bool per_window);

}  // namespace headrace::bindings
