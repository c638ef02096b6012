#pragma once

#include <Python.h>

#include <memory>
#include <vector>

#include "bindings/gil.h"
#include "headrace/types/schema.h"

namespace headrace::bindings {

struct ValueType;
using ValueTypePtr = std::shared_ptr<const ValueType>;

/// A column type with what its values need in Python: the name tuple that Rows of a struct share.
/// Immutable.
struct ValueType {
  DataTypePtr data;
  std::vector<ValueTypePtr> children;  ///< list, dictionary: item; map: key, value; struct: fields
  PyRef names;                         ///< struct: tuple of str; null when its values are tuples
};

/// The records of a stream: its schema, and the Python side of each column. Immutable.
struct RecordType {
  SchemaPtr schema;
  std::vector<ValueTypePtr> columns;
  PyRef names;  ///< rows: tuple of str

  /// One opaque object a record.
  bool objects() const {
    return schema->shape() == RecordShape::kScalar && columns[0]->data->kind() == TypeKind::kObject;
  }
};
using RecordTypePtr = std::shared_ptr<const RecordType>;

/// Structs become Rows, or tuples when `struct_as_tuple` (keys of several fields). REQUIRES: the
/// GIL is held.
ValueTypePtr ValueTypeOf(const DataTypePtr& type, bool struct_as_tuple = false);
RecordTypePtr RecordTypeOf(const SchemaPtr& schema);

}  // namespace headrace::bindings
