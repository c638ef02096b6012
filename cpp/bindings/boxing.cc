#include "bindings/boxing.h"

#include <string>

#include "bindings/errors.h"
#include "bindings/known_types.h"
#include "bindings/python_temporal.h"
#include "bindings/record_reader.h"
#include "bindings/row_type.h"
#include "headrace/types/dictionary_index.h"
#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"

namespace headrace::bindings {
namespace {

PyObject* Fail(const Status& status) {
  SetPythonError(status);
  return nullptr;
}

// The tzinfo of a zoned timestamp, cached: streams have one or two.
PyObject* ZoneNamed(std::string_view name) {
  static PyObject* cache = PyDict_New();
  PyRef key =
      PyRef::Steal(PyUnicode_FromStringAndSize(name.data(), static_cast<Py_ssize_t>(name.size())));
  if (!key) return nullptr;
  if (PyObject* found = PyDict_GetItemWithError(cache, key.get())) return found;
  PyRef zone =
      PyRef::Steal(PyObject_CallOneArg(reinterpret_cast<PyObject*>(known.zone_info), key.get()));
  if (!zone || PyDict_SetItem(cache, key.get(), zone.get()) < 0) return nullptr;
  return PyDict_GetItemWithError(cache, key.get());
}

PyObject* BoxTimestamp(const DataType& type, int64_t value) {
  int64_t micros = 0;
  if (Status status = MicrosOf(type, value, &micros); !status.ok()) return Fail(status);
  ZoneOffset zone;
  if (ZoneOffsetOf(type, &zone).ok()) {
    if (!zone.aware) return NewDateTime(micros, 0, Py_None);
    PyRef fixed = PyRef::Steal(NewFixedZone(zone.seconds));
    return fixed ? NewDateTime(micros + zone.seconds * 1'000'000, 0, fixed.get()) : nullptr;
  }
  PyObject* named = ZoneNamed(std::string_view(type.arrow_format()).substr(4));
  PyRef utc = PyRef::Steal(named ? NewDateTime(micros, 0, known.utc) : nullptr);
  return utc ? PyObject_CallMethod(utc.get(), "astimezone", "O", named) : nullptr;
}

PyObject* BoxDuration(const DataType& type, int64_t value) {
  TimeDelta delta;
  if (Status status = TimeDeltaOf(type, value, &delta); !status.ok()) return Fail(status);
  return NewTimeDelta(delta.days, delta.seconds, delta.micros);
}

PyObject* BoxDecimal(const Column& column, int64_t row) {
  std::string text;
  AppendDecimalText(column.values->data() + (column.offset + row) * 16,
                    DecimalScaleOf(*column.type), &text);
  return PyObject_CallFunction(reinterpret_cast<PyObject*>(known.decimal), "s#", text.data(),
                               static_cast<Py_ssize_t>(text.size()));
}

PyObject* BoxStruct(const Column& column, int64_t row, const ValueType& type) {
  const auto size = static_cast<Py_ssize_t>(column.children.size());
  const bool is_row = static_cast<bool>(type.names);
  PyRef record = PyRef::Steal(is_row ? NewRow(type.names.get(), size, 0) : PyTuple_New(size));
  for (Py_ssize_t i = 0; record && i < size; ++i) {
    const auto child = static_cast<size_t>(i);
    PyObject* value = BoxValue(*column.children[child], column.offset + row, *type.children[child]);
    if (!value) return nullptr;
    if (is_row) {
      AsRow(record.get())->values[i] = value;
    } else {
      PyTuple_SET_ITEM(record.get(), i, value);
    }
  }
  return record.Release();
}

PyObject* BoxList(const Column& column, int64_t row, const ValueType& type) {
  const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset + row;
  PyRef list = PyRef::Steal(PyList_New(ends[1] - ends[0]));
  for (int32_t item = ends[0]; list && item < ends[1]; ++item) {
    PyObject* value = BoxValue(*column.children[0], item, *type.children[0]);
    if (!value) return nullptr;
    PyList_SET_ITEM(list.get(), item - ends[0], value);
  }
  return list.Release();
}

PyObject* BoxMap(const Column& column, int64_t row, const ValueType& type) {
  const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset + row;
  const Column& entries = *column.children[0];
  PyRef dict = PyRef::Steal(PyDict_New());
  for (int32_t item = ends[0]; dict && item < ends[1]; ++item) {
    const int64_t at = entries.offset + item;
    PyRef key = PyRef::Steal(BoxValue(*entries.children[0], at, *type.children[0]));
    PyRef value =
        PyRef::Steal(key ? BoxValue(*entries.children[1], at, *type.children[1]) : nullptr);
    if (!value || PyDict_SetItem(dict.get(), key.get(), value.get()) < 0) return nullptr;
  }
  return dict.Release();
}

PyObject* BoxDictionary(const Column& column, int64_t row, const ValueType& type) {
  const int64_t index = DictionaryIndexAt(column, row);
  if (index < 0 || index >= column.dictionary->length) {
    return Fail(Status::InvalidArgument("a dictionary index is out of range"));
  }
  return BoxValue(*column.dictionary, index, *type.children[0]);
}

}  // namespace

PyObject* BoxValue(const Column& column, int64_t row, const ValueType& type) {
  if (column.IsNull(row)) return Py_NewRef(Py_None);
  switch (column.type->kind()) {
    case TypeKind::kNull:
      return Py_NewRef(Py_None);
    case TypeKind::kBool:
      return PyBool_FromLong(column.BoolAt(row));
    case TypeKind::kInt8:
      return PyLong_FromLong(column.Values<int8_t>()[row]);
    case TypeKind::kInt16:
      return PyLong_FromLong(column.Values<int16_t>()[row]);
    case TypeKind::kInt32:
      return PyLong_FromLong(column.Values<int32_t>()[row]);
    case TypeKind::kInt64:
      return PyLong_FromLong(column.Values<int64_t>()[row]);
    case TypeKind::kFloat32:
      return PyFloat_FromDouble(column.Values<float>()[row]);
    case TypeKind::kFloat64:
      return PyFloat_FromDouble(column.Values<double>()[row]);
    case TypeKind::kString: {
      const std::string_view text = column.StringAt(row);
      return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict");
    }
    case TypeKind::kBinary: {
      const std::string_view bytes = column.StringAt(row);
      return PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size()));
    }
    case TypeKind::kDate32:
      return NewDate(column.Values<int32_t>()[row]);
    case TypeKind::kTime64:
      return NewTime(column.Values<int64_t>()[row], Py_None);
    case TypeKind::kTimestamp:
      return BoxTimestamp(*column.type, column.Values<int64_t>()[row]);
    case TypeKind::kDuration:
      return BoxDuration(*column.type, column.Values<int64_t>()[row]);
    case TypeKind::kDecimal128:
      return BoxDecimal(column, row);
    case TypeKind::kList:
      return BoxList(column, row, type);
    case TypeKind::kMap:
      return BoxMap(column, row, type);
    case TypeKind::kStruct:
      return BoxStruct(column, row, type);
    case TypeKind::kDictionary:
      return BoxDictionary(column, row, type);
    case TypeKind::kObject:
      return Py_NewRef(static_cast<PyObject*>(column.ObjectAt(row)));
    case TypeKind::kForeign:
      break;
  }
  return Fail(Status::Unimplemented("Python code cannot read columns of type " +
                                    column.type->ToString() + ": cast the column first"));
}

PyObject* BoxBatch(const RecordBatch& batch) {
  RecordReader reader(RecordTypeOf(batch.schema));
  reader.Bind(batch);
  PyRef list = PyRef::Steal(PyList_New(batch.num_rows));
  for (int64_t row = 0; list && row < batch.num_rows; ++row) {
    PyObject* record = reader.Read(row);
    if (!record) return nullptr;
    PyList_SET_ITEM(list.get(), row, record);
  }
  return list.Release();
}

}  // namespace headrace::bindings
