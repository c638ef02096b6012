#include "bindings/value_decoder.h"

#include <string>

#include "bindings/class_registry.h"
#include "bindings/errors.h"
#include "bindings/known_types.h"
#include "bindings/python_temporal.h"
#include "bindings/row_type.h"
#include "headrace/types/value_codec.h"

namespace headrace::bindings {
namespace {

constexpr int kDepthMax = 200;

Result<PyRef> Made(PyObject* object) {
  if (object) return PyRef::Steal(object);
  return StatusFromPython(StatusCode::kCorruption, "a stored value cannot be read");
}

Result<PyRef> NewStr(std::string_view text, const char* errors) {
  return Made(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), errors));
}

// A stored count that Python's containers can take; what is left of the input bounds it already.
Py_ssize_t Size(uint64_t count) { return static_cast<Py_ssize_t>(count); }

/// One decoding: the input, and how deep it is.
class Decoder {
 public:
  Decoder(ByteReader* in, PickleUse pickles) : in_(in), pickles_(pickles) {}

  Result<PyRef> Decode() {
    uint8_t tag = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&tag));
    if (depth_ >= kDepthMax) return Status::Corruption("a stored value is nested too deeply");
    ++depth_;
    Result<PyRef> value = Payload(static_cast<ValueTag>(tag));
    --depth_;
    return value;
  }

 private:
  Result<PyRef> Payload(ValueTag tag) {
    switch (tag) {
      case ValueTag::kNone:
        return PyRef::Borrow(Py_None);
      case ValueTag::kFalse:
        return PyRef::Borrow(Py_False);
      case ValueTag::kTrue:
        return PyRef::Borrow(Py_True);
      case ValueTag::kInt: {
        int64_t value = 0;
        HR_RETURN_IF_ERROR(in_->ZigZag(&value));
        return Made(PyLong_FromLongLong(value));
      }
      case ValueTag::kBigInt: {
        HR_ASSIGN_OR_RETURN(const std::string_view bytes, Text());
        return Made(_PyLong_FromByteArray(reinterpret_cast<const unsigned char*>(bytes.data()),
                                          bytes.size(), 1, 1));
      }
      case ValueTag::kFloat: {
        double value = 0;
        HR_RETURN_IF_ERROR(in_->Fixed(&value));
        return Made(PyFloat_FromDouble(value));
      }
      case ValueTag::kStr: {
        HR_ASSIGN_OR_RETURN(const std::string_view text, Text());
        return NewStr(text, "strict");
      }
      case ValueTag::kStrSurrogates: {
        HR_ASSIGN_OR_RETURN(const std::string_view text, Text());
        return NewStr(text, "surrogatepass");
      }
      case ValueTag::kBytes: {
        HR_ASSIGN_OR_RETURN(const std::string_view bytes, Text());
        return Made(PyBytes_FromStringAndSize(bytes.data(), Size(bytes.size())));
      }
      case ValueTag::kByteArray: {
        HR_ASSIGN_OR_RETURN(const std::string_view bytes, Text());
        return Made(PyByteArray_FromStringAndSize(bytes.data(), Size(bytes.size())));
      }
      case ValueTag::kTuple:
        return Tuple();
      case ValueTag::kList:
        return List();
      case ValueTag::kDict:
        return Dict();
      case ValueTag::kSet:
        return Set(false);
      case ValueTag::kFrozenSet:
        return Set(true);
      case ValueTag::kDate: {
        int64_t days = 0;
        HR_RETURN_IF_ERROR(in_->ZigZag(&days));
        return Made(NewDate(days));
      }
      case ValueTag::kTime:
        return Time();
      case ValueTag::kDateTime:
        return DateTime();
      case ValueTag::kTimeDelta:
        return TimeDelta();
      case ValueTag::kDecimal: {
        HR_ASSIGN_OR_RETURN(const std::string_view text, Text());
        HR_ASSIGN_OR_RETURN(const PyRef str, NewStr(text, "strict"));
        return Made(PyObject_CallOneArg(reinterpret_cast<PyObject*>(known.decimal), str.get()));
      }
      case ValueTag::kUuid:
        return Uuid();
      case ValueTag::kRow:
        return RowValue();
      case ValueTag::kNamedTuple:
        return NamedTuple();
      case ValueTag::kDataclass:
        return Dataclass();
      case ValueTag::kNumpyScalar:
        return Numpy();
      case ValueTag::kPickle:
        return Pickle();
      case ValueTag::kEnum:
        return EnumMember();
    }
    return Status::Corruption("a stored value has the unknown tag " +
                              std::to_string(static_cast<int>(tag)));
  }

  Result<std::string_view> Text() {
    std::string_view text;
    HR_RETURN_IF_ERROR(in_->String(&text));
    return text;
  }

  Result<uint64_t> Count(size_t bytes_each) {
    uint64_t count = 0;
    HR_RETURN_IF_ERROR(in_->Count(bytes_each, &count));
    return count;
  }

  // A tuple of `count` values.
  Result<PyRef> TupleOf(uint64_t count) {
    HR_ASSIGN_OR_RETURN(PyRef tuple, Made(PyTuple_New(Size(count))));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(PyRef item, Decode());
      PyTuple_SET_ITEM(tuple.get(), Size(i), item.Release());
    }
    return tuple;
  }

  Result<PyRef> Tuple() {
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(1));
    return TupleOf(count);
  }

  Result<PyRef> List() {
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(1));
    HR_ASSIGN_OR_RETURN(PyRef list, Made(PyList_New(Size(count))));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(PyRef item, Decode());
      PyList_SET_ITEM(list.get(), Size(i), item.Release());
    }
    return list;
  }

  Result<PyRef> Dict() {
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(2));
    HR_ASSIGN_OR_RETURN(PyRef dict, Made(PyDict_New()));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(const PyRef key, Decode());
      HR_ASSIGN_OR_RETURN(const PyRef value, Decode());
      if (PyDict_SetItem(dict.get(), key.get(), value.get()) < 0) {
        return StatusFromPython(StatusCode::kCorruption, "a stored dict has an impossible key");
      }
    }
    return dict;
  }

  Result<PyRef> Set(bool frozen) {
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(1));
    HR_ASSIGN_OR_RETURN(PyRef items, TupleOf(count));
    return Made(frozen ? PyFrozenSet_New(items.get()) : PySet_New(items.get()));
  }

  Result<PyRef> Zone() {
    uint8_t form = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&form));
    if (form == 0) return PyRef::Borrow(Py_None);
    if (form == 1) {
      int64_t seconds = 0;
      HR_RETURN_IF_ERROR(in_->ZigZag(&seconds));
      return Made(NewFixedZone(seconds));
    }
    if (form != 2) return Status::Corruption("a stored time has an unknown kind of zone");
    HR_ASSIGN_OR_RETURN(const std::string_view key, Text());
    HR_ASSIGN_OR_RETURN(const PyRef name, NewStr(key, "strict"));
    return Made(PyObject_CallOneArg(reinterpret_cast<PyObject*>(known.zone_info), name.get()));
  }

  Result<PyRef> Time() {
    uint64_t micros = 0;
    HR_RETURN_IF_ERROR(in_->Varint(&micros));
    HR_ASSIGN_OR_RETURN(const PyRef zone, Zone());
    return Made(NewTime(static_cast<int64_t>(micros), zone.get()));
  }

  Result<PyRef> DateTime() {
    int64_t micros = 0;
    uint8_t fold = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&micros));
    HR_RETURN_IF_ERROR(in_->Fixed(&fold));
    HR_ASSIGN_OR_RETURN(const PyRef zone, Zone());
    return Made(NewDateTime(micros, fold != 0, zone.get()));
  }

  Result<PyRef> TimeDelta() {
    int64_t days = 0;
    uint64_t seconds = 0, micros = 0;
    HR_RETURN_IF_ERROR(in_->ZigZag(&days));
    HR_RETURN_IF_ERROR(in_->Varint(&seconds));
    HR_RETURN_IF_ERROR(in_->Varint(&micros));
    if (seconds >= 86'400 || micros >= 1'000'000) {
      return Status::Corruption("a stored duration is not in normal form");
    }
    return Made(NewTimeDelta(days, static_cast<int64_t>(seconds), static_cast<int64_t>(micros)));
  }

  Result<PyRef> Uuid() {
    std::string_view bytes;
    HR_RETURN_IF_ERROR(in_->Raw(16, &bytes));
    HR_ASSIGN_OR_RETURN(const PyRef value, Made(PyBytes_FromStringAndSize(bytes.data(), 16)));
    HR_ASSIGN_OR_RETURN(const PyRef no_args, Made(PyTuple_New(0)));
    HR_ASSIGN_OR_RETURN(const PyRef kwargs, Made(Py_BuildValue("{sO}", "bytes", value.get())));
    return Made(
        PyObject_Call(reinterpret_cast<PyObject*>(known.uuid), no_args.get(), kwargs.get()));
  }

  // Rows that follow each other mostly have the same names: one tuple serves them all.
  Result<PyRef> Names(uint64_t count) {
    HR_ASSIGN_OR_RETURN(PyRef names, Made(PyTuple_New(Size(count))));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(const std::string_view text, Text());
      HR_ASSIGN_OR_RETURN(PyRef name, NewStr(text, "strict"));
      PyObject* interned = name.Release();
      PyUnicode_InternInPlace(&interned);
      PyTuple_SET_ITEM(names.get(), Size(i), interned);
    }
    return names;
  }

  Result<PyRef> RowValue() {
    uint8_t kind = 0, named = 0;
    HR_RETURN_IF_ERROR(in_->Fixed(&kind));
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(1));
    HR_RETURN_IF_ERROR(in_->Fixed(&named));
    PyRef names;
    if (named) {
      HR_ASSIGN_OR_RETURN(names, Names(count));
    }
    HR_ASSIGN_OR_RETURN(PyRef row, Made(NewRow(names.get(), Size(count), kind)));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(PyRef item, Decode());
      AsRow(row.get())->values[i] = item.Release();
    }
    return row;
  }

  Result<PyRef> NamedTuple() {
    HR_ASSIGN_OR_RETURN(const std::string_view name, Text());
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(1));
    HR_ASSIGN_OR_RETURN(PyRef items, TupleOf(count));
    HR_ASSIGN_OR_RETURN(PyObject * type, FindClass(name));
    PyRef fields = PyRef::Steal(PyObject_GetAttrString(type, "_fields"));
    PyErr_Clear();
    if (!fields || PyObject_Size(fields.get()) != Size(count)) {
      PyErr_Clear();
      return Status::InvalidArgument("a stored '" + std::string(name) + "' has " +
                                     std::to_string(count) +
                                     " fields; the class of this program has another number");
    }
    return Made(PyObject_CallMethod(type, "_make", "(O)", items.get()));
  }

  // Fields are set directly: __init__ may have checks or side effects that are not due again.
  Result<PyRef> Dataclass() {
    HR_ASSIGN_OR_RETURN(const std::string_view name, Text());
    HR_ASSIGN_OR_RETURN(const uint64_t count, Count(2));
    HR_ASSIGN_OR_RETURN(PyObject * type, FindClass(name));
    HR_ASSIGN_OR_RETURN(PyRef fields, Made(PyObject_GetAttrString(type, "__dataclass_fields__")));
    HR_ASSIGN_OR_RETURN(PyRef missing, Made(PyDict_Copy(fields.get())));
    HR_ASSIGN_OR_RETURN(PyRef object, Made(PyObject_CallMethod(type, "__new__", "O", type)));
    for (uint64_t i = 0; i < count; ++i) {
      HR_ASSIGN_OR_RETURN(const std::string_view field, Text());
      HR_ASSIGN_OR_RETURN(const PyRef field_name, NewStr(field, "strict"));
      HR_ASSIGN_OR_RETURN(const PyRef value, Decode());
      if (PyDict_DelItem(missing.get(), field_name.get()) < 0) {
        PyErr_Clear();
        return Status::InvalidArgument("a stored '" + std::string(name) + "' has the field '" +
                                       std::string(field) +
                                       "', which the class of this program has not");
      }
      if (PyObject_GenericSetAttr(object.get(), field_name.get(), value.get()) < 0) {
        return StatusFromPython(StatusCode::kInvalidArgument,
                                "a stored '" + std::string(name) + "' cannot be made again");
      }
    }
    HR_RETURN_IF_ERROR(FillDefaults(name, object.get(), missing.get()));
    return object;
  }

  // Fields that the class got since: their default, if they have one.
  Status FillDefaults(std::string_view name, PyObject* object, PyObject* missing) {
    PyObject *field_name = nullptr, *field = nullptr;
    for (Py_ssize_t at = 0; PyDict_Next(missing, &at, &field_name, &field);) {
      PyRef kind = PyRef::Steal(PyObject_GetAttrString(field, "_field_type"));
      PyRef kind_name = PyRef::Steal(kind ? PyObject_GetAttrString(kind.get(), "name") : nullptr);
      PyErr_Clear();
      if (TextOf(kind_name.get()) != "_FIELD") continue;
      PyRef value = PyRef::Steal(PyObject_GetAttrString(field, "default"));
      PyRef factory = PyRef::Steal(PyObject_GetAttrString(field, "default_factory"));
      PyErr_Clear();
      if (factory && PyCallable_Check(factory.get()) && !PyType_Check(value.get()) &&
          ClassName(Py_TYPE(factory.get())) != "dataclasses._MISSING_TYPE") {
        value = PyRef::Steal(PyObject_CallNoArgs(factory.get()));
      }
      if (!value || ClassName(Py_TYPE(value.get())) == "dataclasses._MISSING_TYPE") {
        PyErr_Clear();
        return Status::InvalidArgument("a stored '" + std::string(name) + "' lacks the field '" +
                                       TextOf(field_name) +
                                       "', which has no default in the class of this program");
      }
      if (PyObject_GenericSetAttr(object, field_name, value.get()) < 0) {
        return StatusFromPython(StatusCode::kInvalidArgument,
                                "a stored '" + std::string(name) + "' cannot be made again");
      }
    }
    return Status::Ok();
  }

  Result<PyRef> Numpy() {
    HR_ASSIGN_OR_RETURN(const std::string_view dtype, Text());
    HR_ASSIGN_OR_RETURN(const std::string_view bytes, Text());
    HR_ASSIGN_OR_RETURN(const PyRef numpy, Made(PyImport_ImportModule("numpy")));
    const std::string dtype_text(dtype);
    HR_ASSIGN_OR_RETURN(const PyRef type,
                        Made(PyObject_CallMethod(numpy.get(), "dtype", "s", dtype_text.c_str())));
    PyRef has_object = PyRef::Steal(PyObject_GetAttrString(type.get(), "hasobject"));
    PyRef width = PyRef::Steal(PyObject_GetAttrString(type.get(), "itemsize"));
    if (!has_object || has_object.get() != Py_False || !width ||
        PyLong_AsSsize_t(width.get()) != Size(bytes.size())) {
      PyErr_Clear();
      return Status::Corruption("a stored numpy scalar of type " + dtype_text + " has " +
                                std::to_string(bytes.size()) + " bytes");
    }
    // numpy reads no array of zero-width items from a buffer.
    PyRef array = PyRef::Steal(
        bytes.empty() ? PyObject_CallMethod(numpy.get(), "zeros", "iO", 1, type.get())
                      : PyObject_CallMethod(numpy.get(), "frombuffer", "y#O", bytes.data(),
                                            Size(bytes.size()), type.get()));
    HR_ASSIGN_OR_RETURN(const PyRef values, Made(array.Release()));
    return Made(PySequence_GetItem(values.get(), 0));
  }

  Result<PyRef> Pickle() {
    HR_ASSIGN_OR_RETURN(const std::string_view bytes, Text());
    if (pickles_ == PickleUse::kRefuse) {
      return Status::InvalidArgument(
          "a stored value is a pickle, and this program has not declared it as "
          "Types.PICKLED_BYTE_ARRAY()");
    }
    HR_ASSIGN_OR_RETURN(const PyRef data,
                        Made(PyBytes_FromStringAndSize(bytes.data(), Size(bytes.size()))));
    return Made(PyObject_CallOneArg(known.pickle_loads, data.get()));
  }

  Result<PyRef> EnumMember() {
    HR_ASSIGN_OR_RETURN(const std::string_view name, Text());
    HR_ASSIGN_OR_RETURN(const std::string_view member, Text());
    HR_ASSIGN_OR_RETURN(PyObject * type, FindClass(name));
    HR_ASSIGN_OR_RETURN(const PyRef key, NewStr(member, "strict"));
    PyRef value = PyRef::Steal(PyObject_GetItem(type, key.get()));
    if (value) return value;
    PyErr_Clear();
    return Status::InvalidArgument("the enum '" + std::string(name) +
                                   "' of this program has no member '" + std::string(member) + "'");
  }

  ByteReader* in_;
  const PickleUse pickles_;
  int depth_ = 0;
};

}  // namespace

Result<PyRef> DecodePython(ByteReader* in, PickleUse pickles) {
  return Decoder(in, pickles).Decode();
}

Result<PyRef> DecodePython(std::string_view bytes, PickleUse pickles) {
  ByteReader in(bytes);
  HR_ASSIGN_OR_RETURN(PyRef value, DecodePython(&in, pickles));
  HR_RETURN_IF_ERROR(in.ExpectDone());
  return value;
}

}  // namespace headrace::bindings
