#pragma once

#include <Python.h>

namespace headrace::bindings {

/// What may be shared between functions and what must be copied first (the design's emission
/// rules).
/// REQUIRES: the GIL is held.

/// True for values of built-in scalar types, which nobody can change; the cheap test for hot loops.
inline bool IsPlainScalar(PyObject* value) {
  PyTypeObject* type = Py_TYPE(value);
  return type == &PyLong_Type || type == &PyUnicode_Type || type == &PyFloat_Type ||
         value == Py_None || type == &PyBool_Type || type == &PyBytes_Type;
}

/// True for a tuple of plain scalars, the most common record.
inline bool IsScalarTuple(PyObject* value) {
  if (!PyTuple_CheckExact(value)) return false;
  const Py_ssize_t size = PyTuple_GET_SIZE(value);
  for (Py_ssize_t i = 0; i < size; ++i) {
    if (!IsPlainScalar(PyTuple_GET_ITEM(value, i))) return false;
  }
  return true;
}

/// True when nobody can change the value: scalars, dates and times, Decimal, UUID, enum members,
/// and tuples and frozensets of these.
bool IsImmutable(PyObject* value);

/// Takes over the reference `value` that a user function put out and returns the one to send on:
/// the same object when it is immutable, when nobody but the caller refers to it or to anything
/// inside it, or when it is `input` (may be null); else a copy. Null with a Python error set when
/// it cannot be copied.
PyObject* PassOutAny(PyObject* value, PyObject* input);
inline PyObject* PassOut(PyObject* value, PyObject* input) {
  if (IsPlainScalar(value)) return value;
  if (!IsScalarTuple(value)) return PassOutAny(value, input);
  // The collector gives such tuples up at its first look at them; a batch is thousands it need not
  // look at.
  PyObject_GC_UnTrack(value);
  return value;
}

/// The same for a value that the caller only borrows: a new reference.
PyObject* PassOutBorrowed(PyObject* value, PyObject* input);

/// A copy that shares nothing that can be changed: a new reference, null with a Python error set.
/// Lists, dicts, sets, tuples, Rows and bytearrays are copied here, anything else by copy.deepcopy.
PyObject* CopyMutableAny(PyObject* value);
inline PyObject* CopyMutable(PyObject* value) {
  return IsPlainScalar(value) || IsScalarTuple(value) ? Py_NewRef(value) : CopyMutableAny(value);
}

}  // namespace headrace::bindings
