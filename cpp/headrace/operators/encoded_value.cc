#include "headrace/operators/encoded_value.h"

#include <cstdlib>

#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int64_t kMicrosPerSecond = 1000000;
constexpr int64_t kSecondsPerDay = 86400;

Status WrongTag(uint8_t tag, const DataType& type) {
  return Status::Corruption("encoded value with tag " + std::to_string(tag) +
                            " does not belong in a column of type " + type.ToString());
}

/// `micros` in the unit of a timestamp or duration type.
int64_t FromMicros(int64_t micros, const DataType& type) {
  switch (type.arrow_format().size() > 2 ? type.arrow_format()[2] : 'u') {
    case 's':
      return micros / kMicrosPerSecond;
    case 'm':
      return micros / 1000;
    case 'n':
      return micros * 1000;
    default:
      return micros;
  }
}

/// Seconds that the wall clock of a time or datetime is ahead of UTC, 0 without a zone.
Status ReadZone(ByteReader* in, int64_t* ahead_seconds) {
  uint8_t form = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&form));
  *ahead_seconds = 0;
  if (form == 0) return Status::Ok();
  if (form == 1) return in->ZigZag(ahead_seconds);
  return Status::Corruption("a column cannot hold a datetime whose zone has a name");
}

Status AppendTemporal(ValueTag tag, const DataType& type, ByteReader* in, ColumnBuilder* out) {
  int64_t value = 0;
  int64_t ahead_seconds = 0;
  uint64_t micros = 0;
  switch (tag) {
    case ValueTag::kDate:
      HR_RETURN_IF_ERROR(in->ZigZag(&value));
      break;
    case ValueTag::kTime:
      HR_RETURN_IF_ERROR(in->Varint(&micros));
      HR_RETURN_IF_ERROR(ReadZone(in, &ahead_seconds));
      value = static_cast<int64_t>(micros);
      break;
    case ValueTag::kDateTime: {
      uint8_t fold = 0;
      HR_RETURN_IF_ERROR(in->ZigZag(&value));
      HR_RETURN_IF_ERROR(in->Fixed(&fold));
      HR_RETURN_IF_ERROR(ReadZone(in, &ahead_seconds));
      // The encoding holds the wall clock's reading, the column UTC.
      value = FromMicros(value - ahead_seconds * kMicrosPerSecond, type);
      break;
    }
    case ValueTag::kTimeDelta: {
      uint64_t seconds = 0;
      HR_RETURN_IF_ERROR(in->ZigZag(&value));
      HR_RETURN_IF_ERROR(in->Varint(&seconds));
      HR_RETURN_IF_ERROR(in->Varint(&micros));
      value = (value * kSecondsPerDay + static_cast<int64_t>(seconds)) * kMicrosPerSecond +
              static_cast<int64_t>(micros);
      value = FromMicros(value, type);
      break;
    }
    default:
      return WrongTag(static_cast<uint8_t>(tag), type);
  }
  out->AppendInt(value);
  return Status::Ok();
}

/// "-12.50" or "1E-9" as the 128-bit unscaled integer of a decimal type with scale 2.
Status AppendDecimal(std::string_view text, const DataType& type, ColumnBuilder* out) {
  const std::string& format = type.arrow_format();  // "d:precision,scale"
  const size_t comma = format.find(',');
  int scale = comma == std::string::npos ? 0 : std::atoi(format.c_str() + comma + 1);
  unsigned __int128 unscaled = 0;
  const bool negative = !text.empty() && text[0] == '-';
  const size_t exponent_at = text.find('E');
  if (exponent_at != std::string_view::npos) {
    scale += std::atoi(std::string(text.substr(exponent_at + 1)).c_str());
  }
  bool point = false;
  for (const char c : text.substr(0, exponent_at).substr(negative ? 1 : 0)) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') {
      return Status::Corruption("decimal text '" + std::string(text) + "' is not a number");
    }
    unscaled = unscaled * 10 + static_cast<unsigned>(c - '0');
    if (point) --scale;
  }
  for (; scale > 0; --scale) unscaled *= 10;
  if (negative) unscaled = ~unscaled + 1;
  out->AppendFixedBytes({reinterpret_cast<const char*>(&unscaled), sizeof(unscaled)});
  return Status::Ok();
}

Status AppendNested(ValueTag tag, const DataType& type, ObjectHooks* hooks, ByteReader* in,
                    ColumnBuilder* out) {
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(in->Count(1, &count));
  const auto& builders = out->children();
  if (type.kind() == TypeKind::kStruct) {
    if (tag != ValueTag::kTuple || count != builders.size()) {
      return WrongTag(static_cast<uint8_t>(tag), type);
    }
    for (size_t i = 0; i < builders.size(); ++i) {
      HR_RETURN_IF_ERROR(
          AppendEncodedValue(*type.children()[i].type, hooks, in, builders[i].get()));
    }
    out->CloseStruct();
    return Status::Ok();
  }
  const DataType& item = *type.children()[0].type;
  for (uint64_t i = 0; i < count; ++i) {
    if (type.kind() == TypeKind::kList) {
      HR_RETURN_IF_ERROR(AppendEncodedValue(item, hooks, in, builders[0].get()));
      continue;
    }
    const auto& pair = builders[0]->children();
    for (size_t part = 0; part < 2; ++part) {
      HR_RETURN_IF_ERROR(
          AppendEncodedValue(*item.children()[part].type, hooks, in, pair[part].get()));
    }
    builders[0]->CloseStruct();
  }
  out->CloseList();
  return Status::Ok();
}

Status AppendScalar(ValueTag tag, const DataType& type, ByteReader* in, ColumnBuilder* out) {
  std::string_view bytes;
  int64_t integer = 0;
  double real = 0;
  switch (tag) {
    case ValueTag::kFalse:
    case ValueTag::kTrue:
      if (type.kind() != TypeKind::kBool) return WrongTag(static_cast<uint8_t>(tag), type);
      out->AppendInt(tag == ValueTag::kTrue ? 1 : 0);
      return Status::Ok();
    case ValueTag::kInt:
      // Also the form of temporal values that microseconds cannot hold.
      if (type.fixed_width() == 0 || type.is_floating() || type.fixed_width() > 8) {
        return WrongTag(static_cast<uint8_t>(tag), type);
      }
      HR_RETURN_IF_ERROR(in->ZigZag(&integer));
      out->AppendInt(integer);
      return Status::Ok();
    case ValueTag::kFloat:
      if (!type.is_floating()) return WrongTag(static_cast<uint8_t>(tag), type);
      HR_RETURN_IF_ERROR(in->Fixed(&real));
      out->AppendFloat(real);
      return Status::Ok();
    case ValueTag::kStr:
    case ValueTag::kBytes:
      if (type.kind() != (tag == ValueTag::kStr ? TypeKind::kString : TypeKind::kBinary)) {
        return WrongTag(static_cast<uint8_t>(tag), type);
      }
      HR_RETURN_IF_ERROR(in->String(&bytes));
      out->AppendString(bytes);
      return Status::Ok();
    case ValueTag::kDecimal:
      if (type.kind() != TypeKind::kDecimal128) return WrongTag(static_cast<uint8_t>(tag), type);
      HR_RETURN_IF_ERROR(in->String(&bytes));
      return AppendDecimal(bytes, type, out);
    default:
      return WrongTag(static_cast<uint8_t>(tag), type);
  }
}

}  // namespace

Status AppendEncodedValue(const DataType& type, ObjectHooks* hooks, ByteReader* in,
                          ColumnBuilder* out) {
  if (type.kind() == TypeKind::kObject) {
    if (!hooks) return Status::Internal("object values cannot be decoded without their hooks");
    // The hooks want exactly one value, so its end is found first.
    ByteReader ahead = *in;
    HR_RETURN_IF_ERROR(SkipValue(&ahead));
    std::string_view bytes;
    HR_RETURN_IF_ERROR(in->Raw(ahead.offset() - in->offset(), &bytes));
    HR_ASSIGN_OR_RETURN(Object object, hooks->Decode(bytes));
    out->AppendObject(object, hooks);
    return Status::Ok();
  }
  uint8_t byte = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&byte));
  const auto tag = static_cast<ValueTag>(byte);
  if (tag == ValueTag::kNone) {
    out->AppendNull();
    return Status::Ok();
  }
  switch (tag) {
    case ValueTag::kDate:
    case ValueTag::kTime:
    case ValueTag::kDateTime:
    case ValueTag::kTimeDelta:
      return AppendTemporal(tag, type, in, out);
    case ValueTag::kTuple:
    case ValueTag::kList:
    case ValueTag::kDict:
      if (type.kind() != TypeKind::kStruct && type.kind() != TypeKind::kList &&
          type.kind() != TypeKind::kMap) {
        return WrongTag(byte, type);
      }
      return AppendNested(tag, type, hooks, in, out);
    default:
      return AppendScalar(tag, type, in, out);
  }
}

}  // namespace headrace
