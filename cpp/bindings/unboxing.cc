#include <cstring>
#include <string>

#include "bindings/boxing.h"
#include "bindings/cpython_versions.h"
#include "bindings/errors.h"
#include "bindings/known_types.h"
#include "bindings/python_object_hooks.h"
#include "bindings/python_temporal.h"
#include "bindings/row_type.h"
#include "headrace/types/temporal.h"

namespace headrace::bindings {
namespace {

/// Where a value goes, for messages.
struct Place {
  const ValueType& type;
  std::string_view field;
};

Status DoesNotFit(PyObject* value, const Place& place, std::string_view why = {}) {
  PyErr_Clear();
  std::string message = "field '" + std::string(place.field) + "': " + ShortRepr(value) +
                        " of type " + Py_TYPE(value)->tp_name + " is no " +
                        place.type.data->ToString();
  if (!why.empty()) message.append(" (").append(why).append(")");
  return Status::InvalidArgument(std::move(message));
}

Status UnboxText(PyObject* value, const Place& place, ColumnBuilder* out) {
  Py_ssize_t size = 0;
  const char* text = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &size) : nullptr;
  if (!text) {
    return DoesNotFit(value, place, PyErr_Occurred() ? "lone surrogates are no UTF-8" : "");
  }
  out->AppendString({text, static_cast<size_t>(size)});
  return Status::Ok();
}

Status UnboxBytes(PyObject* value, const Place& place, ColumnBuilder* out) {
  if (PyBytes_Check(value)) {
    out->AppendString({PyBytes_AS_STRING(value), static_cast<size_t>(PyBytes_GET_SIZE(value))});
  } else if (PyByteArray_Check(value)) {
    out->AppendString(
        {PyByteArray_AS_STRING(value), static_cast<size_t>(PyByteArray_GET_SIZE(value))});
  } else {
    return DoesNotFit(value, place);
  }
  return Status::Ok();
}

bool IsA(PyObject* value, PyTypeObject* type) { return PyObject_TypeCheck(value, type); }

// Microseconds in a unit letter, rounded down.
int64_t InUnit(int64_t micros, char unit) {
  if (unit == 'u') return micros;
  const int64_t divisor = unit == 's' ? 1'000'000 : 1'000;
  return micros / divisor - (micros % divisor < 0);
}

Status AppendInUnit(int64_t micros, PyObject* value, const Place& place, ColumnBuilder* out) {
  const char unit = place.type.data->arrow_format()[2];
  int64_t nanos = 0;
  if (unit == 'n' && __builtin_mul_overflow(micros, 1000, &nanos)) {
    return DoesNotFit(value, place, "out of range in nanoseconds");
  }
  out->AppendInt(unit == 'n' ? nanos : InUnit(micros, unit));
  return Status::Ok();
}

Status UnboxTimestamp(PyObject* value, const Place& place, ColumnBuilder* out) {
  if (!IsA(value, known.datetime)) return DoesNotFit(value, place);
  int64_t micros = MicrosOfDateTime(value);
  const bool zoned = place.type.data->arrow_format().size() > 4;
  const bool aware = ZoneOf(value) != Py_None;
  if (zoned && !aware) return DoesNotFit(value, place, "needs a time zone");
  if (!zoned && aware) return DoesNotFit(value, place, "must have no time zone");
  if (aware) {
    PyRef offset = PyRef::Steal(PyObject_CallMethod(value, "utcoffset", nullptr));
    int64_t offset_micros = 0;
    if (!offset || !IsA(offset.get(), known.timedelta) ||
        !MicrosOfTimeDelta(offset.get(), &offset_micros)) {
      return DoesNotFit(value, place, "its time zone gives no offset");
    }
    micros -= offset_micros;
  }
  return AppendInUnit(micros, value, place, out);
}

Status UnboxDuration(PyObject* value, const Place& place, ColumnBuilder* out) {
  int64_t micros = 0;
  if (!IsA(value, known.timedelta)) return DoesNotFit(value, place);
  if (!MicrosOfTimeDelta(value, &micros)) return DoesNotFit(value, place, "out of range");
  return AppendInUnit(micros, value, place, out);
}

// The unscaled value value * 10^scale, which must be whole and fit 16 bytes.
Status UnboxDecimal(PyObject* value, const Place& place, ColumnBuilder* out) {
  PyRef decimal =
      IsA(value, known.decimal) || !PyLong_Check(value)
          ? PyRef::Borrow(value)
          : PyRef::Steal(PyObject_CallOneArg(reinterpret_cast<PyObject*>(known.decimal), value));
  if (!decimal || !IsA(decimal.get(), known.decimal)) return DoesNotFit(value, place);
  PyRef ratio = PyRef::Steal(PyObject_CallMethod(decimal.get(), "as_integer_ratio", nullptr));
  if (!ratio) return DoesNotFit(value, place, "not finite");
  PyRef scale = PyRef::Steal(PyLong_FromLong(std::abs(DecimalScaleOf(*place.type.data))));
  PyRef ten = PyRef::Steal(PyLong_FromLong(10));
  PyRef power = PyRef::Steal(PyNumber_Power(ten.get(), scale.get(), Py_None));
  const bool up = DecimalScaleOf(*place.type.data) >= 0;
  PyObject* top = PyTuple_GET_ITEM(ratio.get(), 0);
  PyObject* bottom = PyTuple_GET_ITEM(ratio.get(), 1);
  PyRef dividend = up ? PyRef::Steal(PyNumber_Multiply(top, power.get())) : PyRef::Borrow(top);
  PyRef divisor = up ? PyRef::Borrow(bottom) : PyRef::Steal(PyNumber_Multiply(bottom, power.get()));
  PyRef parts =
      PyRef::Steal(dividend && divisor ? PyNumber_Divmod(dividend.get(), divisor.get()) : nullptr);
  if (!parts) return DoesNotFit(value, place);
  if (PyObject_IsTrue(PyTuple_GET_ITEM(parts.get(), 1)) != 0) {
    return DoesNotFit(value, place, "it has more digits after the point");
  }
  char bytes[16];
  if (!IntToBytes(PyTuple_GET_ITEM(parts.get(), 0), bytes, sizeof bytes)) {
    return DoesNotFit(value, place, "too large");
  }
  out->AppendFixedBytes({bytes, sizeof bytes});
  return Status::Ok();
}

Status UnboxList(PyObject* value, const Place& place, ColumnBuilder* out) {
  if (PyUnicode_Check(value) || PyBytes_Check(value) || PyDict_Check(value)) {
    return DoesNotFit(value, place);
  }
  PyRef items = PyRef::Steal(PySequence_Fast(value, "not a list"));
  if (!items) return DoesNotFit(value, place);
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i) {
    HR_RETURN_IF_ERROR(UnboxValue(PySequence_Fast_GET_ITEM(items.get(), i), *place.type.children[0],
                                  place.field, out->children()[0].get()));
  }
  out->CloseList();
  return Status::Ok();
}

Status UnboxMap(PyObject* value, const Place& place, ColumnBuilder* out) {
  if (!PyDict_Check(value)) return DoesNotFit(value, place);
  ColumnBuilder* entries = out->children()[0].get();
  PyObject *key = nullptr, *item = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(value, &at, &key, &item);) {
    HR_RETURN_IF_ERROR(
        UnboxValue(key, *place.type.children[0], place.field, entries->children()[0].get()));
    HR_RETURN_IF_ERROR(
        UnboxValue(item, *place.type.children[1], place.field, entries->children()[1].get()));
    entries->CloseStruct();
  }
  out->CloseList();
  return Status::Ok();
}

Status UnboxStruct(PyObject* value, const Place& place, ColumnBuilder* out) {
  const auto& fields = place.type.data->children();
  const auto size = static_cast<Py_ssize_t>(fields.size());
  const bool by_name =
      PyDict_Check(value) || (IsRow(value) && AsRow(value)->names && place.type.names &&
                              AsRow(value)->names != place.type.names.get());
  PyRef items;
  if (!by_name) {
    if (!PyTuple_Check(value) && !PyList_Check(value) && !IsRow(value)) {
      return DoesNotFit(value, place);
    }
    items = PyRef::Steal(PySequence_Fast(value, "not a record"));
    if (!items || PySequence_Fast_GET_SIZE(items.get()) != size) {
      return DoesNotFit(value, place, "it has another number of fields");
    }
  }
  for (Py_ssize_t i = 0; i < size; ++i) {
    const auto child = static_cast<size_t>(i);
    PyRef item;
    if (!by_name) {
      item = PyRef::Borrow(PySequence_Fast_GET_ITEM(items.get(), i));
    } else if (place.type.names) {
      item = PyRef::Steal(PyObject_GetItem(value, PyTuple_GET_ITEM(place.type.names.get(), i)));
    }
    if (!item) return DoesNotFit(value, place, "field '" + fields[child].name + "' is missing");
    HR_RETURN_IF_ERROR(UnboxValue(item.get(), *place.type.children[child], fields[child].name,
                                  out->children()[child].get()));
  }
  out->CloseStruct();
  return Status::Ok();
}

}  // namespace

bool AsWrappingInt(PyObject* value, int64_t* out) {
  if (PyLong_Check(value)) {
    *out = static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(value));
    return true;
  }
  if (PyFloat_Check(value) || !PyIndex_Check(value)) return false;
  PyRef index = PyRef::Steal(PyNumber_Index(value));
  if (!index) {
    PyErr_Clear();
    return false;
  }
  *out = static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(index.get()));
  return true;
}

bool AsDouble(PyObject* value, double* out) {
  if (PyFloat_CheckExact(value)) {
    *out = PyFloat_AS_DOUBLE(value);
    return true;
  }
  if (PyUnicode_Check(value) || !PyNumber_Check(value)) return false;
  *out = PyFloat_AsDouble(value);
  if (*out == -1.0 && PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return true;
}

int64_t WrapTo(TypeKind kind, int64_t value) {
  switch (kind) {
    case TypeKind::kInt8:
      return static_cast<int8_t>(value);
    case TypeKind::kInt16:
      return static_cast<int16_t>(value);
    case TypeKind::kInt32:
      return static_cast<int32_t>(value);
    default:
      return value;
  }
}

Status UnboxValue(PyObject* value, const ValueType& type, std::string_view field,
                  ColumnBuilder* out) {
  const TypeKind kind = type.data->kind();
  if (kind == TypeKind::kObject) {
    out->AppendObject(Py_NewRef(value), PythonObjectHooks());
    return Status::Ok();
  }
  if (value == Py_None) {
    out->AppendNull();
    return Status::Ok();
  }
  const Place place{type, field};
  switch (kind) {
    case TypeKind::kInt8:
    case TypeKind::kInt16:
    case TypeKind::kInt32:
    case TypeKind::kInt64: {
      int64_t number = 0;
      if (!AsWrappingInt(value, &number)) return DoesNotFit(value, place);
      out->AppendInt(WrapTo(kind, number));
      return Status::Ok();
    }
    case TypeKind::kBool:
      if (!PyBool_Check(value) && !PyLong_Check(value) && !IsNumpyScalar(value)) {
        return DoesNotFit(value, place);
      }
      out->AppendInt(PyObject_IsTrue(value) == 1);
      return Status::Ok();
    case TypeKind::kFloat32:
    case TypeKind::kFloat64: {
      double number = 0;
      if (!AsDouble(value, &number)) return DoesNotFit(value, place);
      out->AppendFloat(kind == TypeKind::kFloat32 ? static_cast<float>(number) : number);
      return Status::Ok();
    }
    case TypeKind::kString:
      return UnboxText(value, place, out);
    case TypeKind::kBinary:
      return UnboxBytes(value, place, out);
    case TypeKind::kDate32:
      if (!IsA(value, known.date)) return DoesNotFit(value, place);
      out->AppendInt(DaysOfDate(value));
      return Status::Ok();
    case TypeKind::kTime64:
      if (!IsA(value, known.time)) return DoesNotFit(value, place);
      out->AppendInt(MicrosOfTime(value));
      return Status::Ok();
    case TypeKind::kTimestamp:
      return UnboxTimestamp(value, place, out);
    case TypeKind::kDuration:
      return UnboxDuration(value, place, out);
    case TypeKind::kDecimal128:
      return UnboxDecimal(value, place, out);
    case TypeKind::kList:
      return UnboxList(value, place, out);
    case TypeKind::kMap:
      return UnboxMap(value, place, out);
    case TypeKind::kStruct:
      return UnboxStruct(value, place, out);
    case TypeKind::kNull:
    case TypeKind::kDictionary:
    case TypeKind::kForeign:
    case TypeKind::kObject:
      break;
  }
  return DoesNotFit(value, place);
}

}  // namespace headrace::bindings
