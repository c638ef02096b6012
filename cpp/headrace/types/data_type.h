#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "headrace/base/status.h"

namespace headrace {

/// The physical and logical kinds a column can have; layouts are Arrow's.
enum class TypeKind : uint8_t {
  kNull = 0,
  kBool,  ///< one bit a value
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat32,
  kFloat64,
  kString,      ///< int32 offsets + UTF-8
  kBinary,      ///< int32 offsets + bytes
  kDate32,      ///< int32 days since 1970-01-01
  kTime64,      ///< int64 microseconds since midnight
  kTimestamp,   ///< int64 in the unit that the Arrow format names
  kDuration,    ///< int64 in the unit that the Arrow format names
  kDecimal128,  ///< 16 bytes
  kList,        ///< int32 offsets + one child
  kMap,         ///< int32 offsets + one struct child (key, value)
  kStruct,      ///< children
  kDictionary,  ///< integer indices + Column::dictionary; children: index type, value type
  kForeign,     ///< an Arrow layout carried through untouched; no operator looks inside
  kObject,      ///< opaque values of the host language, see object_block.h
};

class DataType;
using DataTypePtr = std::shared_ptr<const DataType>;

/// A named, typed column of a schema or child of a nested type.
struct Field {
  std::string name;
  DataTypePtr type;
  bool nullable = true;
};

/// A data type: kind, the exact Arrow format string (so that what came in goes out unchanged),
/// children.
/// Threading: immutable.
class DataType {
 public:
  DataType(TypeKind kind, std::string arrow_format, std::vector<Field> children = {});

  TypeKind kind() const { return kind_; }
  const std::string& arrow_format() const { return arrow_format_; }
  const std::vector<Field>& children() const { return children_; }
  /// Bytes of one value of a fixed-width kind (bool: 0, as it is bits), 0 for the others.
  int fixed_width() const;
  bool is_integer() const { return kind_ >= TypeKind::kInt8 && kind_ <= TypeKind::kInt64; }
  bool is_floating() const { return kind_ == TypeKind::kFloat32 || kind_ == TypeKind::kFloat64; }
  /// "int64", "list<string>", "struct<a: int64, b: object>": used in messages and schema
  /// fingerprints.
  std::string ToString() const;
  bool Equals(const DataType& other) const;

 private:
  TypeKind kind_;
  std::string arrow_format_;
  std::vector<Field> children_;
};

/// Shared instances of the types without parameters.
DataTypePtr Int64Type();
DataTypePtr Int32Type();
DataTypePtr Int16Type();
DataTypePtr Int8Type();
DataTypePtr Float64Type();
DataTypePtr Float32Type();
DataTypePtr BoolType();
DataTypePtr StringType();
DataTypePtr BinaryType();
DataTypePtr Date32Type();
DataTypePtr Time64Type();
DataTypePtr TimestampMsType();
DataTypePtr ObjectType();
DataTypePtr ListType(Field item);
DataTypePtr StructType(std::vector<Field> fields);

}  // namespace headrace
