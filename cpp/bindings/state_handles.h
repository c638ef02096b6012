#pragma once

#include <Python.h>

#include <memory>
#include <string>

#include "bindings/current_value.h"
#include "bindings/state_type.h"
#include "bindings/task_scope.h"

namespace headrace::bindings {

/// The handles user code holds: hand-written types, as user code calls them for every record.

/// Add the types to the module; false with a Python error set.
bool AddValueStateType(PyObject* module);
bool AddListStateType(PyObject* module);
bool AddMapStateType(PyObject* module);
bool AddFoldingStateTypes(PyObject* module);

/// Register the state and give its handle: a new reference, null with a Python error set.
/// `scope->cursor.state` is not null.
PyObject* NewValueState(const TaskScopePtr& scope, const std::string& name, const StateType& type,
                        const StateUse& use);
PyObject* NewListState(const TaskScopePtr& scope, const std::string& name, const StateType& element,
                       const StateUse& use);
PyObject* NewMapState(const TaskScopePtr& scope, const std::string& name, const StateType& key,
                      const StateType& value, const StateUse& use);
/// `function`: a ReduceFunction or a callable, an AggregateFunction.
PyObject* NewReducingState(const TaskScopePtr& scope, const std::string& name, PyObject* function,
                           const StateType& type, const StateUse& use);
PyObject* NewAggregatingState(const TaskScopePtr& scope, const std::string& name,
                              PyObject* function, const StateType& accumulator,
                              const StateUse& use);

}  // namespace headrace::bindings
