#include "bindings/known_types.h"

#include <cstring>

#include "bindings/gil.h"
#include "bindings/python_temporal.h"

namespace headrace::bindings {

KnownTypes known{};

namespace {

template <typename T>
bool Load(const char* module_name, const char* name, T** out) {
  PyRef module = PyRef::Steal(PyImport_ImportModule(module_name));
  if (!module) return false;
  *out = reinterpret_cast<T*>(PyObject_GetAttrString(module.get(), name));
  return *out != nullptr;
}

bool HasTypeAttribute(PyTypeObject* type, const char* name) {
  PyRef key = PyRef::Steal(PyUnicode_InternFromString(name));
  return key && _PyType_Lookup(type, key.get()) != nullptr;
}

}  // namespace

bool LoadKnownTypes() {
  if (!ImportDateTime()) return false;
  if (!Load("datetime", "date", &known.date) || !Load("datetime", "time", &known.time) ||
      !Load("datetime", "datetime", &known.datetime) ||
      !Load("datetime", "timedelta", &known.timedelta) ||
      !Load("datetime", "timezone", &known.timezone) ||
      !Load("decimal", "Decimal", &known.decimal) || !Load("uuid", "UUID", &known.uuid) ||
      !Load("zoneinfo", "ZoneInfo", &known.zone_info) ||
      !Load("enum", "EnumMeta", &known.enum_meta) ||
      !Load("pickle", "dumps", &known.pickle_dumps) ||
      !Load("pickle", "loads", &known.pickle_loads) || !Load("copy", "deepcopy", &known.deepcopy)) {
    return false;
  }
  known.utc = PyObject_GetAttrString(reinterpret_cast<PyObject*>(known.timezone), "utc");
  return known.utc != nullptr;
}

PyTypeObject* NumpyGeneric() {
  static PyTypeObject* generic = nullptr;
  if (generic) return generic;
  PyObject* modules = PyImport_GetModuleDict();
  PyObject* numpy = PyDict_GetItemString(modules, "numpy");
  if (!numpy) return nullptr;
  generic = reinterpret_cast<PyTypeObject*>(PyObject_GetAttrString(numpy, "generic"));
  if (!generic) PyErr_Clear();
  return generic;
}

bool IsNumpyScalar(PyObject* object) {
  if (std::strncmp(Py_TYPE(object)->tp_name, "numpy.", 6) != 0) return false;
  PyTypeObject* generic = NumpyGeneric();
  return generic && PyObject_TypeCheck(object, generic);
}

bool IsDataclass(PyObject* object) {
  return !PyType_Check(object) && HasTypeAttribute(Py_TYPE(object), "__dataclass_fields__");
}

bool IsNamedTuple(PyObject* object) {
  return PyTuple_Check(object) && !PyTuple_CheckExact(object) &&
         HasTypeAttribute(Py_TYPE(object), "_fields");
}

}  // namespace headrace::bindings
