#pragma once

#include <Python.h>

#include <cstddef>

namespace headrace::bindings {

// Calls that CPython changed between the versions that headrace runs on. The GIL need not be held
// unless a function says so.

/// True from the moment the interpreter begins to shut down.
inline bool IsFinalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

/// Writes an int as two's complement, lowest byte first. False with OverflowError raised when it
/// needs more than `size` bytes. REQUIRES: `number` is an int; the GIL is held.
inline bool IntToBytes(PyObject* number, char* bytes, size_t size) {
  auto* value = reinterpret_cast<PyLongObject*>(number);
  auto* out = reinterpret_cast<unsigned char*>(bytes);
#if PY_VERSION_HEX >= 0x030D0000
  return _PyLong_AsByteArray(value, out, size, 1, 1, 1) == 0;
#else
  return _PyLong_AsByteArray(value, out, size, 1, 1) == 0;
#endif
}

}  // namespace headrace::bindings
