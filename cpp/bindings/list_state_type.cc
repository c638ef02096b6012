#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/state_handles.h"
#include "headrace/state/list_rows.h"

namespace headrace::bindings {
namespace {

PyTypeObject* list_state_type = nullptr;

/// Elements live in rows as list_rows.h says, those with a time to live as ttl_rows.h does.
struct ListState {
  TaskScopePtr scope;
  const KeyCursor* cursor;
  std::string name;
  StateType element;
  RowState* rows;
  TtlRows* ttl;  // null without a time to live
  bool per_window;

  std::string_view ns() const { return per_window ? cursor->ns : std::string_view(); }
};
using Handle = Boxed<ListState>;

ListState* SelfWithKey(PyObject* object) {
  ListState& self = Handle::Of(object);
  if (self.cursor->id != kNoKey) return &self;
  RaiseNoKey("state '" + self.name + "'");
  return nullptr;
}

bool Fail(const ListState& self, const Status& status) {
  SetPythonError(status.WithContext("state '" + self.name + "'"));
  return false;
}

bool Encode(const ListState& self, PyObject* value, ByteWriter* out) {
  PyRef coerced = PyRef::Steal(CoerceForState(self.element, value, self.name));
  if (!coerced) return false;
  Status status = EncodeForState(self.element, coerced.get(), out);
  return status.ok() || Fail(self, status);
}

bool AppendTimed(ListState* self, PyObject* const* values, Py_ssize_t count) {
  std::vector<std::string> elements;
  for (Py_ssize_t i = 0; i < count; ++i) {
    ByteWriter element;
    if (!Encode(*self, values[i], &element)) return false;
    elements.push_back(element.Take());
  }
  self->ttl->Append(self->cursor->id, self->ns(), elements);
  return true;
}

bool Append(ListState* self, PyObject* const* values, Py_ssize_t count) {
  if (self->ttl) return AppendTimed(self, values, count);
  ListAppender list(self->rows, self->cursor->id, self->ns());
  ByteWriter element;
  for (Py_ssize_t i = 0; i < count; ++i) {
    element.Clear();
    if (!Encode(*self, values[i], &element)) return false;
    list.Append(element.view());
  }
  list.Finish();
  return true;
}

// The elements, encoded behind each other.
std::string ReadElements(const ListState& self) {
  if (!self.ttl) return ReadList(*self.rows, self.cursor->id, self.ns());
  std::string bytes;
  for (const std::string& element : self.ttl->ReadList(self.cursor->id, self.ns())) {
    bytes.append(element);
  }
  return bytes;
}

PyObject* Get(PyObject* object, PyObject*) {
  ListState* self = SelfWithKey(object);
  if (!self) return nullptr;
  PyRef list = PyRef::Steal(PyList_New(0));
  if (!list) return nullptr;
  // Decoding may run Python code, so the bytes are taken out of the table first.
  const std::string bytes = ReadElements(*self);
  for (ByteReader in(bytes); !in.done();) {
    Result<PyRef> value = DecodeForState(self->element, &in);
    if (!value.ok()) {
      Fail(*self, value.status());
      return nullptr;
    }
    if (PyList_Append(list.get(), value->get()) < 0) return nullptr;
  }
  return list.Release();
}

PyObject* Add(PyObject* object, PyObject* value) {
  ListState* self = SelfWithKey(object);
  if (!self || !Append(self, &value, 1)) return nullptr;
  Py_RETURN_NONE;
}

// With `replace` what was there goes first, unless the new elements cannot be stored.
PyObject* AddValues(PyObject* object, PyObject* values, bool replace) {
  ListState* self = SelfWithKey(object);
  if (!self) return nullptr;
  PyRef items = PyRef::Steal(PySequence_Fast(values, "a list of values is expected"));
  if (!items) return nullptr;
  PyObject* const* begin = PySequence_Fast_ITEMS(items.get());
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(items.get());
  if (replace) {
    ByteWriter scratch;
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (!Encode(*self, begin[i], &scratch)) return nullptr;
    }
    self->rows->Clear(self->cursor->id, self->ns());
  }
  if (count > 0 && !Append(self, begin, count)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* AddAll(PyObject* object, PyObject* values) { return AddValues(object, values, false); }
PyObject* Update(PyObject* object, PyObject* values) { return AddValues(object, values, true); }

PyObject* Clear(PyObject* object, PyObject*) {
  ListState* self = SelfWithKey(object);
  if (!self) return nullptr;
  self->rows->Clear(self->cursor->id, self->ns());
  Py_RETURN_NONE;
}

PyObject* Iterate(PyObject* object) {
  PyRef list = PyRef::Steal(Get(object, nullptr));
  return list ? PyObject_GetIter(list.get()) : nullptr;
}

PyMethodDef methods[] = {
    {"get", Get, METH_NOARGS, "The elements of the current key as a list."},
    {"add", Add, METH_O, "Appends an element."},
    {"add_all", AddAll, METH_O, "Appends the elements of a list."},
    {"update", Update, METH_O, "Replaces all elements by those of a list."},
    {"clear", Clear, METH_NOARGS, "Removes all elements."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddListStateType(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, methods}, {Py_tp_iter, SlotOf(Iterate)}, {0, nullptr}};
  list_state_type = Handle::MakeType(module, "headrace._core.ListState", slots);
  return list_state_type != nullptr;
}

PyObject* NewListState(const TaskScopePtr& scope, const std::string& name, const StateType& element,
                       const StateUse& use) {
  Result<RowState*> rows =
      scope->cursor.state->RegisterRows(name, use.Fingerprint("list<" + element.Name() + ">"));
  if (!rows.ok()) {
    SetPythonError(rows.status());
    return nullptr;
  }
  TtlRows* ttl = scope->TimedRows(*rows, use.ttl, TtlRows::Layout::kLists);
  return Handle::New(list_state_type,
                     ListState{scope, &scope->cursor, name, element, *rows, ttl, use.per_window});
}

}  // namespace headrace::bindings
