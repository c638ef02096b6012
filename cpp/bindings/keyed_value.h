#pragma once

#include <Python.h>

#include <string>

#include "bindings/object_cell.h"
#include "bindings/state_type.h"
#include "bindings/task_scope.h"

namespace headrace::bindings {

/// One value for each key: numbers and bools as native values in a column by key id, anything else
/// as an ObjectCell. Copies share the values.
/// Threading: owned by one task thread, which holds the GIL.
class KeyedValue {
 public:
  KeyedValue() = default;
  /// Registers values of `type` under `name`. kInvalidArgument when the name has another
  /// fingerprint already.
  static Result<KeyedValue> Register(TaskScope* scope, const std::string& name,
                                     const std::string& fingerprint, const StateType& type);

  /// New reference; null when there is none (no error set) or on failure (error set).
  PyObject* Get(KeyId id) const { return fixed_ ? GetFixed(id) : cell_->Get(id); }
  /// False with a Python error set when the value does not fit or has no encoding. REQUIRES: not
  /// None.
  bool Set(KeyId id, PyObject* value) const {
    if (!fixed_) return cell_->Set(id, value);
    if (kind_ == TypeKind::kInt64 && PyLong_CheckExact(value)) {
      fixed_->Set<int64_t>(id, static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(value)));
      return true;
    }
    return SetFixed(id, value);
  }
  void Clear(KeyId id) const {
    if (fixed_) {
      fixed_->Clear(id);
    } else {
      cell_->Clear(id);
    }
  }

 private:
  PyObject* GetFixed(KeyId id) const;
  bool SetFixed(KeyId id, PyObject* value) const;

  TypeKind kind_ = TypeKind::kNull;
  FixedValueState* fixed_ = nullptr;
  ObjectCell* cell_ = nullptr;  // owned by the scope
  std::string name_;
  DataTypePtr data_;
};

}  // namespace headrace::bindings
