#include "bindings/record_type.h"

namespace headrace::bindings {
namespace {

// The field names as a tuple of interned strs, so that Rows find them by identity.
PyRef NamesOf(const std::vector<Field>& fields) {
  PyRef names = PyRef::Steal(PyTuple_New(static_cast<Py_ssize_t>(fields.size())));
  for (size_t i = 0; i < fields.size(); ++i) {
    PyObject* name = PyUnicode_FromStringAndSize(fields[i].name.data(),
                                                 static_cast<Py_ssize_t>(fields[i].name.size()));
    PyUnicode_InternInPlace(&name);
    PyTuple_SET_ITEM(names.get(), static_cast<Py_ssize_t>(i), name);
  }
  return names;
}

}  // namespace

ValueTypePtr ValueTypeOf(const DataTypePtr& data, bool struct_as_tuple) {
  auto type = std::make_shared<ValueType>();
  type->data = data;
  switch (data->kind()) {
    case TypeKind::kStruct:
      if (!struct_as_tuple) type->names = NamesOf(data->children());
      for (const Field& field : data->children()) {
        type->children.push_back(ValueTypeOf(field.type, struct_as_tuple));
      }
      break;
    case TypeKind::kList:
      type->children.push_back(ValueTypeOf(data->children()[0].type, struct_as_tuple));
      break;
    case TypeKind::kMap:
      for (const Field& side : data->children()[0].type->children()) {
        type->children.push_back(ValueTypeOf(side.type, struct_as_tuple));
      }
      break;
    case TypeKind::kDictionary:
      type->children.push_back(ValueTypeOf(data->children()[1].type, struct_as_tuple));
      break;
    default:
      break;
  }
  return type;
}

RecordTypePtr RecordTypeOf(const SchemaPtr& schema) {
  auto type = std::make_shared<RecordType>();
  type->schema = schema;
  for (const Field& field : schema->fields()) type->columns.push_back(ValueTypeOf(field.type));
  if (schema->shape() == RecordShape::kRow) type->names = NamesOf(schema->fields());
  return type;
}

}  // namespace headrace::bindings
