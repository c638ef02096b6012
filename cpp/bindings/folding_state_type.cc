#include "bindings/current_value.h"
#include "bindings/errors.h"
#include "bindings/fold_functions.h"
#include "bindings/heap_type.h"
#include "bindings/state_handles.h"

namespace headrace::bindings {
namespace {

PyTypeObject* reducing_state_type = nullptr;
PyTypeObject* aggregating_state_type = nullptr;

/// A value into which each added one is folded. What is stored is the value of a reducing state and
/// the accumulator of an aggregating one.
struct FoldingState {
  TaskScopePtr scope;
  std::string name;
  CurrentValue value;
  const FoldFunctions* functions;  // the scope's: good while there is a current key
};
using Handle = Boxed<FoldingState>;

const FoldingState* SelfWithKey(PyObject* object) {
  const FoldingState& self = Handle::Of(object);
  if (self.value.has_key()) return &self;
  RaiseNoKey("state '" + self.name + "'");
  return nullptr;
}

PyObject* Clear(PyObject* object, PyObject*) {
  const FoldingState* self = SelfWithKey(object);
  if (!self) return nullptr;
  self->value.Clear();
  Py_RETURN_NONE;
}

// Stores what `function` gave, and takes it over; null is its failure.
PyObject* Store(const FoldingState& self, const UserFunction& function, PyObject* next) {
  const FrameRef value(next);
  if (!value) return nullptr;
  if (value.get() == Py_None) {
    return PyErr_Format(InvalidArgumentClass(), "state '%s': %s gave None", self.name.c_str(),
                        function.what().c_str());
  }
  if (!self.value.Set(value.get())) return nullptr;
  Py_RETURN_NONE;
}

// ---- Reducing ----

PyObject* GetReduced(PyObject* object, PyObject*) {
  const FoldingState* self = SelfWithKey(object);
  if (!self) return nullptr;
  PyObject* value = self->value.Get();
  if (!value && !PyErr_Occurred()) Py_RETURN_NONE;
  return value;
}

PyObject* AddToReduced(PyObject* object, PyObject* added) {
  if (added == Py_None) return Clear(object, nullptr);
  const FoldingState* self = SelfWithKey(object);
  if (!self) return nullptr;
  const FrameRef former(self->value.Get());
  if (!former && PyErr_Occurred()) return nullptr;
  const UserFunction& reduce = self->functions->fold;
  return Store(*self, reduce, former ? reduce.Call(former.get(), added) : Py_NewRef(added));
}

// ---- Aggregating ----

PyObject* GetAggregated(PyObject* object, PyObject*) {
  const FoldingState* self = SelfWithKey(object);
  if (!self) return nullptr;
  const FrameRef accumulator(self->value.Get());
  if (accumulator) return self->functions->result.Call(accumulator.get());
  if (PyErr_Occurred()) return nullptr;
  Py_RETURN_NONE;
}

PyObject* AddToAggregated(PyObject* object, PyObject* added) {
  if (added == Py_None) return Clear(object, nullptr);
  const FoldingState* self = SelfWithKey(object);
  if (!self) return nullptr;
  PyObject* stored = self->value.Get();
  if (!stored && PyErr_Occurred()) return nullptr;
  const FrameRef accumulator(stored ? stored : self->functions->create.CallNoArgs());
  if (!accumulator) return nullptr;
  const UserFunction& add = self->functions->fold;
  return Store(*self, add, add.Call(added, accumulator.get()));
}

PyMethodDef reducing_methods[] = {
    {"get", GetReduced, METH_NOARGS, "The reduced value of the current key, None without values."},
    {"add", AddToReduced, METH_O, "Reduces a value into that of the current key; None clears it."},
    {"clear", Clear, METH_NOARGS, "Removes the value of the current key."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef aggregating_methods[] = {
    {"get", GetAggregated, METH_NOARGS,
     "The result of the current key's accumulator, None without values."},
    {"add", AddToAggregated, METH_O,
     "Takes a value into the current key's accumulator; None clears it."},
    {"clear", Clear, METH_NOARGS, "Removes the accumulator of the current key."},
    {nullptr, nullptr, 0, nullptr},
};

PyObject* NewFoldingState(PyTypeObject* handle_type, const TaskScopePtr& scope,
                          const std::string& name, const char* kind, const StateType& type,
                          Result<FoldFunctions> functions, const StateUse& use) {
  Result<CurrentValue> value =
      functions.ok() ? CurrentValue::Register(scope, name, kind, type, use)
                     : Result<CurrentValue>(functions.status().WithContext("state '" + name + "'"));
  if (!value.ok()) {
    SetPythonError(value.status());
    return nullptr;
  }
  scope->folds.push_back(std::make_unique<FoldFunctions>(std::move(*functions)));
  return Handle::New(handle_type, FoldingState{scope, name, *value, scope->folds.back().get()});
}

Result<FoldFunctions> AggregateOf(PyObject* function) {
  FoldFunctions functions;
  HR_ASSIGN_OR_RETURN(functions.create, UserFunction::Bind(function, "create_accumulator"));
  HR_ASSIGN_OR_RETURN(functions.fold, UserFunction::Bind(function, "add"));
  HR_ASSIGN_OR_RETURN(functions.result, UserFunction::Bind(function, "get_result"));
  return functions;
}

Result<FoldFunctions> ReduceOf(PyObject* function) {
  FoldFunctions functions;
  HR_ASSIGN_OR_RETURN(functions.fold, UserFunction::Bind(function, "reduce"));
  return functions;
}

}  // namespace

bool AddFoldingStateTypes(PyObject* module) {
  PyType_Slot reducing_slots[] = {{Py_tp_methods, reducing_methods}, {0, nullptr}};
  PyType_Slot aggregating_slots[] = {{Py_tp_methods, aggregating_methods}, {0, nullptr}};
  reducing_state_type = Handle::MakeType(module, "headrace._core.ReducingState", reducing_slots);
  aggregating_state_type =
      Handle::MakeType(module, "headrace._core.AggregatingState", aggregating_slots);
  return reducing_state_type && aggregating_state_type;
}

PyObject* NewReducingState(const TaskScopePtr& scope, const std::string& name, PyObject* function,
                           const StateType& type, const StateUse& use) {
  return NewFoldingState(reducing_state_type, scope, name, "reducing", type, ReduceOf(function),
                         use);
}

PyObject* NewAggregatingState(const TaskScopePtr& scope, const std::string& name,
                              PyObject* function, const StateType& accumulator,
                              const StateUse& use) {
  return NewFoldingState(aggregating_state_type, scope, name, "aggregating", accumulator,
                         AggregateOf(function), use);
}

}  // namespace headrace::bindings
