#include "bindings/value_copy.h"

#include "bindings/gil.h"
#include "bindings/known_types.h"
#include "bindings/row_type.h"

namespace headrace::bindings {
namespace {

// Deeper values are left to copy.deepcopy, which knows what to do about cycles.
constexpr int kDepthMax = 100;

bool IsImmutableAt(PyObject* value, int depth) {
  if (IsPlainScalar(value)) return true;
  PyTypeObject* type = Py_TYPE(value);
  if (type == &PyTuple_Type) {
    if (depth >= kDepthMax) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); ++i) {
      if (!IsImmutableAt(PyTuple_GET_ITEM(value, i), depth + 1)) return false;
    }
    return true;
  }
  return type == known.datetime || type == known.date || type == known.time ||
         type == known.timedelta || type == known.decimal || type == known.uuid ||
         type == &PyComplex_Type || type == &PyRange_Type || type == &PyFrozenSet_Type ||
         type == known.timezone || type == known.zone_info || IsEnumMember(value) ||
         IsNumpyScalar(value) || PyType_Check(value) || PyFunction_Check(value) ||
         PyCFunction_Check(value) || value == Py_Ellipsis;
}

// True when only its container refers to `value`, and the same holds for everything inside.
bool IsOurs(PyObject* value, PyObject* input, int depth) {
  if (IsPlainScalar(value) || value == input) return true;
  if (depth >= kDepthMax) return false;
  PyTypeObject* type = Py_TYPE(value);
  if (Py_REFCNT(value) > 1) return IsImmutableAt(value, depth);
  if (type == &PyTuple_Type || type == &PyList_Type) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i) {
      if (!IsOurs(PySequence_Fast_GET_ITEM(value, i), input, depth + 1)) return false;
    }
    return true;
  }
  if (type == &PyDict_Type) {
    PyObject *key = nullptr, *item = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);) {
      if (!IsOurs(item, input, depth + 1)) return false;
    }
    return true;
  }
  if (type == row_type) {
    for (Py_ssize_t i = 0; i < Py_SIZE(value); ++i) {
      if (!IsOurs(AsRow(value)->values[i], input, depth + 1)) return false;
    }
    return true;
  }
  return true;
}

PyObject* CopyAt(PyObject* value, int depth);

PyObject* CopySequence(PyObject* value, int depth) {
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(value);
  const bool is_list = PyList_CheckExact(value);
  PyRef copy = PyRef::Steal(is_list ? PyList_New(size) : PyTuple_New(size));
  for (Py_ssize_t i = 0; copy && i < size; ++i) {
    PyObject* item = CopyAt(PySequence_Fast_GET_ITEM(value, i), depth + 1);
    if (!item) return nullptr;
    if (is_list) {
      PyList_SET_ITEM(copy.get(), i, item);
    } else {
      PyTuple_SET_ITEM(copy.get(), i, item);
    }
  }
  return copy.Release();
}

PyObject* CopyDict(PyObject* value, int depth) {
  PyRef copy = PyRef::Steal(PyDict_Copy(value));
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t at = 0; copy && PyDict_Next(value, &at, &key, &item);) {
    if (IsPlainScalar(item)) continue;
    PyRef item_copy = PyRef::Steal(CopyAt(item, depth + 1));
    if (!item_copy || PyDict_SetItem(copy.get(), key, item_copy.get()) < 0) return nullptr;
  }
  return copy.Release();
}

PyObject* CopyRow(PyObject* value, int depth) {
  const RowObject* row = AsRow(value);
  PyRef copy = PyRef::Steal(NewRow(row->names, Py_SIZE(value), row->kind));
  for (Py_ssize_t i = 0; copy && i < Py_SIZE(value); ++i) {
    PyObject* item = row->values[i] ? CopyAt(row->values[i], depth + 1) : Py_NewRef(Py_None);
    if (!item) return nullptr;
    AsRow(copy.get())->values[i] = item;
  }
  return copy.Release();
}

PyObject* CopyAt(PyObject* value, int depth) {
  if (IsImmutableAt(value, depth)) return Py_NewRef(value);
  PyTypeObject* type = Py_TYPE(value);
  if (depth < kDepthMax) {
    if (type == &PyList_Type || type == &PyTuple_Type) return CopySequence(value, depth);
    if (type == &PyDict_Type) return CopyDict(value, depth);
    if (type == row_type) return CopyRow(value, depth);
    // What is hashable is taken for immutable, as in Python itself.
    if (type == &PySet_Type) return PySet_New(value);
    if (type == &PyByteArray_Type) {
      return PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(value),
                                           PyByteArray_GET_SIZE(value));
    }
  }
  return PyObject_CallOneArg(known.deepcopy, value);
}

}  // namespace

bool IsImmutable(PyObject* value) { return IsImmutableAt(value, 0); }

PyObject* PassOutAny(PyObject* value, PyObject* input) {
  if (IsOurs(value, input, 0)) return value;
  PyObject* copy = CopyMutable(value);
  Py_DECREF(value);
  return copy;
}

PyObject* PassOutBorrowed(PyObject* value, PyObject* input) {
  if (IsPlainScalar(value) || IsOurs(value, input, 0)) return Py_NewRef(value);
  return CopyMutable(value);
}

PyObject* CopyMutableAny(PyObject* value) { return CopyAt(value, 0); }

}  // namespace headrace::bindings
