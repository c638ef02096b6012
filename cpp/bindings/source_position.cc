#include "bindings/source_position.h"

#include "bindings/errors.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"

namespace headrace::bindings {

bool SourcePosition::Supported(PyObject* function) {
  return PyObject_HasAttrString(function, "snapshot_state") != 0 &&
         PyObject_HasAttrString(function, "restore_state") != 0;
}

Status SourcePosition::Restore(const std::string& encoded) const {
  HR_ASSIGN_OR_RETURN(PyRef value, DecodePython(std::string_view(encoded)));
  const auto done =
      PyRef::Steal(PyObject_CallMethod(function_, "restore_state", "(O)", value.get()));
  return done ? Status::Ok() : UserErrorFromPython("restore_state", value.get());
}

Result<PyRef> SourcePosition::Current() const {
  auto value = PyRef::Steal(PyObject_CallMethod(function_, "snapshot_state", nullptr));
  if (!value) return UserErrorFromPython("snapshot_state", nullptr);
  if (PyLong_CheckExact(value.get()) || PyUnicode_CheckExact(value.get())) return value;
  ByteWriter out;
  HR_RETURN_IF_ERROR(EncodePython(value.get(), &out).WithContext("snapshot_state"));
  auto wrapped =
      PyRef::Steal(Py_BuildValue("(y#)", out.view().data(), static_cast<Py_ssize_t>(out.size())));
  if (!wrapped) return UserErrorFromPython("snapshot_state", nullptr);
  return wrapped;
}

Result<std::string> SourcePosition::Encode(PyObject* current) {
  if (PyTuple_CheckExact(current)) {
    PyObject* bytes = PyTuple_GET_ITEM(current, 0);
    return std::string(PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes)));
  }
  ByteWriter out;
  HR_RETURN_IF_ERROR(EncodePython(current, &out));
  return out.Take();
}

}  // namespace headrace::bindings
