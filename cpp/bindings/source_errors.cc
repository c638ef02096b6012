#include "bindings/source_errors.h"

#include <Python.h>

#include "bindings/errors.h"

namespace headrace::bindings {

Status SourceErrorFromPython(const char* what) {
  if (PyErr_ExceptionMatches(PyExc_OSError)) return StatusFromPython(StatusCode::kIoError, what);
  return UserErrorFromPython(what, nullptr);
}

Status ReaderErrorFromPython(std::string_view what) {
  if (PyErr_ExceptionMatches(PyExc_OSError)) return StatusFromPython(StatusCode::kIoError, "");
  if (!PyErr_ExceptionMatches(PyExc_ValueError)) return UserErrorFromPython(what, nullptr);
  PyRef exception = TakeException();
  PyRef text = PyRef::Steal(PyObject_Str(exception.get()));
  std::string message = text ? TextOf(text.get()) : ExceptionText(exception.get());
  PyErr_Clear();
  return {StatusCode::kInvalidArgument, std::move(message),
          std::make_shared<PythonErrorPayload>(std::move(exception))};
}

}  // namespace headrace::bindings
