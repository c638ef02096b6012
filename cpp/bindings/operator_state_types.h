#pragma once

#include <Python.h>

#include <string>

#include "bindings/operator_state_store.h"
#include "bindings/task_scope.h"

namespace headrace::bindings {

/// The handles to operator state that user code holds.

/// Add the types to the module; false with a Python error set.
bool AddOperatorListType(PyObject* module);
bool AddBroadcastStateTypes(PyObject* module);

/// Registers the list and gives its handle: a new reference, null with a Python error set.
PyObject* NewOperatorList(const TaskScopePtr& scope, const std::string& name,
                          Redistribution redistribution, const StateType& element);
/// Registers the broadcast state of a MapStateDescriptor; null with a Python error set.
OperatorMap* RegisterBroadcastState(const TaskScopePtr& scope, PyObject* descriptor,
                                    std::string* name);
/// A handle to a registered broadcast state: a new reference, null with a Python error set.
PyObject* NewBroadcastState(const TaskScopePtr& scope, const std::string& name, OperatorMap* map,
                            bool writable);

}  // namespace headrace::bindings
