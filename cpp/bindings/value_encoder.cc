#include "bindings/value_encoder.h"

#include <algorithm>
#include <string>
#include <vector>

#include "bindings/class_registry.h"
#include "bindings/cpython_versions.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/known_types.h"
#include "bindings/python_temporal.h"
#include "bindings/row_type.h"
#include "headrace/types/value_codec.h"

namespace headrace::bindings {
namespace {

constexpr int kDepthMax = 200;

/// One encoding: the mode, and how deep it is.
class Encoder {
 public:
  Encoder(bool as_key, ByteWriter* out) : as_key_(as_key), out_(out) {}

  Status Encode(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    if (type == &PyLong_Type) return Int(value);
    if (type == &PyUnicode_Type) return Str(value);
    if (type == &PyFloat_Type) return Float(PyFloat_AS_DOUBLE(value));
    if (value == Py_None) return Simple(ValueTag::kNone);
    if (type == &PyBool_Type) return Simple(value == Py_True ? ValueTag::kTrue : ValueTag::kFalse);
    if (type == &PyBytes_Type) {
      EncodeBytes({PyBytes_AS_STRING(value), static_cast<size_t>(PyBytes_GET_SIZE(value))}, out_);
      return Status::Ok();
    }
    if (depth_ >= kDepthMax) {
      return Status::InvalidArgument(
          "a value is nested more than 200 deep, or contains itself: it cannot be encoded");
    }
    ++depth_;
    Status status = Nested(value, type);
    --depth_;
    return status;
  }

 private:
  void Tag(ValueTag tag) { out_->Fixed(static_cast<uint8_t>(tag)); }
  Status Simple(ValueTag tag) {
    Tag(tag);
    return Status::Ok();
  }

  Status Float(double value) {
    if (as_key_) {
      EncodeKeyFloat(value, out_);
    } else {
      EncodeFloat(value, out_);
    }
    return Status::Ok();
  }

  Status Int(PyObject* value) {
    int overflow = 0;
    const long long small = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
      EncodeInt(small, out_);
      return Status::Ok();
    }
    const size_t bits = _PyLong_NumBits(value);
    std::string bytes(bits / 8 + 1, '\0');
    if (!IntToBytes(value, bytes.data(), bytes.size())) {
      return StatusFromPython(StatusCode::kInvalidArgument, "an int cannot be encoded");
    }
    // -2^(8n - 1) needs one byte less than its number of bits suggests.
    const auto byte_at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    while (bytes.size() > 1) {
      const unsigned char top = byte_at(bytes.size() - 1);
      const bool next_negative = (byte_at(bytes.size() - 2) & 0x80) != 0;
      if (top != (next_negative ? 0xff : 0x00)) break;
      bytes.pop_back();
    }
    Tag(ValueTag::kBigInt);
    out_->String(bytes);
    return Status::Ok();
  }

  Status Str(PyObject* value) {
    Py_ssize_t size = 0;
    if (const char* utf8 = PyUnicode_AsUTF8AndSize(value, &size)) {
      EncodeStr({utf8, static_cast<size_t>(size)}, out_);
      return Status::Ok();
    }
    PyErr_Clear();
    PyRef bytes = PyRef::Steal(PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass"));
    if (!bytes) return StatusFromPython(StatusCode::kInvalidArgument, "a str cannot be encoded");
    Tag(ValueTag::kStrSurrogates);
    out_->String(
        {PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get()))});
    return Status::Ok();
  }

  Status Nested(PyObject* value, PyTypeObject* type) {
    if (type == &PyTuple_Type) return Sequence(ValueTag::kTuple, value);
    if (type == &PyList_Type) return Sequence(ValueTag::kList, value);
    if (type == &PyDict_Type) return Dict(value);
    if (type == row_type) return RowValue(value);
    if (type == &PySet_Type) return Set(ValueTag::kSet, value);
    if (type == &PyFrozenSet_Type) return Set(ValueTag::kFrozenSet, value);
    if (type == &PyByteArray_Type) {
      Tag(ValueTag::kByteArray);
      out_->String(
          {PyByteArray_AS_STRING(value), static_cast<size_t>(PyByteArray_GET_SIZE(value))});
      return Status::Ok();
    }
    if (type == known.datetime) return DateTime(value);
    if (type == known.date) {
      Tag(ValueTag::kDate);
      out_->ZigZag(DaysOfDate(value));
      return Status::Ok();
    }
    if (type == known.time) {
      Tag(ValueTag::kTime);
      out_->Varint(static_cast<uint64_t>(MicrosOfTime(value)));
      return Zone(value, ZoneOf(value));
    }
    if (type == known.timedelta) {
      int64_t days = 0, seconds = 0, micros = 0;
      PartsOfTimeDelta(value, &days, &seconds, &micros);
      Tag(ValueTag::kTimeDelta);
      out_->ZigZag(days);
      out_->Varint(static_cast<uint64_t>(seconds));
      out_->Varint(static_cast<uint64_t>(micros));
      return Status::Ok();
    }
    if (type == known.decimal) {
      PyRef text = PyRef::Steal(PyObject_Str(value));
      if (!text) return Unencodable(value);
      Tag(ValueTag::kDecimal);
      out_->String(TextOf(text.get()));
      return Status::Ok();
    }
    if (type == known.uuid) return Uuid(value);
    if (IsNumpyScalar(value)) return Numpy(value);
    if (IsEnumMember(value)) return EnumMember(value, type);
    if (IsNamedTuple(value)) {
      Tag(ValueTag::kNamedTuple);
      out_->String(RegisteredName(type));
      return Items(value);
    }
    if (IsDataclass(value)) return Dataclass(value, type);
    return Unencodable(value);
  }

  Status Items(PyObject* sequence) {
    const Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence);
    out_->Varint(static_cast<uint64_t>(size));
    for (Py_ssize_t i = 0; i < size; ++i) {
      // Encoding a dataclass may run code that changes the list.
      if (PySequence_Fast_GET_SIZE(sequence) != size) return Changed();
      PyRef item = PyRef::Borrow(PySequence_Fast_GET_ITEM(sequence, i));
      HR_RETURN_IF_ERROR(Encode(item.get()));
    }
    return Status::Ok();
  }

  Status Sequence(ValueTag tag, PyObject* sequence) {
    Tag(tag);
    return Items(sequence);
  }

  Status Dict(PyObject* dict) {
    const Py_ssize_t size = PyDict_GET_SIZE(dict);
    Tag(ValueTag::kDict);
    out_->Varint(static_cast<uint64_t>(size));
    PyObject *key = nullptr, *value = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(dict, &at, &key, &value);) {
      PyRef held_key = PyRef::Borrow(key);
      PyRef held_value = PyRef::Borrow(value);
      HR_RETURN_IF_ERROR(Encode(held_key.get()));
      HR_RETURN_IF_ERROR(Encode(held_value.get()));
      if (PyDict_GET_SIZE(dict) != size) return Changed();
    }
    return Status::Ok();
  }

  Status Set(ValueTag tag, PyObject* set) {
    PyRef items = PyRef::Steal(PySequence_List(set));
    if (!items) return StatusFromPython(StatusCode::kInvalidArgument, "a set cannot be encoded");
    std::vector<std::string> encoded;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
      ByteWriter bytes;
      ByteWriter* outer = std::exchange(out_, &bytes);
      Status status = Encode(PyList_GET_ITEM(items.get(), i));
      out_ = outer;
      HR_RETURN_IF_ERROR(status);
      encoded.push_back(bytes.Take());
    }
    std::sort(encoded.begin(), encoded.end());
    Tag(tag);
    out_->Varint(encoded.size());
    for (const std::string& bytes : encoded) out_->Raw(bytes);
    return Status::Ok();
  }

  Status RowValue(PyObject* value) {
    const RowObject* row = AsRow(value);
    const Py_ssize_t size = Py_SIZE(value);
    Tag(ValueTag::kRow);
    out_->Fixed(row->kind);
    out_->Varint(static_cast<uint64_t>(size));
    out_->Fixed(static_cast<uint8_t>(row->names != nullptr));
    for (Py_ssize_t i = 0; row->names && i < size; ++i) {
      Py_ssize_t bytes = 0;
      const char* utf8 = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(row->names, i), &bytes);
      if (!utf8) return StatusFromPython(StatusCode::kInvalidArgument, "a Row's field name");
      EncodeRawString({utf8, static_cast<size_t>(bytes)});
    }
    for (Py_ssize_t i = 0; i < size; ++i) {
      PyRef item = PyRef::Borrow(row->values[i] ? row->values[i] : Py_None);
      HR_RETURN_IF_ERROR(Encode(item.get()));
    }
    return Status::Ok();
  }

  void EncodeRawString(std::string_view text) { out_->String(text); }

  Status DateTime(PyObject* value) {
    Tag(ValueTag::kDateTime);
    out_->ZigZag(MicrosOfDateTime(value));
    out_->Fixed(static_cast<uint8_t>(FoldOf(value)));
    return Zone(value, ZoneOf(value));
  }

  // 0 naive, 1 fixed offset, 2 zoneinfo by key.
  Status Zone(PyObject* value, PyObject* zone) {
    if (zone == Py_None) {
      out_->Fixed<uint8_t>(0);
      return Status::Ok();
    }
    if (Py_TYPE(zone) == known.timezone) {
      PyRef offset = PyRef::Steal(PyObject_CallMethod(zone, "utcoffset", "O", Py_None));
      if (!offset) return Unencodable(value);
      int64_t days = 0, seconds = 0, micros = 0;
      PartsOfTimeDelta(offset.get(), &days, &seconds, &micros);
      if (micros != 0) return Unencodable(value);
      out_->Fixed<uint8_t>(1);
      out_->ZigZag(days * 86'400 + seconds);
      return Status::Ok();
    }
    if (Py_TYPE(zone) == known.zone_info) {
      PyRef key = PyRef::Steal(PyObject_GetAttrString(zone, "key"));
      if (key && PyUnicode_Check(key.get())) {
        out_->Fixed<uint8_t>(2);
        out_->String(TextOf(key.get()));
        return Status::Ok();
      }
    }
    return Unencodable(value);
  }

  Status Uuid(PyObject* value) {
    PyRef bytes = PyRef::Steal(PyObject_GetAttrString(value, "bytes"));
    if (!bytes || !PyBytes_Check(bytes.get()) || PyBytes_GET_SIZE(bytes.get()) != 16) {
      return Unencodable(value);
    }
    Tag(ValueTag::kUuid);
    out_->Raw({PyBytes_AS_STRING(bytes.get()), 16});
    return Status::Ok();
  }

  Status Numpy(PyObject* value) {
    if (as_key_) {
      // As keys, numpy numbers are the numbers they hold.
      PyRef item = PyRef::Steal(PyObject_CallMethod(value, "item", nullptr));
      if (!item || Py_TYPE(item.get()) == Py_TYPE(value)) return Unencodable(value);
      if (IsNumpyScalar(item.get())) return Unencodable(value);
      return Encode(item.get());
    }
    PyRef dtype = PyRef::Steal(PyObject_GetAttrString(value, "dtype"));
    PyRef kind = PyRef::Steal(dtype ? PyObject_GetAttrString(dtype.get(), "kind") : nullptr);
    const std::string kind_text = TextOf(kind.get());
    // Structured and object scalars have no plain bytes.
    if (!kind || kind_text == "V" || kind_text == "O") return Unencodable(value);
    PyRef text = PyRef::Steal(PyObject_GetAttrString(dtype.get(), "str"));
    PyRef bytes = PyRef::Steal(PyObject_CallMethod(value, "tobytes", nullptr));
    PyRef width = PyRef::Steal(PyObject_GetAttrString(dtype.get(), "itemsize"));
    const Py_ssize_t size = width ? PyLong_AsSsize_t(width.get()) : -1;
    // An empty str_ has no width, but tobytes() gives one character.
    if (!text || !bytes || !PyBytes_Check(bytes.get()) || size < 0 ||
        size > PyBytes_GET_SIZE(bytes.get())) {
      return Unencodable(value);
    }
    Tag(ValueTag::kNumpyScalar);
    out_->String(TextOf(text.get()));
    out_->String({PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(size)});
    return Status::Ok();
  }

  Status EnumMember(PyObject* value, PyTypeObject* type) {
    PyRef name = PyRef::Steal(PyObject_GetAttrString(value, "name"));
    // A combination of flags has no name, or one that is no member's.
    PyRef members =
        PyRef::Steal(PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__members__"));
    const bool is_member = name && members && PyMapping_HasKey(members.get(), name.get()) == 1;
    if (!is_member) return Unencodable(value);
    Tag(ValueTag::kEnum);
    out_->String(RegisteredName(type));
    out_->String(TextOf(name.get()));
    return Status::Ok();
  }

  Status Dataclass(PyObject* value, PyTypeObject* type) {
    PyRef fields = PyRef::Steal(
        PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dataclass_fields__"));
    if (!fields || !PyDict_Check(fields.get())) return Unencodable(value);
    std::vector<PyObject*> names;
    PyObject *name = nullptr, *field = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(fields.get(), &at, &name, &field);) {
      PyRef kind = PyRef::Steal(PyObject_GetAttrString(field, "_field_type"));
      PyRef kind_name = PyRef::Steal(kind ? PyObject_GetAttrString(kind.get(), "name") : nullptr);
      // ClassVar and InitVar are no fields of the object.
      if (TextOf(kind_name.get()) == "_FIELD") names.push_back(name);
    }
    PyErr_Clear();
    Tag(ValueTag::kDataclass);
    out_->String(RegisteredName(type));
    out_->Varint(names.size());
    for (PyObject* field_name : names) {
      PyRef item = PyRef::Steal(PyObject_GetAttr(value, field_name));
      if (!item) return Unencodable(value);
      out_->String(TextOf(field_name));
      HR_RETURN_IF_ERROR(Encode(item.get()));
    }
    return Status::Ok();
  }

  Status Changed() {
    return Status::InvalidArgument("a list or dict changed while it was encoded");
  }

  Status Unencodable(PyObject* value) {
    std::string message = "a value of type '" + ClassName(Py_TYPE(value)) + "' (" +
                          ShortRepr(value) + ") cannot be encoded";
    if (PyErr_Occurred()) message.append(": ").append(ExceptionText(TakeException().get()));
    message.append(as_key_
                       ? "; keys must be plain values (int, str, float, bool, bytes, tuples of "
                         "them, dates, Row, dataclass, enum)"
                       : "; use plain values, a dataclass or a named tuple, or declare the type "
                         "as Types.PICKLED_BYTE_ARRAY()");
    return Status::InvalidArgument(std::move(message));
  }

  const bool as_key_;
  ByteWriter* out_;
  int depth_ = 0;
};

}  // namespace

Status EncodePython(PyObject* value, ByteWriter* out) { return Encoder(false, out).Encode(value); }

Status EncodePythonKey(PyObject* value, ByteWriter* out) {
  return Encoder(true, out).Encode(value);
}

Status EncodePickled(PyObject* value, ByteWriter* out) {
  PyRef protocol = PyRef::Steal(PyLong_FromLong(5));
  PyRef bytes = PyRef::Steal(
      PyObject_CallFunctionObjArgs(known.pickle_dumps, value, protocol.get(), nullptr));
  if (!bytes || !PyBytes_Check(bytes.get())) {
    return StatusFromPython(
        StatusCode::kInvalidArgument,
        "a value of type '" + ClassName(Py_TYPE(value)) + "' cannot be pickled");
  }
  out->Fixed(static_cast<uint8_t>(ValueTag::kPickle));
  out->String({PyBytes_AS_STRING(bytes.get()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.get()))});
  return Status::Ok();
}

}  // namespace headrace::bindings
