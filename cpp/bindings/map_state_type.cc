#include <deque>

#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/state_handles.h"
#include "bindings/value_encoder.h"

namespace headrace::bindings {
namespace {

PyTypeObject* map_state_type = nullptr;
PyTypeObject* map_iterator_type = nullptr;

/// A map as rows: sub-key = canonical encoding of the map key, value = encoded value, those with a
/// time to live as ttl_rows.h says.
struct MapState {
  TaskScopePtr scope;
  const KeyCursor* cursor;
  std::string name;
  StateType key;
  StateType value;
  RowState* rows;
  TtlRows* ttl;  // null without a time to live
  bool per_window;

  std::string_view ns() const { return per_window ? cursor->ns : std::string_view(); }
};
using Handle = Boxed<MapState>;

enum class Yield : uint8_t { kKeys, kValues, kItems };

/// Walks the entries of one key in pages, so that the map may be changed meanwhile.
struct MapIterator {
  PyRef map;  // keeps the handle alive
  KeyId id;
  std::string ns;
  Yield yield;
  std::deque<std::pair<std::string, std::string>> page;
  std::string after;
  bool started = false;
  bool ended = false;
};
using Iterator = Boxed<MapIterator>;

constexpr size_t kPageEntries = 128;

MapState* SelfWithKey(PyObject* object) {
  MapState& self = Handle::Of(object);
  if (self.cursor->id != kNoKey) return &self;
  RaiseNoKey("state '" + self.name + "'");
  return nullptr;
}

bool Fail(const MapState& self, const Status& status) {
  SetPythonError(status.WithContext("state '" + self.name + "'"));
  return false;
}

bool EncodeKey(const MapState& self, PyObject* key, ByteWriter* out) {
  PyRef coerced = PyRef::Steal(CoerceForState(self.key, key, self.name));
  if (!coerced) return false;
  Status status = EncodePythonKey(coerced.get(), out);
  return status.ok() || Fail(self, status);
}

PyObject* Decode(const MapState& self, const StateType& type, std::string_view bytes) {
  ByteReader in(bytes);
  Result<PyRef> value = DecodeForState(type, &in);
  if (value.ok()) return value->Release();
  Fail(self, value.status());
  return nullptr;
}

bool Read(const MapState& self, std::string_view sub_key, std::string* value) {
  if (self.ttl) return self.ttl->Get(self.cursor->id, self.ns(), sub_key, value);
  std::string_view bytes;
  if (!self.rows->Get(self.cursor->id, self.ns(), sub_key, &bytes)) return false;
  *value = bytes;
  return true;
}

PyObject* Get(PyObject* object, PyObject* key) {
  MapState* self = SelfWithKey(object);
  ByteWriter sub_key;
  if (!self || !EncodeKey(*self, key, &sub_key)) return nullptr;
  std::string value;
  if (!Read(*self, sub_key.view(), &value)) Py_RETURN_NONE;
  return Decode(*self, self->value, value);
}

// 1 there, 0 not, -1 error.
int Contains(PyObject* object, PyObject* key) {
  MapState* self = SelfWithKey(object);
  ByteWriter sub_key;
  if (!self || !EncodeKey(*self, key, &sub_key)) return -1;
  std::string value;
  return Read(*self, sub_key.view(), &value) ? 1 : 0;
}

bool PutOne(PyObject* object, PyObject* key, PyObject* value) {
  MapState* self = SelfWithKey(object);
  ByteWriter sub_key, bytes;
  if (!self || !EncodeKey(*self, key, &sub_key)) return false;
  PyRef coerced = PyRef::Steal(CoerceForState(self->value, value, self->name));
  if (!coerced) return false;
  if (Status status = EncodeForState(self->value, coerced.get(), &bytes); !status.ok()) {
    return Fail(*self, status);
  }
  if (self->ttl) {
    self->ttl->Put(self->cursor->id, self->ns(), sub_key.view(), bytes.view());
  } else {
    self->rows->Put(self->cursor->id, self->ns(), sub_key.view(), bytes.view());
  }
  return true;
}

bool RemoveOne(PyObject* object, PyObject* key) {
  MapState* self = SelfWithKey(object);
  ByteWriter sub_key;
  if (!self || !EncodeKey(*self, key, &sub_key)) return false;
  self->rows->Remove(self->cursor->id, self->ns(), sub_key.view());
  return true;
}

PyObject* Put(PyObject* object, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    return PyErr_Format(PyExc_TypeError, "put() takes a key and a value, got %zd arguments", nargs);
  }
  if (!PutOne(object, args[0], args[1])) return nullptr;
  Py_RETURN_NONE;
}

PyObject* PutAll(PyObject* object, PyObject* values) {
  PyRef dict = PyDict_CheckExact(values) ? PyRef::Borrow(values) : PyRef::Steal(PyDict_New());
  if (!dict || (dict.get() != values && PyDict_Update(dict.get(), values) < 0)) return nullptr;
  PyRef items = PyRef::Steal(PyDict_Items(dict.get()));
  if (!items) return nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
    PyObject* item = PyList_GET_ITEM(items.get(), i);
    if (!PutOne(object, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1))) return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* Remove(PyObject* object, PyObject* key) {
  if (!RemoveOne(object, key)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* ContainsMethod(PyObject* object, PyObject* key) {
  const int there = Contains(object, key);
  return there < 0 ? nullptr : PyBool_FromLong(there);
}

PyObject* IsEmpty(PyObject* object, PyObject*) {
  MapState* self = SelfWithKey(object);
  if (!self) return nullptr;
  if (!self->ttl) return PyBool_FromLong(self->rows->empty(self->cursor->id, self->ns()));
  return PyBool_FromLong(self->ttl->Empty(self->cursor->id, self->ns()));
}

PyObject* Clear(PyObject* object, PyObject*) {
  MapState* self = SelfWithKey(object);
  if (!self) return nullptr;
  self->rows->Clear(self->cursor->id, self->ns());
  Py_RETURN_NONE;
}

PyObject* Walk(PyObject* object, Yield yield) {
  MapState* self = SelfWithKey(object);
  if (!self) return nullptr;
  return Iterator::New(map_iterator_type, MapIterator{PyRef::Borrow(object),
                                                      self->cursor->id,
                                                      std::string(self->ns()),
                                                      yield,
                                                      {},
                                                      {},
                                                      false,
                                                      false});
}

PyObject* Keys(PyObject* object, PyObject*) { return Walk(object, Yield::kKeys); }
PyObject* Values(PyObject* object, PyObject*) { return Walk(object, Yield::kValues); }
PyObject* Items(PyObject* object, PyObject*) { return Walk(object, Yield::kItems); }
PyObject* Iterate(PyObject* object) { return Walk(object, Yield::kKeys); }

int Assign(PyObject* object, PyObject* key, PyObject* value) {
  return (value ? PutOne(object, key, value) : RemoveOne(object, key)) ? 0 : -1;
}

PyObject* RaiseLeftBehind(const MapState& map) {
  return PyErr_Format(FailedPreconditionClass(),
                      "an iterator of state '%s' was used after the record or timer it was made "
                      "for; to keep the entries, make a list of them: list(state.items())",
                      map.name.c_str());
}

PyObject* Next(PyObject* object) {
  MapIterator& self = Iterator::Of(object);
  MapState& map = Handle::Of(self.map.get());
  if (self.page.empty() && !self.ended) {
    if (!map.cursor->state) return RaiseNoKey("an iterator of state '" + map.name + "'");
    // The id is good only while its key is at work: later it may stand for another key.
    if (map.cursor->id != self.id) return RaiseLeftBehind(map);
    const std::string* after = self.started ? &self.after : nullptr;
    self.started = true;
    if (map.ttl) {
      self.ended = !map.ttl->ReadPage(self.id, self.ns, after, kPageEntries, &self.page);
    } else {
      map.rows->Walk(self.id, self.ns, after,
                     [&self](std::string_view key, std::string_view value) {
                       self.page.emplace_back(key, value);
                       return self.page.size() < kPageEntries;
                     });
      self.ended = self.page.size() < kPageEntries;
    }
    if (!self.page.empty()) self.after = self.page.back().first;
  }
  if (self.page.empty()) return nullptr;
  const auto [key_bytes, value_bytes] = std::move(self.page.front());
  self.page.pop_front();
  if (self.yield == Yield::kKeys) return Decode(map, map.key, key_bytes);
  if (self.yield == Yield::kValues) return Decode(map, map.value, value_bytes);
  PyRef key = PyRef::Steal(Decode(map, map.key, key_bytes));
  PyRef value = PyRef::Steal(key ? Decode(map, map.value, value_bytes) : nullptr);
  return value ? PyTuple_Pack(2, key.get(), value.get()) : nullptr;
}

PyMethodDef methods[] = {
    {"get", Get, METH_O, "The value of a map key, None when there is none."},
    {"put", MethodOf(Put), METH_FASTCALL, "Sets the value of a map key."},
    {"put_all", PutAll, METH_O, "Sets all entries of a dict."},
    {"remove", Remove, METH_O, "Removes a map key if it is there."},
    {"contains", ContainsMethod, METH_O, "True when the map key is there."},
    {"items", Items, METH_NOARGS, "Iterates over (key, value), in the order of encoded keys."},
    {"keys", Keys, METH_NOARGS, "Iterates over the keys, in their encoded order."},
    {"values", Values, METH_NOARGS, "Iterates over the values, in the order of encoded keys."},
    {"is_empty", IsEmpty, METH_NOARGS, "True when there is no entry."},
    {"clear", Clear, METH_NOARGS, "Removes all entries."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddMapStateType(PyObject* module) {
  PyType_Slot map_slots[] = {{Py_tp_methods, methods},
                             {Py_tp_iter, SlotOf(Iterate)},
                             {Py_sq_contains, SlotOf(Contains)},
                             {Py_mp_subscript, SlotOf(Get)},
                             {Py_mp_ass_subscript, SlotOf(Assign)},
                             {0, nullptr}};
  PyType_Slot iterator_slots[] = {
      {Py_tp_iter, SlotOf(PyObject_SelfIter)}, {Py_tp_iternext, SlotOf(Next)}, {0, nullptr}};
  map_state_type = Handle::MakeType(module, "headrace._core.MapState", map_slots);
  map_iterator_type = Iterator::MakeType(module, "headrace._core.MapStateIterator", iterator_slots);
  return map_state_type && map_iterator_type;
}

PyObject* NewMapState(const TaskScopePtr& scope, const std::string& name, const StateType& key,
                      const StateType& value, const StateUse& use) {
  if (key.pickled) {
    SetPythonError(Status::InvalidArgument(
        "state '" + name + "': the keys of a map cannot be pickled, as a pickle is not canonical"));
    return nullptr;
  }
  Result<RowState*> rows = scope->cursor.state->RegisterRows(
      name, use.Fingerprint("map<" + key.Name() + ", " + value.Name() + ">"));
  if (!rows.ok()) {
    SetPythonError(rows.status());
    return nullptr;
  }
  TtlRows* ttl = scope->TimedRows(*rows, use.ttl, TtlRows::Layout::kValues);
  return Handle::New(map_state_type,
                     MapState{scope, &scope->cursor, name, key, value, *rows, ttl, use.per_window});
}

}  // namespace headrace::bindings
