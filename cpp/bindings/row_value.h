#pragma once

#include <Python.h>

#include <string>

#include "bindings/state_type.h"
#include "bindings/task_scope.h"
#include "headrace/state/row_state.h"
#include "headrace/state/ttl_rows.h"

namespace headrace::bindings {

/// One Python value for each key, or for each window of a key, as an encoded row: decoded at each
/// read, encoded at each write. For values that KeyedValue does not keep: those of windows, and
/// those with a time to live.
/// Threading: owned by one task thread, which holds the GIL.
class RowValue {
 public:
  RowValue() = default;
  /// `ttl`: null for values that live for ever.
  RowValue(RowState* rows, TtlRows* ttl, StateType type, std::string name, bool per_window)
      : rows_(rows),
        ttl_(ttl),
        type_(std::move(type)),
        name_(std::move(name)),
        per_window_(per_window) {}

  /// Whose value it is stands in `cursor`, which has a key. New reference; null when there is none
  /// (no error set) or on failure (error set).
  PyObject* Get(const KeyCursor& cursor) const;
  /// False with a Python error set when the value does not fit or has no encoding. REQUIRES: not
  /// None.
  bool Set(const KeyCursor& cursor, PyObject* value) const;
  void Clear(const KeyCursor& cursor) const;

  explicit operator bool() const { return rows_ != nullptr; }

 private:
  std::string_view NamespaceOf(const KeyCursor& cursor) const {
    return per_window_ ? cursor.ns : std::string_view();
  }

  RowState* rows_ = nullptr;
  TtlRows* ttl_ = nullptr;
  StateType type_;
  std::string name_;
  bool per_window_ = false;
};

}  // namespace headrace::bindings
