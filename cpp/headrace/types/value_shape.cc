#include "headrace/types/value_shape.h"

#include <algorithm>
#include <utility>

#include "headrace/types/decimal_text.h"
#include "headrace/types/numpy_scalar.h"
#include "headrace/types/python_text.h"
#include "headrace/types/temporal.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr int kDepthMax = 32;        // deeper values are shown as text
constexpr size_t kFieldsMax = 1000;  // and so are wider ones
constexpr int kRecordDepthMax = 4;   // each level of dicts as records looks at its values twice
constexpr size_t kSeenMax = 16;      // kinds that are named
constexpr int kDecimalDigits = 38;   // of a decimal128
constexpr int64_t kExactInts = int64_t{1} << 53;
constexpr int64_t kDurationDaysMax = 100'000'000;  // more microseconds than that fill int64

Status Malformed(const ByteReader& in, const std::string& what) {
  return Status::Corruption("offset " + std::to_string(in.offset()) + ": encoded value: " + what);
}

/// A string of the value that ends up in the column, or as a name in its type.
Status Utf8(ByteReader* in, std::string_view* out) {
  HR_RETURN_IF_ERROR(in->String(out));
  return IsUtf8(*out) ? Status::Ok() : Malformed(*in, "text that is not UTF-8");
}

DataTypePtr Made(TypeKind kind, const char* format) {
  return std::make_shared<const DataType>(kind, format);
}

std::string Joined(const std::set<std::string>& parts, std::string_view between) {
  std::string text;
  for (const std::string& part : parts) text.append(text.empty() ? "" : between).append(part);
  return text;
}

}  // namespace

void ValueShape::MakeText(Node* node) {
  node->kind = Kind::kText;
  node->children.clear();
  node->names.clear();
  node->is_record = false;
  node->record.clear();
}

void ValueShape::Become(Node* node, Kind kind, std::string what) const {
  const bool number = kind == Kind::kInt || kind == Kind::kFloat;
  const bool new_name = !node->seen.contains(what);
  if (new_name && node->seen.size() < kSeenMax) node->seen.insert(std::move(what));
  if (node->kind == Kind::kText) return;
  if (node->kind == Kind::kNothing) {
    node->kind = kind;
  } else if (node->kind == kind) {
    if (new_name && !number) MakeText(node);  // a list and a set are not one column
  } else if (number && !distinct_numbers_ &&
             (node->kind == Kind::kInt || node->kind == Kind::kFloat)) {
    node->ints = true;
    node->kind = Kind::kFloat;
  } else {
    MakeText(node);
  }
}

Status ValueShape::Add(ByteReader* in) { return Add(&root_, in, 0); }

Status ValueShape::Add(Node* node, ByteReader* in, int depth) {
  // What is text, or turns into it below, is stepped over as a whole.
  ByteReader whole = *in;
  HR_RETURN_IF_ERROR(SkipValue(&whole));
  uint8_t tag = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&tag));
  if (depth > kDepthMax) {
    Become(node, Kind::kText, "nested deeper than " + std::to_string(kDepthMax));
    MakeText(node);
    *in = whole;
    return Status::Ok();
  }
  std::string_view text;
  switch (static_cast<ValueTag>(tag)) {
    case ValueTag::kNone:
      node->nulls = true;
      break;
    case ValueTag::kFalse:
    case ValueTag::kTrue:
      Become(node, Kind::kBool, "bool");
      break;
    case ValueTag::kInt: {
      int64_t value = 0;
      HR_RETURN_IF_ERROR(in->ZigZag(&value));
      HR_RETURN_IF_ERROR(AddInt(node, value, "int"));
      break;
    }
    case ValueTag::kBigInt:
      Become(node, Kind::kText, "int");
      MakeText(node);
      break;
    case ValueTag::kFloat:
      Become(node, Kind::kFloat, "float");
      break;
    case ValueTag::kStr:
      Become(node, Kind::kStr, "str");
      HR_RETURN_IF_ERROR(Utf8(in, &text));
      break;
    case ValueTag::kStrSurrogates:
      Become(node, Kind::kText, "str");
      MakeText(node);
      break;
    case ValueTag::kBytes:
      Become(node, Kind::kBytes, "bytes");
      break;
    case ValueTag::kByteArray:
      Become(node, Kind::kBytes, "bytearray");
      break;
    case ValueTag::kPickle:
      Become(node, Kind::kPickle, "pickle");
      break;
    case ValueTag::kDate:
      Become(node, Kind::kDate, "date");
      break;
    case ValueTag::kTime:
      HR_RETURN_IF_ERROR(AddZoned(node, /*date_time=*/false, in));
      break;
    case ValueTag::kDateTime:
      HR_RETURN_IF_ERROR(AddZoned(node, /*date_time=*/true, in));
      break;
    case ValueTag::kTimeDelta: {
      int64_t days = 0;
      HR_RETURN_IF_ERROR(in->ZigZag(&days));
      Become(node, Kind::kTimeDelta, "timedelta");
      if (days < -kDurationDaysMax || days > kDurationDaysMax) MakeText(node);
      break;
    }
    case ValueTag::kDecimal:
      HR_RETURN_IF_ERROR(AddDecimal(node, in));
      break;
    case ValueTag::kUuid:
      Become(node, Kind::kUuid, "UUID");
      break;
    case ValueTag::kEnum:
      HR_RETURN_IF_ERROR(Utf8(in, &text));
      Become(node, Kind::kEnum, "enum " + std::string(text));
      HR_RETURN_IF_ERROR(Utf8(in, &text));
      break;
    case ValueTag::kNumpyScalar:
      HR_RETURN_IF_ERROR(AddNumpy(node, in));
      break;
    case ValueTag::kTuple:
      HR_RETURN_IF_ERROR(AddStruct(node, "tuple", {}, in, depth));
      break;
    case ValueTag::kNamedTuple:
      HR_RETURN_IF_ERROR(Utf8(in, &text));
      HR_RETURN_IF_ERROR(AddStruct(node, "named tuple " + std::string(text), {}, in, depth));
      break;
    case ValueTag::kRow:
      HR_RETURN_IF_ERROR(AddRow(node, in, depth));
      break;
    case ValueTag::kDataclass:
      HR_RETURN_IF_ERROR(AddDataclass(node, in, depth));
      break;
    case ValueTag::kList:
      HR_RETURN_IF_ERROR(AddItems(node, "list", /*map=*/false, in, depth));
      break;
    case ValueTag::kSet:
      HR_RETURN_IF_ERROR(AddItems(node, "set", /*map=*/false, in, depth));
      break;
    case ValueTag::kFrozenSet:
      HR_RETURN_IF_ERROR(AddItems(node, "frozenset", /*map=*/false, in, depth));
      break;
    case ValueTag::kDict:
      HR_RETURN_IF_ERROR(AddItems(node, "dict", /*map=*/true, in, depth));
      break;
  }
  *in = whole;
  return Status::Ok();
}

Status ValueShape::AddInt(Node* node, int64_t value, const char* what) {
  node->wide_ints = node->wide_ints || value < -kExactInts || value > kExactInts;
  Become(node, Kind::kInt, what);
  return Status::Ok();
}

Status ValueShape::AddDecimal(Node* node, ByteReader* in) {
  std::string_view text;
  HR_RETURN_IF_ERROR(Utf8(in, &text));
  Become(node, Kind::kDecimal, "Decimal");
  DecimalDigits digits;
  if (!ParseDecimal(text, &digits)) {
    MakeText(node);
    return Status::Ok();
  }
  node->scale = std::max(node->scale, digits.scale());
  node->whole_digits = std::max(node->whole_digits, digits.whole_digits());
  return Status::Ok();
}

// A time or datetime: without a zone, at a fixed offset, or in a zone by name.
Status ValueShape::AddZoned(Node* node, bool date_time, ByteReader* in) {
  if (date_time) {
    int64_t micros = 0;
    uint8_t fold = 0;
    HR_RETURN_IF_ERROR(in->ZigZag(&micros));
    HR_RETURN_IF_ERROR(in->Fixed(&fold));
    if (micros < kDateDaysMin * kMicrosPerDay || micros >= (kDateDaysMax + 1) * kMicrosPerDay) {
      return Malformed(*in, "a datetime outside years 1 to 9999");
    }
  } else {
    uint64_t micros = 0;
    HR_RETURN_IF_ERROR(in->Varint(&micros));
  }
  uint8_t zone = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&zone));
  const char* what = date_time ? "datetime" : "time";
  if (zone == 0) {
    Become(node, date_time ? Kind::kDateTime : Kind::kTime, what);
  } else if (zone == 1 && date_time) {
    Become(node, Kind::kZonedDateTime, "datetime with an offset");
  } else {
    Become(node, Kind::kText, std::string(what) + " with a time zone");
    MakeText(node);
  }
  return Status::Ok();
}

Status ValueShape::AddNumpy(Node* node, ByteReader* in) {
  NumpyScalar scalar;
  std::string_view dtype;
  std::string_view bytes;
  HR_RETURN_IF_ERROR(Utf8(in, &dtype));
  HR_RETURN_IF_ERROR(in->String(&bytes));
  const std::string what = "numpy " + std::string(dtype);
  if (!ReadNumpy(dtype, bytes, &scalar)) {
    Become(node, Kind::kText, what);
    MakeText(node);
  } else if (scalar.kind == NumpyScalar::Kind::kInt) {
    return AddInt(node, scalar.integer, what.c_str());
  } else if (scalar.kind == NumpyScalar::Kind::kBool) {
    Become(node, Kind::kBool, what);
  } else {
    Become(node, Kind::kFloat, what);
  }
  return Status::Ok();
}

// The values of a tuple or the like; `names` empty: numbered.
Status ValueShape::AddStruct(Node* node, std::string what, std::vector<std::string> names,
                             ByteReader* in, int depth) {
  uint64_t count = names.size();
  if (names.empty()) HR_RETURN_IF_ERROR(in->Count(1, &count));
  const bool first = node->kind == Kind::kNothing;
  Become(node, Kind::kStruct, std::move(what));
  if (node->kind == Kind::kText) return Status::Ok();
  if (count == 0 || count > kFieldsMax) {
    MakeText(node);
    return Status::Ok();
  }
  if (names.empty()) {
    for (uint64_t i = 0; i < count; ++i) names.push_back("f" + std::to_string(i));
  }
  if (first) {
    node->names = std::move(names);
    node->children.resize(count);
  } else if (node->names != names) {
    MakeText(node);
    return Status::Ok();
  }
  for (Node& child : node->children) HR_RETURN_IF_ERROR(Add(&child, in, depth + 1));
  return Status::Ok();
}

Status ValueShape::AddRow(Node* node, ByteReader* in, int depth) {
  uint8_t kind = 0;
  uint8_t named = 0;
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(in->Fixed(&kind));
  HR_RETURN_IF_ERROR(in->Count(1, &count));
  HR_RETURN_IF_ERROR(in->Fixed(&named));
  std::vector<std::string> names;
  if (count == 0 || count > kFieldsMax) {
    Become(node, Kind::kStruct, "Row");
    MakeText(node);
    return Status::Ok();
  }
  for (uint64_t i = 0; i < count; ++i) {
    std::string_view name;
    if (named == 1) HR_RETURN_IF_ERROR(Utf8(in, &name));
    names.push_back(named == 1 ? std::string(name) : "f" + std::to_string(i));
  }
  return AddStruct(node, "Row", std::move(names), in, depth);
}

Status ValueShape::AddDataclass(Node* node, ByteReader* in, int depth) {
  std::string_view name;
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(Utf8(in, &name));
  HR_RETURN_IF_ERROR(in->Count(2, &count));
  const bool first = node->kind == Kind::kNothing;
  Become(node, Kind::kStruct, "dataclass " + std::string(name));
  if (node->kind == Kind::kText) return Status::Ok();
  if (count == 0 || count > kFieldsMax || (!first && count != node->names.size())) {
    MakeText(node);
    return Status::Ok();
  }
  if (first) node->children.resize(count);
  for (uint64_t i = 0; i < count; ++i) {
    HR_RETURN_IF_ERROR(Utf8(in, &name));
    if (first) node->names.emplace_back(name);
    if (node->names[i] != name) {
      MakeText(node);
      return Status::Ok();
    }
    HR_RETURN_IF_ERROR(Add(&node->children[i], in, depth + 1));
  }
  return Status::Ok();
}

Status ValueShape::AddItems(Node* node, const char* what, bool map, ByteReader* in, int depth) {
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(in->Count(map ? 2 : 1, &count));
  const bool first = node->kind == Kind::kNothing;
  Become(node, map ? Kind::kMap : Kind::kList, what);
  if (node->kind == Kind::kText) return Status::Ok();
  node->children.resize(map ? 2 : 1);
  if (map) return AddPairs(node, count, first, in, depth);
  for (uint64_t i = 0; i < count; ++i) {
    HR_RETURN_IF_ERROR(Add(&node->children[0], in, depth + 1));
  }
  return Status::Ok();
}

Status ValueShape::AddPairs(Node* node, uint64_t count, bool first, ByteReader* in, int depth) {
  if (first) node->is_record = depth < kRecordDepthMax && count <= kFieldsMax;
  node->is_record = node->is_record && count > 0 && (first || count == node->names.size());
  for (uint64_t i = 0; i < count; ++i) {
    const ByteReader key = *in;
    HR_RETURN_IF_ERROR(Add(&node->children[0], in, depth + 1));
    const ByteReader value = *in;
    HR_RETURN_IF_ERROR(Add(&node->children[1], in, depth + 1));
    if (!node->is_record) continue;
    HR_ASSIGN_OR_RETURN(node->is_record, AddField(node, i, first, key, value, depth));
  }
  if (!node->is_record) {
    node->names.clear();
    node->record.clear();
  }
  return Status::Ok();
}

Result<bool> ValueShape::AddField(Node* node, size_t index, bool first, ByteReader key,
                                  ByteReader value, int depth) {
  uint8_t tag = 0;
  std::string_view name;
  HR_RETURN_IF_ERROR(key.Fixed(&tag));
  if (tag != static_cast<uint8_t>(ValueTag::kStr)) return false;
  HR_RETURN_IF_ERROR(key.String(&name));
  if (first) {
    node->names.emplace_back(name);
    node->record.emplace_back();
  }
  if (node->names[index] != name) return false;
  HR_RETURN_IF_ERROR(Add(&node->record[index], &value, depth + 1));
  return true;
}

bool ValueShape::HasText(const Node& node) {
  return node.kind == Kind::kText ||
         std::any_of(node.children.begin(), node.children.end(), &ValueShape::HasText);
}

void ValueShape::Finish() { Finish(&root_); }

void ValueShape::Finish(Node* node) {
  std::set<std::string_view> names(node->names.begin(), node->names.end());
  const bool lossy = node->kind == Kind::kFloat && node->ints && node->wide_ints;
  const bool long_decimal =
      node->kind == Kind::kDecimal && node->whole_digits + node->scale > kDecimalDigits;
  const bool unnamed = names.size() != node->names.size() || names.contains("");
  const bool null_keys = node->kind == Kind::kMap && node->children[0].nulls;
  if (lossy || long_decimal || unnamed || null_keys) MakeText(node);
  for (Node& child : node->children) Finish(&child);
  if (node->kind == Kind::kMap && node->is_record && HasText(node->children[1])) {
    node->kind = Kind::kStruct;
    node->children = std::move(node->record);
    Finish(node);
    return;
  }
  switch (node->kind) {
    case Kind::kNothing:
      node->type = Made(TypeKind::kNull, "n");
      break;
    case Kind::kBool:
      node->type = BoolType();
      break;
    case Kind::kInt:
      node->type = Int64Type();
      break;
    case Kind::kFloat:
      node->type = Float64Type();
      break;
    case Kind::kBytes:
    case Kind::kPickle:
      node->type = BinaryType();
      break;
    case Kind::kDate:
      node->type = Date32Type();
      break;
    case Kind::kTime:
      node->type = Time64Type();
      break;
    case Kind::kDateTime:
      node->type = Made(TypeKind::kTimestamp, "tsu:");
      break;
    case Kind::kZonedDateTime:
      node->type = Made(TypeKind::kTimestamp, "tsu:UTC");
      break;
    case Kind::kTimeDelta:
      node->type = Made(TypeKind::kDuration, "tDu");
      break;
    case Kind::kDecimal:
      node->type = Made(TypeKind::kDecimal128, ("d:38," + std::to_string(node->scale)).c_str());
      break;
    case Kind::kStr:
    case Kind::kUuid:
    case Kind::kEnum:
    case Kind::kText:
      node->type = StringType();
      break;
    case Kind::kStruct: {
      std::vector<Field> fields;
      for (size_t i = 0; i < node->children.size(); ++i) {
        fields.push_back({node->names[i], node->children[i].type, true});
      }
      node->type = StructType(std::move(fields));
      break;
    }
    case Kind::kList:
      node->type = ListType({"item", node->children[0].type, true});
      break;
    case Kind::kMap: {
      const DataTypePtr entry = StructType(
          {{"key", node->children[0].type, false}, {"value", node->children[1].type, true}});
      node->type = std::make_shared<const DataType>(TypeKind::kMap, "+m",
                                                    std::vector<Field>{{"entries", entry, false}});
      break;
    }
  }
}

std::string ValueShape::Describe(const Node& node) {
  const std::string seen = Joined(node.seen, " or ");
  switch (node.kind) {
    case Kind::kNothing:
      return "None";
    case Kind::kText:
      return seen + ", as text";
    case Kind::kList:
      return seen + " of " + Describe(node.children[0]);
    case Kind::kMap:
      return seen + " of " + Describe(node.children[0]) + " to " + Describe(node.children[1]);
    case Kind::kStruct: {
      std::string fields;
      for (size_t i = 0; i < node.children.size(); ++i) {
        fields += (i == 0 ? "" : ", ") + node.names[i] + ": " + Describe(node.children[i]);
      }
      return seen + "(" + fields + ")";
    }
    default:
      return seen;
  }
}

}  // namespace headrace
