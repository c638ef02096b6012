#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/operator_state_types.h"
#include "bindings/state_descriptor.h"
#include "bindings/state_evolution.h"
#include "bindings/value_encoder.h"

namespace headrace::bindings {
namespace {

PyTypeObject* read_only_type = nullptr;
PyTypeObject* writable_type = nullptr;
PyTypeObject* iterator_type = nullptr;

/// A broadcast state, whole in each subtask. Two types share this: the read-only one lacks the
/// methods that write.
struct BroadcastHandle {
  TaskScopePtr scope;
  std::string name;
  OperatorMap* map;  // the scope's: good until it is closed
};
using Handle = Boxed<BroadcastHandle>;

enum class Yield : uint8_t { kKeys, kValues, kItems };

/// Walks the entries in the order of their encoded keys; the state may be changed meanwhile.
struct BroadcastIterator {
  PyRef state;  // keeps the handle alive
  Yield yield;
  std::string after;
  bool started = false;
};
using Iterator = Boxed<BroadcastIterator>;

BroadcastHandle* SelfOpen(PyObject* object) {
  BroadcastHandle& self = Handle::Of(object);
  if (!self.scope->closed) return &self;
  RaiseClosed("broadcast state '" + self.name + "'");
  return nullptr;
}

bool Fail(const BroadcastHandle& self, const Status& status) {
  SetPythonError(status.WithContext("broadcast state '" + self.name + "'"));
  return false;
}

bool EncodeKey(const BroadcastHandle& self, PyObject* key, ByteWriter* out) {
  PyRef coerced = PyRef::Steal(CoerceForState(self.map->key, key, self.name));
  if (!coerced) return false;
  Status status = EncodePythonKey(coerced.get(), out);
  return status.ok() || Fail(self, status);
}

PyObject* Decode(const BroadcastHandle& self, const StateType& type, const std::string& bytes) {
  ByteReader in(bytes);
  Result<PyRef> value = DecodeForState(type, &in);
  if (value.ok()) return value->Release();
  Fail(self, value.status());
  return nullptr;
}

PyObject* Get(PyObject* object, PyObject* key) {
  const BroadcastHandle* self = SelfOpen(object);
  ByteWriter bytes;
  if (!self || !EncodeKey(*self, key, &bytes)) return nullptr;
  const auto found = self->map->entries.find(bytes.view());
  if (found == self->map->entries.end()) Py_RETURN_NONE;
  return Decode(*self, self->map->value, std::string(found->second));
}

// 1 there, 0 not, -1 error.
int Contains(PyObject* object, PyObject* key) {
  const BroadcastHandle* self = SelfOpen(object);
  ByteWriter bytes;
  if (!self || !EncodeKey(*self, key, &bytes)) return -1;
  return self->map->entries.find(bytes.view()) == self->map->entries.end() ? 0 : 1;
}

bool PutOne(PyObject* object, PyObject* key, PyObject* value) {
  const BroadcastHandle* self = SelfOpen(object);
  ByteWriter key_bytes, bytes;
  if (!self || !EncodeKey(*self, key, &key_bytes)) return false;
  PyRef coerced = PyRef::Steal(CoerceForState(self->map->value, value, self->name));
  if (!coerced) return false;
  const Status status = EncodeForState(self->map->value, coerced.get(), &bytes);
  if (!status.ok()) return Fail(*self, status);
  self->map->entries.insert_or_assign(key_bytes.Take(), bytes.Take());
  return true;
}

bool RemoveOne(PyObject* object, PyObject* key) {
  const BroadcastHandle* self = SelfOpen(object);
  ByteWriter bytes;
  if (!self || !EncodeKey(*self, key, &bytes)) return false;
  self->map->entries.erase(bytes.Take());
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
  PyRef dict = PyRef::Steal(PyDict_New());
  if (!dict || PyDict_Update(dict.get(), values) < 0) return nullptr;
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
  const BroadcastHandle* self = SelfOpen(object);
  return self ? PyBool_FromLong(self->map->entries.empty()) : nullptr;
}

PyObject* Clear(PyObject* object, PyObject*) {
  const BroadcastHandle* self = SelfOpen(object);
  if (!self) return nullptr;
  self->map->entries.clear();
  Py_RETURN_NONE;
}

PyObject* Walk(PyObject* object, Yield yield) {
  if (!SelfOpen(object)) return nullptr;
  return Iterator::New(iterator_type, BroadcastIterator{PyRef::Borrow(object), yield, {}});
}

PyObject* Keys(PyObject* object, PyObject*) { return Walk(object, Yield::kKeys); }
PyObject* Values(PyObject* object, PyObject*) { return Walk(object, Yield::kValues); }
PyObject* Items(PyObject* object, PyObject*) { return Walk(object, Yield::kItems); }
PyObject* Iterate(PyObject* object) { return Walk(object, Yield::kKeys); }

int Assign(PyObject* object, PyObject* key, PyObject* value) {
  return (value ? PutOne(object, key, value) : RemoveOne(object, key)) ? 0 : -1;
}

PyObject* Next(PyObject* object) {
  BroadcastIterator& iterator = Iterator::Of(object);
  const BroadcastHandle* self = SelfOpen(iterator.state.get());
  if (!self) return nullptr;
  const auto& entries = self->map->entries;
  const auto at = iterator.started ? entries.upper_bound(iterator.after) : entries.begin();
  if (at == entries.end()) return nullptr;
  iterator.started = true;
  iterator.after = at->first;
  const std::string value_bytes = at->second;
  if (iterator.yield == Yield::kKeys) return Decode(*self, self->map->key, iterator.after);
  if (iterator.yield == Yield::kValues) return Decode(*self, self->map->value, value_bytes);
  PyRef key = PyRef::Steal(Decode(*self, self->map->key, iterator.after));
  PyRef value = PyRef::Steal(key ? Decode(*self, self->map->value, value_bytes) : nullptr);
  return value ? PyTuple_Pack(2, key.get(), value.get()) : nullptr;
}

PyMethodDef reading_methods[] = {
    {"get", Get, METH_O, "The value of a map key, None when there is none."},
    {"contains", ContainsMethod, METH_O, "True when the map key is there."},
    {"items", Items, METH_NOARGS, "Iterates over (key, value), in the order of encoded keys."},
    {"keys", Keys, METH_NOARGS, "Iterates over the keys, in their encoded order."},
    {"values", Values, METH_NOARGS, "Iterates over the values, in the order of encoded keys."},
    {"is_empty", IsEmpty, METH_NOARGS, "True when there is no entry."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef writing_methods[] = {
    {"get", Get, METH_O, "The value of a map key, None when there is none."},
    {"contains", ContainsMethod, METH_O, "True when the map key is there."},
    {"items", Items, METH_NOARGS, "Iterates over (key, value), in the order of encoded keys."},
    {"keys", Keys, METH_NOARGS, "Iterates over the keys, in their encoded order."},
    {"values", Values, METH_NOARGS, "Iterates over the values, in the order of encoded keys."},
    {"is_empty", IsEmpty, METH_NOARGS, "True when there is no entry."},
    {"put", MethodOf(Put), METH_FASTCALL, "Sets the value of a map key."},
    {"put_all", PutAll, METH_O, "Sets all entries of a dict."},
    {"remove", Remove, METH_O, "Removes a map key if it is there."},
    {"clear", Clear, METH_NOARGS, "Removes all entries."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool AddBroadcastStateTypes(PyObject* module) {
  PyType_Slot reading_slots[] = {{Py_tp_methods, reading_methods},
                                 {Py_tp_iter, SlotOf(Iterate)},
                                 {Py_sq_contains, SlotOf(Contains)},
                                 {Py_mp_subscript, SlotOf(Get)},
                                 {0, nullptr}};
  PyType_Slot writing_slots[] = {
      {Py_tp_methods, writing_methods},      {Py_tp_iter, SlotOf(Iterate)},
      {Py_sq_contains, SlotOf(Contains)},    {Py_mp_subscript, SlotOf(Get)},
      {Py_mp_ass_subscript, SlotOf(Assign)}, {0, nullptr}};
  PyType_Slot iterator_slots[] = {
      {Py_tp_iter, SlotOf(PyObject_SelfIter)}, {Py_tp_iternext, SlotOf(Next)}, {0, nullptr}};
  read_only_type = Handle::MakeType(module, "headrace._core.ReadOnlyBroadcastState", reading_slots);
  writable_type = Handle::MakeType(module, "headrace._core.BroadcastState", writing_slots);
  iterator_type =
      Iterator::MakeType(module, "headrace._core.BroadcastStateIterator", iterator_slots);
  return read_only_type && writable_type && iterator_type;
}

OperatorMap* RegisterBroadcastState(const TaskScopePtr& scope, PyObject* descriptor,
                                    std::string* name) {
  StateType key, value;
  if (!ReadDescriptorName(descriptor, name) || !RefuseDescriptorTtl(descriptor, *name) ||
      !ReadDescriptorType(descriptor, "key_type_info", &key) ||
      !ReadDescriptorType(descriptor, "value_type_info", &value)) {
    return nullptr;
  }
  if (key.pickled) {
    SetPythonError(Status::InvalidArgument(
        "broadcast state '" + *name +
        "': the keys of a map cannot be pickled, as a pickle is not canonical"));
    return nullptr;
  }
  PyRef info = PyRef::Steal(PyObject_GetAttrString(descriptor, "value_type_info"));
  if (!info) return nullptr;
  OperatorStateStore& states = scope->operator_states;
  const Status evolved =
      EvolveStoredMap(&states, *name, DeclaredType{key, nullptr}, DeclaredType{value, info.get()});
  Result<OperatorMap*> map =
      evolved.ok() ? states.Map(*name, key, value) : Result<OperatorMap*>(evolved);
  if (map.ok()) return *map;
  SetPythonError(map.status());
  return nullptr;
}

PyObject* NewBroadcastState(const TaskScopePtr& scope, const std::string& name, OperatorMap* map,
                            bool writable) {
  return Handle::New(writable ? writable_type : read_only_type, BroadcastHandle{scope, name, map});
}

}  // namespace headrace::bindings
