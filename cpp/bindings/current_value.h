#pragma once

#include <Python.h>

#include <string>
#include <string_view>

#include "bindings/keyed_value.h"
#include "bindings/row_value.h"
#include "bindings/state_use.h"

namespace headrace::bindings {

/// What a handle with one value shows: the value of the key at work, or of its window.
/// Threading: owned by one task thread, which holds the GIL.
class CurrentValue {
 public:
  /// Registers "`kind`<type>" under `name`, e.g. "value<int64>". kInvalidArgument when the name has
  /// another type already.
  static Result<CurrentValue> Register(const TaskScopePtr& scope, const std::string& name,
                                       std::string_view kind, const StateType& type,
                                       const StateUse& use);

  /// False while no record and no timer is processed: nothing else may be called.
  bool has_key() const { return cursor_->id != kNoKey; }
  /// New reference; null when there is none (no error set) or on failure (error set).
  PyObject* Get() const {
    if (__builtin_expect(static_cast<bool>(rows_), 0)) return rows_.Get(*cursor_);
    return values_.Get(cursor_->id);
  }
  /// False with a Python error set when the value does not fit or has no encoding. REQUIRES: not
  /// None.
  bool Set(PyObject* value) const {
    if (__builtin_expect(static_cast<bool>(rows_), 0)) return rows_.Set(*cursor_, value);
    return values_.Set(cursor_->id, value);
  }
  void Clear() const {
    if (rows_) {
      rows_.Clear(*cursor_);
    } else {
      values_.Clear(cursor_->id);
    }
  }

 private:
  const KeyCursor* cursor_ = nullptr;
  KeyedValue values_;
  RowValue rows_;  // in place of values_ when it is there
};

}  // namespace headrace::bindings
