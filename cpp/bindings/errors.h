#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include "bindings/gil.h"
#include "headrace/base/status.h"

namespace headrace::bindings {

/// The Python exception behind a Status; set as `__cause__` when the Status becomes an exception
/// again.
class PythonErrorPayload final : public StatusPayload {
 public:
  explicit PythonErrorPayload(PyRef exception) : exception_(std::move(exception)) {}
  PyObject* exception() const { return exception_.get(); }

 private:
  PyRef exception_;
};

/// Makes the exception classes and adds them to the module; false with a Python error set.
bool AddExceptionClasses(PyObject* module);

/// Sets the Python error that stands for `status` (the table is in errors.cc). REQUIRES:
/// !status.ok().
void SetPythonError(const Status& status);
/// As SetPythonError, as a C++ exception for functions bound by pybind11.
[[noreturn]] void ThrowStatus(const Status& status);
inline void ThrowIfError(const Status& status) {
  if (!status.ok()) ThrowStatus(status);
}
template <typename T>
T ValueOrThrow(Result<T> result) {
  if (!result.ok()) ThrowStatus(result.status());
  return std::move(result).value();
}

/// Takes the current Python error, with its traceback; never null. REQUIRES: an error is set.
PyRef TakeException();
/// "ValueError: text"; for SyntaxErrors and the like only the first line.
std::string ExceptionText(PyObject* exception);
/// "file.py:12 in function" of the innermost frame of the exception's traceback, or "".
std::string ExceptionPlace(PyObject* exception);

/// Puts the current Python error aside and back.
class KeptError {
 public:
  KeptError() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~KeptError() {
    // Forced unwinding comes through here without the GIL.
    if (ThreadHoldsGil()) PyErr_Restore(type_, value_, traceback_);
  }
  KeptError(const KeptError&) = delete;
  KeptError& operator=(const KeptError&) = delete;

 private:
  PyObject* type_ = nullptr;
  PyObject* value_ = nullptr;
  PyObject* traceback_ = nullptr;
};

/// "file.py:12 in function" of a frame.
std::string PlaceOf(PyFrameObject* frame);

/// The current Python error as a failure of our own making: "`context`: ValueError: text".
Status StatusFromPython(StatusCode code, std::string_view context);
/// The current Python error as a failure of user code. `what` names the call ("map"), `record` (may
/// be null) what it was called with, `label` what that is. Cancellation by us becomes kCancelled.
Status UserErrorFromPython(std::string_view what, PyObject* record,
                           std::string_view label = "record");

/// `status` of putting out what `what` gave for `record` (may be null), with both named.
Status ResultStatus(Status status, std::string_view what, PyObject* record);

/// Short repr for messages: at most about 80 characters, never fails. Leaves the current Python
/// error as it is.
std::string ShortRepr(PyObject* object);
/// Text of a str object; "" when it has none that is UTF-8.
std::string TextOf(PyObject* str);

/// Raised inside task threads that are to stop; derives from BaseException.
PyObject* TaskInterruptClass();
/// One of the module's exception classes, borrowed.
PyObject* InvalidArgumentClass();
PyObject* FailedPreconditionClass();
PyObject* JobCancelledClass();

}  // namespace headrace::bindings
