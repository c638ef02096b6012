#include "bindings/state_evolution.h"

#include <pybind11/pybind11.h>

#include <cstring>

#include "bindings/errors.h"
#include "bindings/value_encoder.h"
#include "headrace/state/keyed_state_migration.h"
#include "headrace/types/schema_evolution.h"
#include "headrace/types/type_text.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

Result<std::string> EncodedDefault(const py::handle& value) {
  ByteWriter encoded;
  HR_RETURN_IF_ERROR(EncodePython(value.ptr(), &encoded));
  return encoded.Take();
}

Result<RowHistory> HistoryOfRow(const py::dict& said) {
  RowHistory history;
  for (const auto& [field, former] : py::cast<py::dict>(said["renamed"])) {
    history.renamed[py::cast<std::string>(field)] = py::cast<std::string>(former);
  }
  for (const auto& field : py::cast<py::tuple>(said["dropped"])) {
    history.dropped.insert(py::cast<std::string>(field));
  }
  for (const auto& [field, value] : py::cast<py::dict>(said["defaults"])) {
    HR_ASSIGN_OR_RETURN(history.defaults[py::cast<std::string>(field)], EncodedDefault(value));
  }
  return history;
}

// The type's part of a stored fingerprint; "" when it is of another kind of state.
std::string StoredTypeText(const std::string& fingerprint, const std::string& before,
                           const std::string& after) {
  if (fingerprint.size() < before.size() + after.size() || !fingerprint.starts_with(before) ||
      !fingerprint.ends_with(after)) {
    return "";
  }
  return fingerprint.substr(before.size(), fingerprint.size() - before.size() - after.size());
}

template <typename From, typename To>
void Widen(const char* from, char* to) {
  From value;
  std::memcpy(&value, from, sizeof value);
  const To wide = value;
  std::memcpy(to, &wide, sizeof wide);
}

// Native values have 1, 4 or 8 bytes: see KeyedValue.
int WidthOf(const DataType& type) {
  const bool wide = type.kind() == TypeKind::kInt64 || type.kind() == TypeKind::kFloat64;
  return type.kind() == TypeKind::kInt8 || type.kind() == TypeKind::kBool ? 1 : wide ? 8 : 4;
}

Widening WideningOf(const DataType& from, int to_bytes) {
  if (from.is_floating()) {
    return from.kind() == TypeKind::kFloat32 && to_bytes == 8 ? &Widen<float, double>
                                                              : &Widen<double, double>;
  }
  const bool byte = from.kind() == TypeKind::kInt8;
  if (from.kind() == TypeKind::kInt64) return &Widen<int64_t, int64_t>;
  if (to_bytes == 8) return byte ? &Widen<int8_t, int64_t> : &Widen<int32_t, int64_t>;
  return byte ? &Widen<int8_t, int32_t> : &Widen<int32_t, int32_t>;
}

Result<SchemaEvolution::History> HistoryOf(PyObject* type_info) {
  SchemaEvolution::History history;
  if (PyObject_HasAttrString(type_info, "_history") == 0) return history;
  const auto said =
      py::reinterpret_steal<py::object>(PyObject_CallMethod(type_info, "_history", nullptr));
  if (!said) return StatusFromPython(StatusCode::kInvalidArgument, "the history of a type");
  try {
    for (const auto& [path, row] : py::reinterpret_borrow<py::dict>(said)) {
      HR_ASSIGN_OR_RETURN(history[py::cast<std::string>(path)],
                          HistoryOfRow(py::reinterpret_borrow<py::dict>(row)));
    }
  } catch (py::error_already_set& error) {
    error.restore();
    return StatusFromPython(StatusCode::kInvalidArgument, "the history of a type");
  }
  return history;
}

}  // namespace

Status EvolveStoredState(KeyedState* state, const std::string& name, const std::string& before,
                         const StateType& type, PyObject* type_info, const std::string& after) {
  const UnclaimedState stored = FindUnclaimed(*state, name);
  const std::string declared = before + type.Name() + after;
  if (stored.fingerprint.empty() || stored.fingerprint == declared || type.pickled) {
    return Status::Ok();
  }
  const std::string text = StoredTypeText(stored.fingerprint, before, after);
  const Result<DataTypePtr> former = ParseTypeText(text);
  // A type whose text does not tell all about it is only ever itself.
  if (!former.ok()) return Status::Ok();
  HR_ASSIGN_OR_RETURN(const SchemaEvolution::History history, HistoryOf(type_info));
  const Result<SchemaEvolution> evolution = SchemaEvolution::Make(**former, *type.data, history);
  if (!evolution.ok()) {
    return Status::InvalidArgument("state '" + name + "' is stored as " + stored.fingerprint +
                                   " and declared as " + declared + ": " +
                                   evolution.status().message());
  }
  if (stored.kind == TableKind::kFixedValue) {
    const int width = WidthOf(*type.data);
    MigrateFixed(state, name, declared, width, WideningOf(**former, width));
    return Status::Ok();
  }
  if (stored.kind != TableKind::kRows) return Status::Ok();
  return MigrateRows(state, name, declared, [&](std::string_view value, ByteWriter* out) {
    ByteReader in(value);
    while (!in.done()) HR_RETURN_IF_ERROR(evolution->Migrate(&in, out));
    return Status::Ok();
  });
}

}  // namespace headrace::bindings
