#pragma once

#include <Python.h>

#include <cstdint>
#include <string_view>

namespace headrace::bindings {

/// The usual keys, which need no encoder. REQUIRES: the GIL is held.

/// False for anything but an int of 64 bits.
inline bool ReadIntKey(PyObject* key, int64_t* number) {
  if (!PyLong_CheckExact(key)) return false;
  int overflow = 0;
  *number = PyLong_AsLongLongAndOverflow(key, &overflow);
  return overflow == 0;
}

/// False for anything but a str; also for one with lone surrogates, which is left to the encoder.
/// `utf8` lives as long as the key.
inline bool ReadStrKey(PyObject* key, std::string_view* utf8) {
  if (!PyUnicode_CheckExact(key)) return false;
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(key, &size);
  if (!bytes) {
    PyErr_Clear();
    return false;
  }
  *utf8 = {bytes, static_cast<size_t>(size)};
  return true;
}

}  // namespace headrace::bindings
