#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "headrace/types/column.h"

namespace headrace {

/// Collects values and makes a column of them. Reusable after Finish().
///
/// Calling an Append that does not fit the type is a bug (HR_CHECK), as are 2^31 or more bytes of
/// strings or items of lists in one column.
/// Threading: owned by one thread.
class ColumnBuilder {
 public:
  virtual ~ColumnBuilder() = default;
  /// One for any type but kForeign and kDictionary.
  static Result<std::unique_ptr<ColumnBuilder>> Make(const DataTypePtr& type);

  virtual void AppendNull() = 0;
  /// Integers, dates, timestamps, bool; the value must fit (checked by the caller).
  virtual void AppendInt(int64_t value);
  virtual void AppendFloat(double value);
  virtual void AppendString(std::string_view value);
  /// REQUIRES: list, map: values were appended to children()[0] since the last call.
  virtual void CloseList();
  /// REQUIRES: struct: one value was appended to each child.
  virtual void CloseStruct();
  /// Children builders of nested types.
  virtual const std::vector<std::unique_ptr<ColumnBuilder>>& children() const;
  /// 16 bytes little-endian of a decimal128.
  virtual void AppendFixedBytes(std::string_view value);
  /// Object columns: takes over one reference.
  virtual void AppendObject(Object owned, ObjectHooks* hooks);
  /// Copies a value of a column of the same type, or of a dictionary of that type (whose indices
  /// must be in range); objects are shared through their hooks.
  virtual void AppendFrom(const Column& column, int64_t row) = 0;

  virtual int64_t length() const = 0;
  virtual ColumnPtr Finish() = 0;
};

}  // namespace headrace
