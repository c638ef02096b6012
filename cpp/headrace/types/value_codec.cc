#include "headrace/types/value_codec.h"

#include <cmath>
#include <string>

#include "headrace/types/dictionary_index.h"
#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"

namespace headrace {
namespace {

constexpr uint64_t kKeyNan = 0x7ff8000000000000ULL;
constexpr int kDepthMax = 200;

void Tag(ValueTag tag, ByteWriter* out) { out->Fixed(static_cast<uint8_t>(tag)); }

Status EncodeTimestamp(const DataType& type, int64_t value, ByteWriter* out) {
  int64_t micros = 0;
  HR_RETURN_IF_ERROR(MicrosOf(type, value, &micros));
  ZoneOffset zone;
  HR_RETURN_IF_ERROR(ZoneOffsetOf(type, &zone));
  if (__builtin_add_overflow(micros, zone.seconds * 1'000'000, &micros)) {
    return Status::InvalidArgument("timestamp " + std::to_string(value) + " is out of range");
  }
  Tag(ValueTag::kDateTime, out);
  out->ZigZag(micros);
  out->Fixed<uint8_t>(0);
  out->Fixed<uint8_t>(zone.aware ? 1 : 0);
  if (zone.aware) out->ZigZag(zone.seconds);
  return Status::Ok();
}

Status EncodeDuration(const DataType& type, int64_t value, ByteWriter* out) {
  TimeDelta delta;
  HR_RETURN_IF_ERROR(TimeDeltaOf(type, value, &delta));
  Tag(ValueTag::kTimeDelta, out);
  out->ZigZag(delta.days);
  out->Varint(static_cast<uint64_t>(delta.seconds));
  out->Varint(static_cast<uint64_t>(delta.micros));
  return Status::Ok();
}

Status EncodeValue(const Column& column, int64_t row, bool as_key, int depth, ByteWriter* out);

Status EncodeItems(const Column& column, int64_t row, bool as_key, int depth, ByteWriter* out) {
  const bool is_map = column.type->kind() == TypeKind::kMap;
  const auto* ends = reinterpret_cast<const int32_t*>(column.values->data()) + column.offset + row;
  Tag(is_map ? ValueTag::kDict : ValueTag::kList, out);
  out->Varint(static_cast<uint64_t>(ends[1] - ends[0]));
  const Column& items = *column.children[0];
  for (int64_t item = ends[0]; item < ends[1]; ++item) {
    if (is_map) {
      // The pairs of a dict stand behind each other without a tag of their own.
      for (const ColumnPtr& side : items.children) {
        HR_RETURN_IF_ERROR(EncodeValue(*side, items.offset + item, as_key, depth + 1, out));
      }
    } else {
      HR_RETURN_IF_ERROR(EncodeValue(items, item, as_key, depth + 1, out));
    }
  }
  return Status::Ok();
}

Status EncodeDictionaryValue(const Column& column, int64_t row, bool as_key, int depth,
                             ByteWriter* out) {
  const int64_t index = DictionaryIndexAt(column, row);
  if (index < 0 || index >= column.dictionary->length) {
    return Status::InvalidArgument("row " + std::to_string(row) + " has dictionary index " +
                                   std::to_string(index) + " of " +
                                   std::to_string(column.dictionary->length) + " entries");
  }
  return EncodeValue(*column.dictionary, index, as_key, depth + 1, out);
}

Status EncodeObject(const Column& column, int64_t row, bool as_key, ByteWriter* out) {
  const Object value = column.ObjectAt(row);
  if (!as_key) return column.objects->hooks()->Encode(value, out);
  return column.objects->hooks()->EncodeKey(value, &out->buffer());
}

void EncodeReal(double value, bool as_key, ByteWriter* out) {
  if (as_key) {
    EncodeKeyFloat(value, out);
  } else {
    EncodeFloat(value, out);
  }
}

Status EncodeValue(const Column& column, int64_t row, bool as_key, int depth, ByteWriter* out) {
  if (depth > kDepthMax) return Status::InvalidArgument("a value nested too deeply");
  if (column.IsNull(row)) {
    EncodeNone(out);
    return Status::Ok();
  }
  switch (column.type->kind()) {
    case TypeKind::kNull:
      EncodeNone(out);
      return Status::Ok();
    case TypeKind::kBool:
      EncodeBool(column.BoolAt(row), out);
      return Status::Ok();
    case TypeKind::kInt8:
      EncodeInt(column.Values<int8_t>()[row], out);
      return Status::Ok();
    case TypeKind::kInt16:
      EncodeInt(column.Values<int16_t>()[row], out);
      return Status::Ok();
    case TypeKind::kInt32:
      EncodeInt(column.Values<int32_t>()[row], out);
      return Status::Ok();
    case TypeKind::kInt64:
      EncodeInt(column.Values<int64_t>()[row], out);
      return Status::Ok();
    case TypeKind::kFloat32:
      EncodeReal(column.Values<float>()[row], as_key, out);
      return Status::Ok();
    case TypeKind::kFloat64:
      EncodeReal(column.Values<double>()[row], as_key, out);
      return Status::Ok();
    case TypeKind::kString:
      EncodeStr(column.StringAt(row), out);
      return Status::Ok();
    case TypeKind::kBinary:
      EncodeBytes(column.StringAt(row), out);
      return Status::Ok();
    case TypeKind::kDate32: {
      const int64_t days = column.Values<int32_t>()[row];
      if (days < kDateDaysMin || days > kDateDaysMax) {
        return Status::InvalidArgument("date " + std::to_string(days) +
                                       " days from 1970-01-01 is outside years 1 to 9999");
      }
      Tag(ValueTag::kDate, out);
      out->ZigZag(days);
      return Status::Ok();
    }
    case TypeKind::kTime64: {
      const int64_t micros = column.Values<int64_t>()[row];
      if (micros < 0 || micros >= kMicrosPerDay) {
        return Status::InvalidArgument("time " + std::to_string(micros) + " us is not of one day");
      }
      Tag(ValueTag::kTime, out);
      out->Varint(static_cast<uint64_t>(micros));
      out->Fixed<uint8_t>(0);
      return Status::Ok();
    }
    case TypeKind::kTimestamp:
      return EncodeTimestamp(*column.type, column.Values<int64_t>()[row], out);
    case TypeKind::kDuration:
      return EncodeDuration(*column.type, column.Values<int64_t>()[row], out);
    case TypeKind::kDecimal128: {
      std::string text;
      AppendDecimalText(column.values->data() + (column.offset + row) * 16,
                        DecimalScaleOf(*column.type), &text);
      Tag(ValueTag::kDecimal, out);
      out->String(text);
      return Status::Ok();
    }
    case TypeKind::kList:
    case TypeKind::kMap:
      return EncodeItems(column, row, as_key, depth, out);
    case TypeKind::kStruct:
      Tag(ValueTag::kTuple, out);
      out->Varint(column.children.size());
      for (const ColumnPtr& child : column.children) {
        HR_RETURN_IF_ERROR(EncodeValue(*child, column.offset + row, as_key, depth + 1, out));
      }
      return Status::Ok();
    case TypeKind::kDictionary:
      return EncodeDictionaryValue(column, row, as_key, depth, out);
    case TypeKind::kObject:
      return EncodeObject(column, row, as_key, out);
    case TypeKind::kForeign:
      break;
  }
  return Status::Unimplemented("values of type " + column.type->ToString() +
                               " cannot be keys or state: cast the column to a supported type");
}

}  // namespace

void EncodeNone(ByteWriter* out) { Tag(ValueTag::kNone, out); }

void EncodeBool(bool value, ByteWriter* out) {
  Tag(value ? ValueTag::kTrue : ValueTag::kFalse, out);
}

void EncodeInt(int64_t value, ByteWriter* out) {
  Tag(ValueTag::kInt, out);
  out->ZigZag(value);
}

void EncodeFloat(double value, ByteWriter* out) {
  Tag(ValueTag::kFloat, out);
  out->Fixed(value);
}

void EncodeKeyFloat(double value, ByteWriter* out) {
  Tag(ValueTag::kFloat, out);
  if (std::isnan(value)) {
    out->Fixed(kKeyNan);
  } else {
    out->Fixed(value == 0 ? 0.0 : value);
  }
}

void EncodeStr(std::string_view utf8, ByteWriter* out) {
  Tag(ValueTag::kStr, out);
  out->String(utf8);
}

void EncodeBytes(std::string_view bytes, ByteWriter* out) {
  Tag(ValueTag::kBytes, out);
  out->String(bytes);
}

Status EncodeColumnValue(const Column& column, int64_t row, bool as_key, ByteWriter* out) {
  return EncodeValue(column, row, as_key, 0, out);
}

}  // namespace headrace
