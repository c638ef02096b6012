#pragma once

#include <Python.h>

#include <new>
#include <utility>

namespace headrace::bindings {

/// Casts for the tables of hand-written types.
template <typename Function>
void* SlotOf(Function function) {
  return reinterpret_cast<void*>(function);
}
template <typename Function>
PyCFunction MethodOf(Function function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

/// A Python object around a C++ value, for types that user code never makes itself and that hold no
/// references to Python objects the collector should know of.
template <typename T>
struct Boxed {
  PyObject_HEAD T value;

  static T& Of(PyObject* object) { return reinterpret_cast<Boxed*>(object)->value; }

  /// New reference, null with a Python error set.
  template <typename... Args>
  static PyObject* New(PyTypeObject* type, Args&&... args) {
    PyObject* object = type->tp_alloc(type, 0);
    if (object) new (&reinterpret_cast<Boxed*>(object)->value) T{std::forward<Args>(args)...};
    return object;
  }

  static void Dealloc(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    Of(object).~T();
    type->tp_free(object);
    Py_DECREF(type);
  }

  /// Makes the type from slots that lack Py_tp_dealloc, and adds it to the module under the part of
  /// `name` after its last dot; null with a Python error set. `slots` ends with {0, nullptr}.
  static PyTypeObject* MakeType(PyObject* module, const char* name, PyType_Slot* slots) {
    PyType_Slot all[32];
    int count = 0;
    all[count++] = {Py_tp_dealloc, SlotOf(Dealloc)};
    for (; slots->slot != 0; ++slots) all[count++] = *slots;
    all[count] = {0, nullptr};
    PyType_Spec spec = {name, sizeof(Boxed), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, all};
    PyObject* type = PyType_FromModuleAndSpec(module, &spec, nullptr);
    if (type && PyModule_AddType(module, reinterpret_cast<PyTypeObject*>(type)) < 0) return nullptr;
    return reinterpret_cast<PyTypeObject*>(type);
  }
};

}  // namespace headrace::bindings
