#include "bindings/keyed_value.h"

namespace headrace::bindings {
namespace {

// Widths that the native table has: 1, 4 and 8 bytes.
int WidthOf(TypeKind kind) {
  switch (kind) {
    case TypeKind::kBool:
    case TypeKind::kInt8:
      return 1;
    case TypeKind::kInt64:
    case TypeKind::kFloat64:
      return 8;
    default:
      return 4;
  }
}

}  // namespace

Result<KeyedValue> KeyedValue::Register(TaskScope* scope, const std::string& name,
                                        const std::string& fingerprint, const StateType& type) {
  KeyedState* state = scope->cursor.state;
  KeyedValue value;
  value.kind_ = type.data->kind();
  value.data_ = type.data;
  value.name_ = name;
  if (type.fixed()) {
    HR_ASSIGN_OR_RETURN(value.fixed_,
                        state->RegisterFixed(name, fingerprint, WidthOf(value.kind_)));
    return value;
  }
  HR_ASSIGN_OR_RETURN(RowState * rows, state->RegisterRows(name, fingerprint));
  // Two handles of one state must see the same live objects.
  for (const auto& cell : scope->cells) {
    if (cell->name() == name) value.cell_ = cell.get();
  }
  if (!value.cell_) {
    scope->cells.push_back(std::make_unique<ObjectCell>(rows, type, name));
    value.cell_ = scope->cells.back().get();
  }
  return value;
}

PyObject* KeyedValue::GetFixed(KeyId id) const {
  if (!fixed_->Has(id)) return nullptr;
  switch (kind_) {
    case TypeKind::kInt64:
      return PyLong_FromLong(fixed_->Get<int64_t>(id));
    case TypeKind::kFloat64:
      return PyFloat_FromDouble(fixed_->Get<double>(id));
    case TypeKind::kFloat32:
      return PyFloat_FromDouble(fixed_->Get<float>(id));
    case TypeKind::kBool:
      return PyBool_FromLong(fixed_->Get<int8_t>(id));
    case TypeKind::kInt8:
      return PyLong_FromLong(fixed_->Get<int8_t>(id));
    default:
      return PyLong_FromLong(fixed_->Get<int32_t>(id));
  }
}

bool KeyedValue::SetFixed(KeyId id, PyObject* value) const {
  const StateType type{data_, false};
  PyRef coerced = PyRef::Steal(CoerceForState(type, value, name_));
  if (!coerced) return false;
  switch (kind_) {
    case TypeKind::kFloat64:
      fixed_->Set<double>(id, PyFloat_AS_DOUBLE(coerced.get()));
      break;
    case TypeKind::kFloat32:
      fixed_->Set<float>(id, static_cast<float>(PyFloat_AS_DOUBLE(coerced.get())));
      break;
    case TypeKind::kInt64:
      fixed_->Set<int64_t>(id, PyLong_AsLongLong(coerced.get()));
      break;
    case TypeKind::kBool:
      fixed_->Set<int8_t>(id, coerced.get() == Py_True);
      break;
    case TypeKind::kInt8:
      fixed_->Set<int8_t>(id, static_cast<int8_t>(PyLong_AsLong(coerced.get())));
      break;
    default:
      fixed_->Set<int32_t>(id, static_cast<int32_t>(PyLong_AsLong(coerced.get())));
      break;
  }
  return true;
}

}  // namespace headrace::bindings
