#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/operator_state_types.h"

namespace headrace::bindings {
namespace {

PyTypeObject* operator_list_type = nullptr;

/// A list of operator state. May be used whenever user code of its task runs.
struct OperatorListHandle {
  TaskScopePtr scope;
  std::string name;
  OperatorList* list;  // the scope's: good until it is closed
};
using Handle = Boxed<OperatorListHandle>;

OperatorListHandle* SelfOpen(PyObject* object) {
  OperatorListHandle& self = Handle::Of(object);
  if (!self.scope->closed) return &self;
  RaiseClosed("operator state '" + self.name + "'");
  return nullptr;
}

bool Fail(const OperatorListHandle& self, const Status& status) {
  SetPythonError(status.WithContext("operator state '" + self.name + "'"));
  return false;
}

bool Encode(const OperatorListHandle& self, PyObject* value, std::vector<std::string>* items) {
  PyRef coerced = PyRef::Steal(CoerceForState(self.list->element, value, self.name));
  if (!coerced) return false;
  ByteWriter bytes;
  const Status status = EncodeForState(self.list->element, coerced.get(), &bytes);
  if (!status.ok()) return Fail(self, status);
  items->push_back(bytes.Take());
  return true;
}

PyObject* Get(PyObject* object, PyObject*) {
  const OperatorListHandle* self = SelfOpen(object);
  if (!self) return nullptr;
  PyRef elements = PyRef::Steal(PyList_New(0));
  if (!elements) return nullptr;
  // Decoding may run Python code that changes the list.
  const std::vector<std::string> items = self->list->items;
  for (const std::string& item : items) {
    ByteReader in(item);
    Result<PyRef> value = DecodeForState(self->list->element, &in);
    if (!value.ok()) {
      Fail(*self, value.status());
      return nullptr;
    }
    if (PyList_Append(elements.get(), value->get()) < 0) return nullptr;
  }
  return elements.Release();
}

PyObject* Add(PyObject* object, PyObject* value) {
  const OperatorListHandle* self = SelfOpen(object);
  std::vector<std::string> added;
  if (!self || !Encode(*self, value, &added)) return nullptr;
  self->list->items.push_back(std::move(added[0]));
  Py_RETURN_NONE;
}

PyObject* AddValues(PyObject* object, PyObject* values, bool replace) {
  const OperatorListHandle* self = SelfOpen(object);
  if (!self) return nullptr;
  PyRef sequence = PyRef::Steal(PySequence_Fast(values, "a list of values is expected"));
  if (!sequence) return nullptr;
  std::vector<std::string> added;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(sequence.get()); ++i) {
    if (!Encode(*self, PySequence_Fast_GET_ITEM(sequence.get(), i), &added)) return nullptr;
  }
  std::vector<std::string>& items = self->list->items;
  if (replace) items.clear();
  items.insert(items.end(), std::make_move_iterator(added.begin()),
               std::make_move_iterator(added.end()));
  Py_RETURN_NONE;
}

PyObject* AddAll(PyObject* object, PyObject* values) { return AddValues(object, values, false); }
PyObject* Update(PyObject* object, PyObject* values) { return AddValues(object, values, true); }

PyObject* Clear(PyObject* object, PyObject*) {
  const OperatorListHandle* self = SelfOpen(object);
  if (!self) return nullptr;
  self->list->items.clear();
  Py_RETURN_NONE;
}

PyObject* Iterate(PyObject* object) {
  PyRef elements = PyRef::Steal(Get(object, nullptr));
  return elements ? PyObject_GetIter(elements.get()) : nullptr;
}

PyMethodDef methods[] = {
    {"get", Get, METH_NOARGS, "The elements that this subtask has, as a list."},
    {"add", Add, METH_O, "Appends an element."},
    {"add_all", AddAll, METH_O, "Appends the elements of a list."},
    {"update", Update, METH_O, "Replaces all elements by those of a list."},
    {"clear", Clear, METH_NOARGS, "Removes all elements."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddOperatorListType(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {Py_tp_iter, SlotOf(Iterate)}, {0, nullptr}};
  operator_list_type = Handle::MakeType(module, "headrace._core.OperatorListState", slots);
  return operator_list_type != nullptr;
}

PyObject* NewOperatorList(const TaskScopePtr& scope, const std::string& name,
                          Redistribution redistribution, const StateType& element) {
  Result<OperatorList*> list = scope->operator_states.List(name, redistribution, element);
  if (list.ok()) return Handle::New(operator_list_type, OperatorListHandle{scope, name, *list});
  SetPythonError(list.status());
  return nullptr;
}

}  // namespace headrace::bindings
