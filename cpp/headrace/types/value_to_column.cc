// Encoded values into the columns whose type a ValueShape found.
#include <utility>

#include "headrace/types/decimal_text.h"
#include "headrace/types/numpy_scalar.h"
#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"
#include "headrace/types/value_codec.h"
#include "headrace/types/value_shape.h"

namespace headrace {
namespace {

// The text of any value is less than 16 times as long as its encoding, and a column holds 2 GiB.
constexpr size_t kTextValueBytesMax = 64 << 20;

Status NotAdded(const ByteReader& in) {
  return Status::Internal("offset " + std::to_string(in.offset()) +
                          ": a value that the column's type was not made for");
}

std::string UuidText(std::string_view bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    const auto byte = static_cast<uint8_t>(bytes[i]);
    text.push_back("0123456789abcdef"[byte >> 4]);
    text.push_back("0123456789abcdef"[byte & 15]);
  }
  return text;
}

Status AppendDateTime(bool zoned, ByteReader* in, ColumnBuilder* out) {
  int64_t micros = 0;
  uint8_t fold = 0;
  uint8_t zone = 0;
  int64_t offset_seconds = 0;
  HR_RETURN_IF_ERROR(in->ZigZag(&micros));
  HR_RETURN_IF_ERROR(in->Fixed(&fold));
  HR_RETURN_IF_ERROR(in->Fixed(&zone));
  if (zone != (zoned ? 1 : 0)) return NotAdded(*in);
  if (zoned) HR_RETURN_IF_ERROR(in->ZigZag(&offset_seconds));
  out->AppendInt(micros - offset_seconds * 1'000'000);
  return Status::Ok();
}

Status AppendTime(ByteReader* in, ColumnBuilder* out) {
  uint64_t micros = 0;
  uint8_t zone = 0;
  HR_RETURN_IF_ERROR(in->Varint(&micros));
  HR_RETURN_IF_ERROR(in->Fixed(&zone));
  if (zone != 0) return NotAdded(*in);
  out->AppendInt(static_cast<int64_t>(micros));
  return Status::Ok();
}

Status AppendTimeDelta(ByteReader* in, ColumnBuilder* out) {
  int64_t days = 0;
  uint64_t seconds = 0;
  uint64_t micros = 0;
  HR_RETURN_IF_ERROR(in->ZigZag(&days));
  HR_RETURN_IF_ERROR(in->Varint(&seconds));
  HR_RETURN_IF_ERROR(in->Varint(&micros));
  out->AppendInt(days * kMicrosPerDay + static_cast<int64_t>(seconds * 1'000'000 + micros));
  return Status::Ok();
}

Status AppendInt64(ByteReader* in, ColumnBuilder* out) {
  int64_t value = 0;
  HR_RETURN_IF_ERROR(in->ZigZag(&value));
  out->AppendInt(value);
  return Status::Ok();
}

Status ReadNumpyValue(ByteReader* in, NumpyScalar* scalar) {
  std::string_view dtype;
  std::string_view bytes;
  HR_RETURN_IF_ERROR(in->String(&dtype));
  HR_RETURN_IF_ERROR(in->String(&bytes));
  return ReadNumpy(dtype, bytes, scalar) ? Status::Ok() : NotAdded(*in);
}

// A number as float64.
Status AppendFloat64(ValueTag tag, ByteReader* in, ColumnBuilder* out) {
  double value = 0;
  int64_t integer = 0;
  NumpyScalar scalar;
  switch (tag) {
    case ValueTag::kFloat:
      HR_RETURN_IF_ERROR(in->Fixed(&value));
      break;
    case ValueTag::kInt:
      HR_RETURN_IF_ERROR(in->ZigZag(&integer));
      value = static_cast<double>(integer);
      break;
    case ValueTag::kNumpyScalar:
      HR_RETURN_IF_ERROR(ReadNumpyValue(in, &scalar));
      value = scalar.kind == NumpyScalar::Kind::kFloat ? scalar.number
                                                       : static_cast<double>(scalar.integer);
      break;
    default:
      return NotAdded(*in);
  }
  out->AppendFloat(value);
  return Status::Ok();
}

Status AppendPayload(ByteReader* in, ColumnBuilder* out) {
  std::string_view bytes;
  HR_RETURN_IF_ERROR(in->String(&bytes));
  out->AppendString(bytes);
  return Status::Ok();
}

}  // namespace

Status ValueShape::AppendText(ByteReader* in, ColumnBuilder* out) {
  ByteReader end = *in;
  HR_RETURN_IF_ERROR(SkipValue(&end));
  std::string_view encoded;
  HR_RETURN_IF_ERROR(in->Raw(end.offset() - in->offset(), &encoded));
  if (encoded.size() > kTextValueBytesMax) {
    out->AppendString("<a value of " + std::to_string(encoded.size()) + " bytes>");
    return Status::Ok();
  }
  const std::string text = DescribeValue(encoded);
  if (IsUtf8(text)) {
    out->AppendString(text);
  } else {
    std::string escaped;
    AppendStrRepr(text, &escaped);
    out->AppendString(escaped);
  }
  return Status::Ok();
}

Status ValueShape::AppendStruct(const Node& node, uint8_t tag, ByteReader* in, ColumnBuilder* out) {
  std::string_view name;
  uint64_t count = 0;
  uint8_t flag = 0;
  const bool dataclass = tag == static_cast<uint8_t>(ValueTag::kDataclass);
  const bool dict = tag == static_cast<uint8_t>(ValueTag::kDict);
  if (tag == static_cast<uint8_t>(ValueTag::kRow)) {
    HR_RETURN_IF_ERROR(in->Fixed(&flag));
    HR_RETURN_IF_ERROR(in->Count(1, &count));
    HR_RETURN_IF_ERROR(in->Fixed(&flag));
    for (uint64_t i = 0; flag == 1 && i < count; ++i) HR_RETURN_IF_ERROR(in->String(&name));
  } else {
    if (tag != static_cast<uint8_t>(ValueTag::kTuple) && !dict) {
      HR_RETURN_IF_ERROR(in->String(&name));
    }
    HR_RETURN_IF_ERROR(in->Count(1, &count));
  }
  if (count != node.children.size()) return NotAdded(*in);
  for (size_t i = 0; i < count; ++i) {
    if (dict) HR_RETURN_IF_ERROR(in->Fixed(&flag));  // the tag of the name
    if (dict || dataclass) HR_RETURN_IF_ERROR(in->String(&name));
    HR_RETURN_IF_ERROR(Append(node.children[i], in, out->children()[i].get()));
  }
  out->CloseStruct();
  return Status::Ok();
}

Status ValueShape::Append(const Node& node, ByteReader* in, ColumnBuilder* out) {
  const ByteReader start = *in;
  uint8_t byte = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&byte));
  const auto tag = static_cast<ValueTag>(byte);
  if (tag == ValueTag::kNone) {
    out->AppendNull();
    return Status::Ok();
  }
  std::string_view bytes;
  uint64_t count = 0;
  NumpyScalar scalar;
  switch (node.kind) {
    case Kind::kText:
      *in = start;
      return AppendText(in, out);
    case Kind::kBool:
      scalar.integer = tag == ValueTag::kTrue ? 1 : 0;
      if (tag == ValueTag::kNumpyScalar) HR_RETURN_IF_ERROR(ReadNumpyValue(in, &scalar));
      out->AppendInt(scalar.integer);
      return Status::Ok();
    case Kind::kInt:
      if (tag == ValueTag::kInt) return AppendInt64(in, out);
      HR_RETURN_IF_ERROR(ReadNumpyValue(in, &scalar));
      out->AppendInt(scalar.integer);
      return Status::Ok();
    case Kind::kFloat:
      return AppendFloat64(tag, in, out);
    case Kind::kStr:
    case Kind::kBytes:
    case Kind::kPickle:
      return AppendPayload(in, out);
    case Kind::kEnum:
      HR_RETURN_IF_ERROR(in->String(&bytes));
      return AppendPayload(in, out);
    case Kind::kDate:
      return AppendInt64(in, out);
    case Kind::kTime:
      return AppendTime(in, out);
    case Kind::kDateTime:
    case Kind::kZonedDateTime:
      return AppendDateTime(node.kind == Kind::kZonedDateTime, in, out);
    case Kind::kTimeDelta:
      return AppendTimeDelta(in, out);
    case Kind::kDecimal: {
      DecimalDigits digits;
      HR_RETURN_IF_ERROR(in->String(&bytes));
      if (!ParseDecimal(bytes, &digits)) return NotAdded(*in);
      out->AppendFixedBytes(digits.Unscaled(node.scale));
      return Status::Ok();
    }
    case Kind::kUuid:
      HR_RETURN_IF_ERROR(in->Raw(16, &bytes));
      out->AppendString(UuidText(bytes));
      return Status::Ok();
    case Kind::kStruct:
      return AppendStruct(node, byte, in, out);
    case Kind::kList:
      HR_RETURN_IF_ERROR(in->Count(1, &count));
      for (uint64_t i = 0; i < count; ++i) {
        HR_RETURN_IF_ERROR(Append(node.children[0], in, out->children()[0].get()));
      }
      out->CloseList();
      return Status::Ok();
    case Kind::kMap: {
      ColumnBuilder* entries = out->children()[0].get();
      HR_RETURN_IF_ERROR(in->Count(2, &count));
      for (uint64_t i = 0; i < count; ++i) {
        HR_RETURN_IF_ERROR(Append(node.children[0], in, entries->children()[0].get()));
        HR_RETURN_IF_ERROR(Append(node.children[1], in, entries->children()[1].get()));
        entries->CloseStruct();
      }
      out->CloseList();
      return Status::Ok();
    }
    case Kind::kNothing:
      break;
  }
  return NotAdded(start);
}

}  // namespace headrace
