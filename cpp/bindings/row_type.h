#pragma once

#include <Python.h>

#include <cstdint>

namespace headrace::bindings {

/// PyFlink's Row: a fixed number of values that may be replaced, names that may not (a tuple of
/// interned str shared by all rows of a stream, or null), and a row kind. Names are found by a
/// linear search, as rows are short and names mostly identical objects.
struct RowObject {
  PyObject_VAR_HEAD PyObject* names;  ///< tuple of str, or null
  uint8_t kind;  ///< RowKind's number: 0 insert, 1 update before, 2 update after, 3 delete
  PyObject* values[1];
};

extern PyTypeObject* row_type;

/// Makes the type and adds `Row` and its pickle helper to the module; false with a Python error
/// set.
bool AddRowType(PyObject* module);

inline bool IsRow(PyObject* object) { return PyObject_TypeCheck(object, row_type); }
inline bool IsExactRow(PyObject* object) { return Py_TYPE(object) == row_type; }
inline RowObject* AsRow(PyObject* object) { return reinterpret_cast<RowObject*>(object); }

/// A row of `size` nulls that the caller fills at once; `names` (borrowed) may be null. Null with a
/// Python error set on failure.
PyObject* NewRow(PyObject* names, Py_ssize_t size, uint8_t kind);
/// Index of the field, -1 without an error set when there is none.
Py_ssize_t RowIndexOf(const RowObject* row, PyObject* name);

}  // namespace headrace::bindings
