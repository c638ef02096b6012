// The least that a keyed Python function costs: the measure for an engine that does more.
//
// For each record of a list: call the key selector, find the key's slot in a flat table, call
// process_element(record, context), take what it gives, count it, drop it. The state handle is a C
// type that points at the current slot. There is no batch, channel, key group, watermark, barrier,
// snapshot, copy on emission, metric or error text; nothing of headrace and no pybind11.
//
// In Python:
//   loop = bare_loop.Loop()
//   loop.state                       the handle: value() and update(int), as ValueState(LONG)
//   loop.run(records, key_selector, process_element, context, results)
//                                    how many results there were; appends them to `results`, a
//                                    list, unless that is None
//
// Threading: holds the GIL from beginning to end.

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

namespace {

/// State of one key. Invariant: `key` null = the slot is free.
struct Slot {
  Py_hash_t hash = 0;
  PyObject* key = nullptr;
  int64_t value = 0;
  bool has_value = false;
};

/// Python key -> slot, open addressing with linear probing, at most half full.
class KeyTable {
 public:
  KeyTable() : slots_(1024) {}

  ~KeyTable() {
    for (Slot& slot : slots_) Py_XDECREF(slot.key);
  }

  /// The key's slot, a new one if it has none; null with a Python error set. Valid until the next
  /// call.
  Slot* FindOrAdd(PyObject* key) {
    const Py_hash_t hash = PyObject_Hash(key);
    if (hash == -1) return nullptr;
    size_t index = Start(hash);
    while (slots_[index].key != nullptr) {
      if (slots_[index].hash == hash) {
        const int equal = Equal(slots_[index].key, key);
        if (equal < 0) return nullptr;
        if (equal > 0) return &slots_[index];
      }
      index = (index + 1) & (slots_.size() - 1);
    }
    if (2 * (used_ + 1) > slots_.size()) {
      Grow();
      index = FirstFree(hash);
    }
    ++used_;
    slots_[index].hash = hash;
    slots_[index].key = Py_NewRef(key);
    return &slots_[index];
  }

 private:
  // Small integers hash to themselves: the multiplication keeps runs of them from clustering.
  size_t Start(Py_hash_t hash) const {
    const uint64_t mixed = static_cast<uint64_t>(hash) * 0x9E3779B97F4A7C15ULL;
    return static_cast<size_t>(mixed >> 20) & (slots_.size() - 1);
  }

  size_t FirstFree(Py_hash_t hash) const {
    size_t index = Start(hash);
    while (slots_[index].key != nullptr) index = (index + 1) & (slots_.size() - 1);
    return index;
  }

  static int Equal(PyObject* left, PyObject* right) {
    return left == right ? 1 : PyObject_RichCompareBool(left, right, Py_EQ);
  }

  void Grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.key != nullptr) slots_[FirstFree(slot.hash)] = slot;
    }
  }

  std::vector<Slot> slots_;  ///< a power of two of them
  size_t used_ = 0;
};

// ---- the state handle ------------------------------------------------------

struct StateHandle {
  PyObject_HEAD;
  Slot* slot;  ///< of the current record's key; null outside of run()
};

bool HasSlot(const StateHandle* state) {
  if (state->slot == nullptr) PyErr_SetString(PyExc_RuntimeError, "there is no current key");
  return state->slot != nullptr;
}

PyObject* StateValue(PyObject* self, PyObject*) {
  const auto* state = reinterpret_cast<StateHandle*>(self);
  if (!HasSlot(state)) return nullptr;
  if (!state->slot->has_value) Py_RETURN_NONE;
  return PyLong_FromLongLong(state->slot->value);
}

PyObject* StateUpdate(PyObject* self, PyObject* number) {
  const auto* state = reinterpret_cast<StateHandle*>(self);
  if (!HasSlot(state)) return nullptr;
  const long long value = PyLong_AsLongLong(number);
  if (value == -1 && PyErr_Occurred() != nullptr) return nullptr;
  state->slot->value = value;
  state->slot->has_value = true;
  Py_RETURN_NONE;
}

PyMethodDef kStateMethods[] = {
    {"value", StateValue, METH_NOARGS, "The current key's value, None when it has none."},
    {"update", StateUpdate, METH_O, "Replaces the current key's value."},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject state_type = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "bare_loop.State",
    .tp_basicsize = sizeof(StateHandle),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = kStateMethods,
};

// ---- the loop --------------------------------------------------------------

struct Loop {
  PyObject_HEAD;
  PyObject* state;  ///< a StateHandle
  KeyTable* table;
};

/// Counts a result, keeps it if asked. Takes over the reference.
bool TakeResult(PyObject* result, PyObject* results, int64_t* count) {
  ++*count;
  const bool ok = results == Py_None || PyList_Append(results, result) == 0;
  Py_DECREF(result);
  return ok;
}

/// Takes everything that one call returned: None, a tuple of results, or an iterable such as a
/// generator.
bool TakeResults(PyObject* returned, PyObject* results, int64_t* count) {
  if (returned == Py_None) return true;
  if (PyTuple_CheckExact(returned)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(returned); ++i) {
      if (!TakeResult(Py_NewRef(PyTuple_GET_ITEM(returned, i)), results, count)) return false;
    }
    return true;
  }
  PyObject* iterator = PyIter_Check(returned) ? Py_NewRef(returned) : PyObject_GetIter(returned);
  if (iterator == nullptr) return false;
  PyObject* item = nullptr;
  PySendResult sent = PYGEN_NEXT;
  bool ok = true;
  while (ok && (sent = PyIter_Send(iterator, Py_None, &item)) == PYGEN_NEXT) {
    ok = TakeResult(item, results, count);
  }
  if (ok && sent == PYGEN_RETURN) Py_DECREF(item);
  Py_DECREF(iterator);
  return ok && sent == PYGEN_RETURN;
}

PyObject* LoopRun(PyObject* self, PyObject* args) {
  auto* loop = reinterpret_cast<Loop*>(self);
  auto* state = reinterpret_cast<StateHandle*>(loop->state);
  PyObject *records, *key_selector, *process_element, *context, *results;
  if (!PyArg_ParseTuple(args, "O!OOOO:run", &PyList_Type, &records, &key_selector, &process_element,
                        &context, &results)) {
    return nullptr;
  }
  int64_t count = 0;
  bool ok = true;
  for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(records); ++i) {
    // The first place is free for callees: a bound method puts its object there.
    PyObject* arguments[3] = {nullptr, PyList_GET_ITEM(records, i), context};
    PyObject* key = PyObject_Vectorcall(key_selector, arguments + 1,
                                        1 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    state->slot = key == nullptr ? nullptr : loop->table->FindOrAdd(key);
    Py_XDECREF(key);
    if (state->slot == nullptr) return nullptr;
    PyObject* returned = PyObject_Vectorcall(process_element, arguments + 1,
                                             2 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr);
    ok = returned != nullptr && TakeResults(returned, results, &count);
    Py_XDECREF(returned);
  }
  state->slot = nullptr;
  return ok ? PyLong_FromLongLong(count) : nullptr;
}

PyObject* LoopNew(PyTypeObject* type, PyObject*, PyObject*) {
  auto* loop = reinterpret_cast<Loop*>(type->tp_alloc(type, 0));
  if (loop == nullptr) return nullptr;
  loop->table = new (std::nothrow) KeyTable();
  loop->state = state_type.tp_alloc(&state_type, 0);
  if (loop->table != nullptr && loop->state != nullptr) return reinterpret_cast<PyObject*>(loop);
  Py_DECREF(loop);
  return PyErr_NoMemory();
}

void LoopDealloc(PyObject* self) {
  auto* loop = reinterpret_cast<Loop*>(self);
  Py_XDECREF(loop->state);
  delete loop->table;
  Py_TYPE(self)->tp_free(self);
}

PyMethodDef kLoopMethods[] = {
    {"run", LoopRun, METH_VARARGS,
     "run(records, key_selector, process_element, context, results) -> number of results"},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef kLoopMembers[] = {
    {"state", T_OBJECT, offsetof(Loop, state), READONLY, "The state handle."},
    {nullptr, 0, 0, 0, nullptr},
};

PyTypeObject loop_type = {
    .ob_base = {PyObject_HEAD_INIT(nullptr) 0},
    .tp_name = "bare_loop.Loop",
    .tp_basicsize = sizeof(Loop),
    .tp_dealloc = LoopDealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = kLoopMethods,
    .tp_members = kLoopMembers,
    .tp_new = LoopNew,
};

PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "bare_loop",
    .m_doc = "The least that a keyed Python function costs.",
    .m_size = -1,
};

}  // namespace

PyMODINIT_FUNC PyInit_bare_loop() {
  if (PyType_Ready(&state_type) < 0 || PyType_Ready(&loop_type) < 0) return nullptr;
  PyObject* module = PyModule_Create(&module_definition);
  if (module == nullptr) return nullptr;
  if (PyModule_AddObjectRef(module, "Loop", reinterpret_cast<PyObject*>(&loop_type)) < 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}
