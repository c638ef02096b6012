#pragma once

#include <Python.h>

namespace headrace::bindings {

/// Python types that the codec and the emission rules know by identity; found once at import.
struct KnownTypes {
  PyTypeObject* date;
  PyTypeObject* time;
  PyTypeObject* datetime;
  PyTypeObject* timedelta;
  PyTypeObject* timezone;
  PyObject* utc;
  PyTypeObject* decimal;
  PyTypeObject* uuid;
  PyTypeObject* zone_info;
  PyTypeObject* enum_meta;
  PyObject* pickle_dumps;
  PyObject* pickle_loads;
  PyObject* deepcopy;
};
extern KnownTypes known;

/// Also makes the functions of python_temporal.h usable. False with a Python error set.
bool LoadKnownTypes();

/// numpy.generic, or null while nothing has imported numpy; borrowed.
PyTypeObject* NumpyGeneric();

/// True when `object` is a numpy scalar; cheap for all other values.
bool IsNumpyScalar(PyObject* object);
/// True for members of enum classes.
inline bool IsEnumMember(PyObject* object) {
  return PyType_IsSubtype(Py_TYPE(Py_TYPE(object)), known.enum_meta);
}
/// True for instances of classes made by @dataclass.
bool IsDataclass(PyObject* object);
/// True for instances of named tuple classes.
bool IsNamedTuple(PyObject* object);

}  // namespace headrace::bindings
