#include "bindings/source_errors.h"

#include <Python.h>

#include "bindings/errors.h"

namespace headrace::bindings {

Status SourceErrorFromPython(const char* what) {
  if (PyErr_ExceptionMatches(PyExc_OSError)) return StatusFromPython(StatusCode::kIoError, what);
  return UserErrorFromPython(what, nullptr);
}

}  // namespace headrace::bindings
