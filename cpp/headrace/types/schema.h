#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/types/data_type.h"

namespace headrace {

/// How the columns of a batch make up one record as user code sees it.
enum class RecordShape : uint8_t {
  kScalar,  ///< one column; the record is its value (also: one object column = any host value)
  kTuple,   ///< the record is a tuple of the columns
  kRow,     ///< the record is a Row whose fields are the columns
};

/// The columns of a stream's batches. Threading: immutable.
class Schema {
 public:
  Schema(RecordShape shape, std::vector<Field> fields);

  RecordShape shape() const { return shape_; }
  const std::vector<Field>& fields() const { return fields_; }
  size_t size() const { return fields_.size(); }
  /// Index of the field, or -1.
  int IndexOf(std::string_view name) const;
  /// Index of the field; kInvalidArgument naming the field and the fields there are.
  Result<int> Require(std::string_view name) const;
  std::string ToString() const;
  bool Equals(const Schema& other) const;

  /// One column `value` of opaque objects: a stream without a declared type.
  static std::shared_ptr<const Schema> Objects();

 private:
  RecordShape shape_;
  std::vector<Field> fields_;
};
using SchemaPtr = std::shared_ptr<const Schema>;

}  // namespace headrace
