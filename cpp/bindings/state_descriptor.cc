#include "bindings/state_descriptor.h"

#include "bindings/errors.h"

namespace headrace::bindings {

bool ReadDescriptorName(PyObject* descriptor, std::string* name) {
  PyRef text = PyRef::Steal(PyObject_GetAttrString(descriptor, "name"));
  if (!text || !PyUnicode_Check(text.get())) {
    PyErr_Format(PyExc_TypeError, "a state descriptor is expected, got %R", descriptor);
    return false;
  }
  *name = TextOf(text.get());
  return true;
}

bool ReadDescriptorType(PyObject* descriptor, const char* attribute, StateType* type) {
  PyRef info = PyRef::Steal(ReadDescriptorAttribute(descriptor, attribute));
  if (!info) return false;
  Result<StateType> read = StateTypeOf(info.get());
  if (read.ok()) {
    *type = *read;
    return true;
  }
  SetPythonError(read.status());
  return false;
}

bool ReadDescriptorTtl(PyObject* descriptor, TimeToLive* ttl) {
  PyRef config = PyRef::Steal(PyObject_GetAttrString(descriptor, "ttl_config"));
  if (!config) PyErr_Clear();
  if (!config || config.get() == Py_None) return true;
  // (ttl ms, update on read, return expired, sweep rows, sweep by record, leave out of images)
  PyRef description = PyRef::Steal(PyObject_CallMethod(config.get(), "_describe", nullptr));
  if (!description) return false;
  long long ttl_ms = 0, sweep_rows = 0;
  int on_read = 0, expired = 0, by_record = 0, left_out = 0;
  if (!PyArg_ParseTuple(description.get(), "LppLpp", &ttl_ms, &on_read, &expired, &sweep_rows,
                        &by_record, &left_out)) {
    return false;
  }
  *ttl = {ttl_ms, on_read != 0, expired != 0, sweep_rows, by_record != 0, left_out != 0};
  return true;
}

bool RefuseDescriptorTtl(PyObject* descriptor, const std::string& name) {
  TimeToLive ttl;
  if (!ReadDescriptorTtl(descriptor, &ttl)) return false;
  if (!ttl.enabled()) return true;
  PyErr_Format(InvalidArgumentClass(),
               "operator state '%s' cannot have a time to live: only keyed state can",
               name.c_str());
  return false;
}

PyObject* ReadDescriptorAttribute(PyObject* descriptor, const char* attribute) {
  PyObject* value = PyObject_GetAttrString(descriptor, attribute);
  if (value) return value;
  return PyErr_Format(PyExc_TypeError, "a state descriptor with '%s' is expected, got %R",
                      attribute, descriptor);
}

}  // namespace headrace::bindings
