#include "bindings/state_type.h"

#include <pybind11/pybind11.h>

#include "bindings/boxing.h"
#include "bindings/errors.h"
#include "bindings/type_description.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

PyObject* DoesNotFit(const StateType& type, PyObject* value, const std::string& state) {
  PyErr_Clear();
  return PyErr_Format(InvalidArgumentClass(), "state '%s' holds %s values, got %s of type %s",
                      state.c_str(), type.Name().c_str(), ShortRepr(value).c_str(),
                      Py_TYPE(value)->tp_name);
}

}  // namespace

bool StateType::fixed() const {
  return data->is_integer() || data->is_floating() || data->kind() == TypeKind::kBool;
}

Result<StateType> StateTypeOf(PyObject* type_info) {
  StateType type{ObjectType(), false};
  if (!type_info || type_info == Py_None) return type;
  PyRef description = PyRef::Steal(PyObject_CallMethod(type_info, "_describe", nullptr));
  if (!description || !PyTuple_Check(description.get())) {
    return StatusFromPython(
        StatusCode::kInvalidArgument,
        "a state's type must be a TypeInformation, got " + ShortRepr(type_info));
  }
  if (TextOf(PyTuple_GET_ITEM(description.get(), 0)) == "pickle") {
    type.pickled = true;
    return type;
  }
  try {
    type.data = TypeOfDescription(py::handle(description.get()));
  } catch (py::error_already_set& error) {
    error.restore();
    return StatusFromPython(StatusCode::kInvalidArgument, "a state's type");
  }
  return type;
}

PyObject* CoerceForState(const StateType& type, PyObject* value, const std::string& state) {
  if (value == Py_None) return Py_NewRef(value);
  switch (type.data->kind()) {
    case TypeKind::kInt8:
    case TypeKind::kInt16:
    case TypeKind::kInt32:
    case TypeKind::kInt64: {
      int64_t number = 0;
      if (!AsWrappingInt(value, &number)) return DoesNotFit(type, value, state);
      return PyLong_FromLongLong(WrapTo(type.data->kind(), number));
    }
    case TypeKind::kFloat32:
    case TypeKind::kFloat64: {
      double number = 0;
      if (!AsDouble(value, &number)) return DoesNotFit(type, value, state);
      const bool narrow = type.data->kind() == TypeKind::kFloat32;
      return PyFloat_FromDouble(narrow ? static_cast<float>(number) : number);
    }
    case TypeKind::kBool: {
      int64_t number = 0;
      if (!PyBool_Check(value) && !AsWrappingInt(value, &number)) {
        return DoesNotFit(type, value, state);
      }
      return PyBool_FromLong(PyObject_IsTrue(value) == 1);
    }
    case TypeKind::kString:
      return PyUnicode_Check(value) ? Py_NewRef(value) : DoesNotFit(type, value, state);
    case TypeKind::kBinary:
      return PyBytes_Check(value) ? Py_NewRef(value) : DoesNotFit(type, value, state);
    default:
      return Py_NewRef(value);
  }
}

Status EncodeForState(const StateType& type, PyObject* value, ByteWriter* out) {
  return type.pickled ? EncodePickled(value, out) : EncodePython(value, out);
}

Result<PyRef> DecodeForState(const StateType& type, ByteReader* in) {
  return DecodePython(in, type.pickled ? PickleUse::kAllow : PickleUse::kRefuse);
}

}  // namespace headrace::bindings
