#include "headrace/types/data_type.h"

#include "headrace/base/check.h"

namespace headrace {
namespace {

/// Bytes of one dictionary index by its Arrow format; indices may also be unsigned.
int IndexWidth(const std::string& format) {
  if (format.size() != 1) return 0;
  switch (format[0]) {
    case 'c':
    case 'C':
      return 1;
    case 's':
    case 'S':
      return 2;
    case 'i':
    case 'I':
      return 4;
    case 'l':
    case 'L':
      return 8;
    default:
      return 0;
  }
}

std::string ChildrenToString(const std::vector<Field>& children) {
  std::string out;
  for (const Field& child : children) {
    if (!out.empty()) out += ", ";
    out += child.name + ": " + child.type->ToString();
  }
  return out;
}

/// "tsm:UTC" -> "ms, UTC"; "tDs" -> "s".
std::string UnitAndZone(const std::string& format) {
  std::string out;
  switch (format.size() > 2 ? format[2] : '?') {
    case 's':
      out = "s";
      break;
    case 'm':
      out = "ms";
      break;
    case 'u':
      out = "us";
      break;
    case 'n':
      out = "ns";
      break;
    default:
      out = format;
  }
  if (format.size() > 4) out += ", " + format.substr(4);
  return out;
}

DataTypePtr Simple(TypeKind kind, const char* format) {
  return std::make_shared<const DataType>(kind, format);
}

}  // namespace

DataType::DataType(TypeKind kind, std::string arrow_format, std::vector<Field> children)
    : kind_(kind), arrow_format_(std::move(arrow_format)), children_(std::move(children)) {
  for (const Field& child : children_) HR_CHECK(child.type != nullptr);
}

int DataType::fixed_width() const {
  switch (kind_) {
    case TypeKind::kInt8:
      return 1;
    case TypeKind::kInt16:
      return 2;
    case TypeKind::kInt32:
    case TypeKind::kFloat32:
    case TypeKind::kDate32:
      return 4;
    case TypeKind::kInt64:
    case TypeKind::kFloat64:
    case TypeKind::kTime64:
    case TypeKind::kTimestamp:
    case TypeKind::kDuration:
      return 8;
    case TypeKind::kDecimal128:
      return 16;
    case TypeKind::kDictionary:
      return IndexWidth(arrow_format_);
    default:
      return 0;
  }
}

std::string DataType::ToString() const {
  switch (kind_) {
    case TypeKind::kNull:
      return "null";
    case TypeKind::kBool:
      return "bool";
    case TypeKind::kInt8:
      return "int8";
    case TypeKind::kInt16:
      return "int16";
    case TypeKind::kInt32:
      return "int32";
    case TypeKind::kInt64:
      return "int64";
    case TypeKind::kFloat32:
      return "float32";
    case TypeKind::kFloat64:
      return "float64";
    case TypeKind::kString:
      return "string";
    case TypeKind::kBinary:
      return "binary";
    case TypeKind::kDate32:
      return "date32";
    case TypeKind::kTime64:
      return "time64[us]";
    case TypeKind::kTimestamp:
      return "timestamp[" + UnitAndZone(arrow_format_) + "]";
    case TypeKind::kDuration:
      return "duration[" + UnitAndZone(arrow_format_) + "]";
    case TypeKind::kDecimal128:
      return "decimal128(" + arrow_format_.substr(arrow_format_.find(':') + 1) + ")";
    case TypeKind::kList:
      return "list<" + (children_.empty() ? "?" : children_[0].type->ToString()) + ">";
    case TypeKind::kMap:
      return "map<" + (children_.empty() ? "?" : ChildrenToString(children_[0].type->children())) +
             ">";
    case TypeKind::kStruct:
      return "struct<" + ChildrenToString(children_) + ">";
    case TypeKind::kDictionary:
      return "dictionary<" + ChildrenToString(children_) + ">";
    case TypeKind::kForeign:
      return "arrow<" + arrow_format_ +
             (children_.empty() ? "" : "; " + ChildrenToString(children_)) + ">";
    case TypeKind::kObject:
      return "object";
  }
  return "unknown";
}

bool DataType::Equals(const DataType& other) const {
  if (this == &other) return true;
  if (kind_ != other.kind_ || arrow_format_ != other.arrow_format_ ||
      children_.size() != other.children_.size()) {
    return false;
  }
  // Arrow names the item of a list freely ("item", "element"); the name means nothing.
  const bool names_matter = kind_ != TypeKind::kList && kind_ != TypeKind::kMap;
  for (size_t i = 0; i < children_.size(); ++i) {
    if (names_matter && children_[i].name != other.children_[i].name) return false;
    if (!children_[i].type->Equals(*other.children_[i].type)) return false;
  }
  return true;
}

DataTypePtr Int64Type() {
  static const DataTypePtr type = Simple(TypeKind::kInt64, "l");
  return type;
}
DataTypePtr Int32Type() {
  static const DataTypePtr type = Simple(TypeKind::kInt32, "i");
  return type;
}
DataTypePtr Int16Type() {
  static const DataTypePtr type = Simple(TypeKind::kInt16, "s");
  return type;
}
DataTypePtr Int8Type() {
  static const DataTypePtr type = Simple(TypeKind::kInt8, "c");
  return type;
}
DataTypePtr Float64Type() {
  static const DataTypePtr type = Simple(TypeKind::kFloat64, "g");
  return type;
}
DataTypePtr Float32Type() {
  static const DataTypePtr type = Simple(TypeKind::kFloat32, "f");
  return type;
}
DataTypePtr BoolType() {
  static const DataTypePtr type = Simple(TypeKind::kBool, "b");
  return type;
}
DataTypePtr StringType() {
  static const DataTypePtr type = Simple(TypeKind::kString, "u");
  return type;
}
DataTypePtr BinaryType() {
  static const DataTypePtr type = Simple(TypeKind::kBinary, "z");
  return type;
}
DataTypePtr Date32Type() {
  static const DataTypePtr type = Simple(TypeKind::kDate32, "tdD");
  return type;
}
DataTypePtr Time64Type() {
  static const DataTypePtr type = Simple(TypeKind::kTime64, "ttu");
  return type;
}
DataTypePtr TimestampMsType() {
  static const DataTypePtr type = Simple(TypeKind::kTimestamp, "tsm:");
  return type;
}
DataTypePtr ObjectType() {
  static const DataTypePtr type = Simple(TypeKind::kObject, "");
  return type;
}

DataTypePtr ListType(Field item) {
  return std::make_shared<const DataType>(TypeKind::kList, "+l",
                                          std::vector<Field>{std::move(item)});
}

DataTypePtr StructType(std::vector<Field> fields) {
  return std::make_shared<const DataType>(TypeKind::kStruct, "+s", std::move(fields));
}

}  // namespace headrace
