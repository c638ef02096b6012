#include "bindings/type_description.h"

#include <string>

#include "bindings/errors.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

DataTypePtr BasicType(const std::string& kind) {
  if (kind == "bool") return BoolType();
  if (kind == "int8") return Int8Type();
  if (kind == "int16") return Int16Type();
  if (kind == "int32") return Int32Type();
  if (kind == "int64") return Int64Type();
  if (kind == "float32") return Float32Type();
  if (kind == "float64") return Float64Type();
  if (kind == "string") return StringType();
  if (kind == "binary") return BinaryType();
  if (kind == "date") return Date32Type();
  if (kind == "time") return Time64Type();
  if (kind == "timestamp") return TimestampMsType();
  if (kind == "object" || kind == "pickle" || kind == "tuple") return ObjectType();
  return nullptr;
}

std::vector<Field> Fields(const py::handle& names, const py::handle& types) {
  const auto type_list = py::reinterpret_borrow<py::tuple>(types);
  std::vector<Field> fields;
  for (size_t i = 0; i < type_list.size(); ++i) {
    const std::string name =
        names.is_none() ? "f" + std::to_string(i)
                        : py::cast<std::string>(py::reinterpret_borrow<py::tuple>(names)[i]);
    fields.push_back(Field{name, TypeOfDescription(type_list[i])});
  }
  return fields;
}

py::object DescriptionOfType(const DataType& type) {
  const auto basic = [](const char* kind) { return py::object(py::make_tuple(kind)); };
  switch (type.kind()) {
    case TypeKind::kBool:
      return basic("bool");
    case TypeKind::kInt8:
    case TypeKind::kInt16:
    case TypeKind::kInt32:
    case TypeKind::kInt64:
    case TypeKind::kFloat32:
    case TypeKind::kFloat64:
      return py::make_tuple(type.ToString());
    case TypeKind::kString:
      return basic("string");
    case TypeKind::kBinary:
      return basic("binary");
    case TypeKind::kDate32:
      return basic("date");
    case TypeKind::kTime64:
      return basic("time");
    case TypeKind::kObject:
      return basic("object");
    case TypeKind::kTimestamp:
      if (type.Equals(*TimestampMsType())) return basic("timestamp");
      break;
    case TypeKind::kList:
      return py::make_tuple("list", DescriptionOfType(*type.children()[0].type));
    case TypeKind::kStruct: {
      py::list names, types;
      for (const Field& field : type.children()) {
        names.append(field.name);
        types.append(DescriptionOfType(*field.type));
      }
      return py::make_tuple("row", py::tuple(names), py::tuple(types));
    }
    default:
      break;
  }
  return py::make_tuple("arrow", type.ToString());
}

}  // namespace

DataTypePtr TypeOfDescription(const py::handle& description) {
  const auto parts = py::reinterpret_borrow<py::tuple>(description);
  const auto kind = py::cast<std::string>(parts[0]);
  if (DataTypePtr basic = BasicType(kind)) return basic;
  if (kind == "list") return ListType(Field{"item", TypeOfDescription(parts[1])});
  if (kind == "map") {
    Field key{"key", TypeOfDescription(parts[1]), false};
    Field value{"value", TypeOfDescription(parts[2])};
    if (key.type->kind() == TypeKind::kObject || value.type->kind() == TypeKind::kObject) {
      return ObjectType();
    }
    Field entries{"entries", StructType({std::move(key), std::move(value)}), false};
    return std::make_shared<const DataType>(TypeKind::kMap, "+m",
                                            std::vector<Field>{std::move(entries)});
  }
  if (kind == "row") return StructType(Fields(parts[1], parts[2]));
  ThrowStatus(Status::InvalidArgument("a stream cannot be declared to be of type '" +
                                      py::cast<std::string>(py::str(description)) + "'"));
}

SchemaPtr SchemaOfDescription(const py::object& description) {
  if (description.is_none()) return Schema::Objects();
  const auto parts = py::reinterpret_borrow<py::tuple>(description);
  const auto kind = py::cast<std::string>(parts[0]);
  if (kind == "object" || kind == "pickle") return Schema::Objects();
  if (kind == "row") {
    return std::make_shared<const Schema>(RecordShape::kRow, Fields(parts[1], parts[2]));
  }
  if (kind == "tuple") {
    return std::make_shared<const Schema>(RecordShape::kTuple, Fields(py::none(), parts[1]));
  }
  return std::make_shared<const Schema>(
      RecordShape::kScalar, std::vector<Field>{Field{"value", TypeOfDescription(description)}});
}

py::object DescriptionOfSchema(const Schema& schema) {
  if (schema.Equals(*Schema::Objects())) return py::none();
  if (schema.shape() == RecordShape::kScalar) return DescriptionOfType(*schema.fields()[0].type);
  py::list names, types;
  for (const Field& field : schema.fields()) {
    names.append(field.name);
    types.append(DescriptionOfType(*field.type));
  }
  if (schema.shape() == RecordShape::kTuple) return py::make_tuple("tuple", py::tuple(types));
  return py::make_tuple("row", py::tuple(names), py::tuple(types));
}

}  // namespace headrace::bindings
