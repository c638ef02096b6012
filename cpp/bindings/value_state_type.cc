#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/keyed_value.h"
#include "bindings/state_handles.h"

namespace headrace::bindings {
namespace {

PyTypeObject* value_state_type = nullptr;

/// The values of a key, or with `rows` set those of each of its windows.
struct ValueState {
  TaskScopePtr scope;
  const KeyCursor* cursor;
  std::string name;
  StateType type;
  KeyedValue values;
  RowState* rows = nullptr;
};
using Handle = Boxed<ValueState>;

// Per-window values are encoded at each write and decoded at each read.
PyObject* ReadRow(const ValueState& self, KeyId id) {
  std::string_view bytes;
  if (!self.rows->Get(id, self.cursor->ns, {}, &bytes)) Py_RETURN_NONE;
  ByteReader in(bytes);
  Result<PyRef> value = DecodeForState(self.type, &in);
  if (value.ok()) return value->Release();
  SetPythonError(value.status().WithContext("state '" + self.name + "'"));
  return nullptr;
}

PyObject* WriteRow(ValueState& self, KeyId id, PyObject* value) {
  PyRef coerced = PyRef::Steal(CoerceForState(self.type, value, self.name));
  if (!coerced) return nullptr;
  ByteWriter bytes;
  if (Status status = EncodeForState(self.type, coerced.get(), &bytes); !status.ok()) {
    SetPythonError(status.WithContext("state '" + self.name + "'"));
    return nullptr;
  }
  self.rows->Put(id, self.cursor->ns, {}, bytes.view());
  Py_RETURN_NONE;
}

PyObject* Value(PyObject* object, PyObject*) {
  ValueState& self = Handle::Of(object);
  const KeyId id = self.cursor->id;
  if (__builtin_expect(id == kNoKey, 0)) return RaiseNoKey("state '" + self.name + "'");
  if (__builtin_expect(self.rows != nullptr, 0)) return ReadRow(self, id);
  PyObject* value = self.values.Get(id);
  if (!value && !PyErr_Occurred()) Py_RETURN_NONE;
  return value;
}

PyObject* Clear(PyObject* object, PyObject*) {
  ValueState& self = Handle::Of(object);
  const KeyId id = self.cursor->id;
  if (id == kNoKey) return RaiseNoKey("state '" + self.name + "'");
  if (self.rows) {
    self.rows->Remove(id, self.cursor->ns, {});
  } else {
    self.values.Clear(id);
  }
  Py_RETURN_NONE;
}

PyObject* Update(PyObject* object, PyObject* value) {
  ValueState& self = Handle::Of(object);
  const KeyId id = self.cursor->id;
  if (__builtin_expect(id == kNoKey, 0)) return RaiseNoKey("state '" + self.name + "'");
  if (value == Py_None) return Clear(object, nullptr);
  if (__builtin_expect(self.rows != nullptr, 0)) return WriteRow(self, id, value);
  if (!self.values.Set(id, value)) return nullptr;
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
                        bool per_window) {
  ValueState handle{scope, &scope->cursor, name, type, {}};
  if (per_window) {
    Result<RowState*> rows = scope->cursor.state->RegisterRows(name, "value<" + type.Name() + ">");
    if (rows.ok()) {
      handle.rows = *rows;
      return Handle::New(value_state_type, std::move(handle));
    }
    SetPythonError(rows.status());
    return nullptr;
  }
  Result<KeyedValue> values = KeyedValue::Register(scope.get(), name, type);
  if (!values.ok()) {
    SetPythonError(values.status());
    return nullptr;
  }
  handle.values = *values;
  return Handle::New(value_state_type, std::move(handle));
}

}  // namespace headrace::bindings
