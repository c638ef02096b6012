#include "bindings/errors.h"

#include <frameobject.h>
#include <pybind11/pybind11.h>

namespace headrace::bindings {
namespace {

PyObject* headrace_error = nullptr;
PyObject* invalid_argument_error = nullptr;
PyObject* corruption_error = nullptr;
PyObject* storage_error = nullptr;
PyObject* resource_exhausted_error = nullptr;
PyObject* failed_precondition_error = nullptr;
PyObject* job_cancelled_error = nullptr;
PyObject* user_function_error = nullptr;
PyObject* task_interrupt = nullptr;

bool AddClass(PyObject* module, PyObject** slot, const char* name, PyObject* base,
              PyObject* second_base, const char* doc) {
  PyRef bases =
      PyRef::Steal(second_base ? PyTuple_Pack(2, base, second_base) : PyTuple_Pack(1, base));
  if (!bases) return false;
  const std::string full_name = std::string("headrace._core.") + name;
  *slot = PyErr_NewExceptionWithDoc(full_name.c_str(), doc, bases.get(), nullptr);
  return *slot && PyModule_AddObjectRef(module, name, *slot) == 0;
}

PyObject* ClassOf(StatusCode code) {
  switch (code) {
    case StatusCode::kInvalidArgument:
    case StatusCode::kNotFound:
      return invalid_argument_error;
    case StatusCode::kAlreadyExists:
    case StatusCode::kFailedPrecondition:
      return failed_precondition_error;
    case StatusCode::kCorruption:
      return corruption_error;
    case StatusCode::kIoError:
      return storage_error;
    case StatusCode::kResourceExhausted:
      return resource_exhausted_error;
    case StatusCode::kCancelled:
      return job_cancelled_error;
    case StatusCode::kUserError:
      return user_function_error;
    case StatusCode::kOk:
    case StatusCode::kUnimplemented:
    case StatusCode::kInternal:
      break;
  }
  return headrace_error;
}

constexpr size_t kReprBytesMax = 80;

std::string PlaceAtLine(PyFrameObject* frame, long line) {
  PyCodeObject* code = PyFrame_GetCode(frame);
  std::string place =
      TextOf(code->co_filename) + ":" + std::to_string(line) + " in " + TextOf(code->co_name);
  Py_DECREF(code);
  PyErr_Clear();
  return place;
}

// Cuts before a byte that continues a character.
void CutUtf8(size_t size_max, std::string* text) {
  if (text->size() <= size_max) return;
  size_t size = size_max;
  while (size > 0 && (static_cast<unsigned char>((*text)[size]) & 0xc0) == 0x80) --size;
  text->resize(size);
  text->append("…");
}

}  // namespace

bool AddExceptionClasses(PyObject* module) {
  return AddClass(module, &headrace_error, "HeadraceError", PyExc_RuntimeError, nullptr,
                  "Base of all errors that headrace raises.") &&
         AddClass(module, &invalid_argument_error, "InvalidArgumentError", headrace_error,
                  PyExc_ValueError, "An argument or input is wrong; trying again cannot help.") &&
         AddClass(module, &corruption_error, "CorruptionError", headrace_error, nullptr,
                  "Stored bytes are damaged or foreign; the message names file and offset.") &&
         AddClass(module, &storage_error, "StorageError", headrace_error, PyExc_OSError,
                  "The operating system or a remote store failed.") &&
         AddClass(module, &resource_exhausted_error, "ResourceExhaustedError", headrace_error,
                  PyExc_MemoryError, "A configured or physical limit was hit.") &&
         AddClass(module, &failed_precondition_error, "FailedPreconditionError", headrace_error,
                  nullptr, "A valid request at the wrong moment or place.") &&
         AddClass(module, &job_cancelled_error, "JobCancelledError", headrace_error, nullptr,
                  "The job was asked to stop.") &&
         AddClass(module, &user_function_error, "UserFunctionError", headrace_error, nullptr,
                  "A user function raised: the message names operator, record (shortened) and the "
                  "user's file and line; __cause__ is the original exception.") &&
         AddClass(module, &task_interrupt, "TaskInterrupt", PyExc_BaseException, nullptr,
                  "Raised in a user function whose job is to stop.");
}

PyObject* TaskInterruptClass() { return task_interrupt; }
PyObject* InvalidArgumentClass() { return invalid_argument_error; }
PyObject* FailedPreconditionClass() { return failed_precondition_error; }
PyObject* JobCancelledClass() { return job_cancelled_error; }

void SetPythonError(const Status& status) {
  PyRef message = PyRef::Steal(PyUnicode_DecodeUTF8(
      status.message().data(), static_cast<Py_ssize_t>(status.message().size()), "replace"));
  if (!message) return;
  PyRef error = PyRef::Steal(PyObject_CallOneArg(ClassOf(status.code()), message.get()));
  if (!error) return;
  if (const auto* cause = dynamic_cast<const PythonErrorPayload*>(status.payload().get())) {
    PyException_SetCause(error.get(), Py_NewRef(cause->exception()));
  }
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
}

void ThrowStatus(const Status& status) {
  SetPythonError(status);
  throw pybind11::error_already_set();
}

PyRef TakeException() {
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value && traceback) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  if (!value) value = PyObject_CallNoArgs(PyExc_RuntimeError);
  return PyRef::Steal(value);
}

std::string TextOf(PyObject* str) {
  Py_ssize_t size = 0;
  const char* text = str && PyUnicode_Check(str) ? PyUnicode_AsUTF8AndSize(str, &size) : nullptr;
  if (text) return {text, static_cast<size_t>(size)};
  PyErr_Clear();
  if (!str || !PyUnicode_Check(str)) return {};
  PyRef bytes = PyRef::Steal(PyUnicode_AsEncodedString(str, "utf-8", "backslashreplace"));
  if (!bytes) {
    PyErr_Clear();
    return {};
  }
  return {PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get()))};
}

std::string ExceptionText(PyObject* exception) {
  std::string text = Py_TYPE(exception)->tp_name;
  if (const size_t dot = text.rfind('.'); dot != std::string::npos) text.erase(0, dot + 1);
  PyRef str = PyRef::Steal(PyObject_Str(exception));
  if (!str) PyErr_Clear();
  std::string message = TextOf(str.get());
  if (const size_t line = message.find('\n'); line != std::string::npos) message.resize(line);
  CutUtf8(1000, &message);
  return message.empty() ? text : text + ": " + message;
}

std::string ExceptionPlace(PyObject* exception) {
  PyRef traceback = PyRef::Steal(PyException_GetTraceback(exception));
  if (!traceback) return {};
  while (true) {
    PyRef next = PyRef::Steal(PyObject_GetAttrString(traceback.get(), "tb_next"));
    if (!next || next.get() == Py_None) break;
    traceback = std::move(next);
  }
  PyErr_Clear();
  PyRef line = PyRef::Steal(PyObject_GetAttrString(traceback.get(), "tb_lineno"));
  PyRef frame = PyRef::Steal(PyObject_GetAttrString(traceback.get(), "tb_frame"));
  if (!line || !frame) {
    PyErr_Clear();
    return {};
  }
  return PlaceAtLine(reinterpret_cast<PyFrameObject*>(frame.get()), PyLong_AsLong(line.get()));
}

std::string PlaceOf(PyFrameObject* frame) {
  return PlaceAtLine(frame, PyFrame_GetLineNumber(frame));
}

Status StatusFromPython(StatusCode code, std::string_view context) {
  PyRef exception = TakeException();
  std::string message(context);
  message.append(message.empty() ? "" : ": ").append(ExceptionText(exception.get()));
  return {code, std::move(message), std::make_shared<PythonErrorPayload>(std::move(exception))};
}

Status UserErrorFromPython(std::string_view what, PyObject* record, std::string_view label) {
  PyRef exception = TakeException();
  if (PyErr_GivenExceptionMatches(exception.get(), task_interrupt)) {
    return Status::Cancelled(std::string(what) + " was interrupted because the job stops");
  }
  std::string message = std::string(what) + " raised " + ExceptionText(exception.get());
  if (const std::string place = ExceptionPlace(exception.get()); !place.empty()) {
    message.append(" (").append(place).append(")");
  }
  if (record) message.append(", ").append(label).append(" ").append(ShortRepr(record));
  return Status::UserError(std::move(message),
                           std::make_shared<PythonErrorPayload>(std::move(exception)));
}

Status ResultStatus(Status status, std::string_view what, PyObject* record) {
  if (status.ok()) return status;
  std::string context = "result of " + std::string(what);
  if (record) context.append(" for record ").append(ShortRepr(record));
  return status.WithContext(context);
}

std::string ShortRepr(PyObject* object) {
  // Called for messages about an error that is still set: repr() must not meet it, nor lose it.
  const KeptError kept;
  // repr() of a huge value would cost more than the message is worth.
  std::string text;
  if (PyUnicode_CheckExact(object) && PyUnicode_GET_LENGTH(object) > 200) {
    PyRef head = PyRef::Steal(PyUnicode_Substring(object, 0, 60));
    if (head) text = ShortRepr(head.get()) + "…";
  } else if ((PyList_CheckExact(object) || PyTuple_CheckExact(object)) &&
             PySequence_Fast_GET_SIZE(object) > 50) {
    text = "<" + std::string(Py_TYPE(object)->tp_name) + " of " +
           std::to_string(PySequence_Fast_GET_SIZE(object)) + " items>";
  } else if (PyRef repr = PyRef::Steal(PyObject_Repr(object))) {
    text = TextOf(repr.get());
  }
  PyErr_Clear();  // of repr() itself
  if (text.empty()) text = "<" + std::string(Py_TYPE(object)->tp_name) + " object>";
  CutUtf8(kReprBytesMax, &text);
  return text;
}

}  // namespace headrace::bindings
