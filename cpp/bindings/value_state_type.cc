#include "bindings/current_value.h"
#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/state_handles.h"

namespace headrace::bindings {
namespace {

PyTypeObject* value_state_type = nullptr;

struct ValueState {
  TaskScopePtr scope;
  std::string name;
  CurrentValue value;
};
using Handle = Boxed<ValueState>;

PyObject* Value(PyObject* object, PyObject*) {
  const ValueState& self = Handle::Of(object);
  if (__builtin_expect(!self.value.has_key(), 0)) return RaiseNoKey("state '" + self.name + "'");
  PyObject* value = self.value.Get();
  if (!value && !PyErr_Occurred()) Py_RETURN_NONE;
  return value;
}

PyObject* Clear(PyObject* object, PyObject*) {
  const ValueState& self = Handle::Of(object);
  if (!self.value.has_key()) return RaiseNoKey("state '" + self.name + "'");
  self.value.Clear();
  Py_RETURN_NONE;
}

PyObject* Update(PyObject* object, PyObject* value) {
  if (value == Py_None) return Clear(object, nullptr);
  const ValueState& self = Handle::Of(object);
  if (__builtin_expect(!self.value.has_key(), 0)) return RaiseNoKey("state '" + self.name + "'");
  if (!self.value.Set(value)) return nullptr;
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"value", Value, METH_NOARGS, "The value of the current key, None when there is none."},
    {"update", Update, METH_O, "Replaces the value of the current key; None clears it."},
    {"clear", Clear, METH_NOARGS, "Removes the value of the current key."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddValueStateType(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {0, nullptr}};
  value_state_type = Handle::MakeType(module, "headrace._core.ValueState", slots);
  return value_state_type != nullptr;
}

PyObject* NewValueState(const TaskScopePtr& scope, const std::string& name, const StateType& type,
                        const StateUse& use) {
  Result<CurrentValue> value = CurrentValue::Register(scope, name, "value", type, use);
  if (value.ok()) return Handle::New(value_state_type, ValueState{scope, name, *value});
  SetPythonError(value.status());
  return nullptr;
}

}  // namespace headrace::bindings
