#include "bindings/state_evolution.h"

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

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

// The types' part of a stored fingerprint; "" when it is of another kind of state.
std::string StoredTypesText(const std::string& fingerprint, const std::string& kind,
                            const StateUse& use) {
  const std::string around = use.Fingerprint(kind + "<>");
  const size_t before = around.find('>');
  const size_t after = around.size() - before;
  if (fingerprint.size() < around.size() ||
      fingerprint.substr(0, before) != around.substr(0, before) ||
      !fingerprint.ends_with(around.substr(before))) {
    return "";
  }
  return fingerprint.substr(before, fingerprint.size() - before - after);
}

// The types of a stored state; kUnimplemented where their text does not tell all about them.
struct FormerTypes {
  DataTypePtr key;  // of a map
  DataTypePtr value;
};
Result<FormerTypes> ParseFormerTypes(std::string_view text, bool has_key) {
  FormerTypes former;
  if (has_key) {
    // Where a name holds brackets or commas the pieces are no types.
    size_t at = 0;
    for (int depth = 0; at < text.size() && (depth > 0 || text[at] != ','); ++at) {
      depth += text[at] == '<' ? 1 : text[at] == '>' ? -1 : 0;
    }
    HR_ASSIGN_OR_RETURN(former.key, ParseTypeText(text.substr(0, at)));
    text.remove_prefix(std::min(text.size(), at + 2));
  }
  HR_ASSIGN_OR_RETURN(former.value, ParseTypeText(text));
  return former;
}

// What stored rows look like: see RowState, TtlRows and list_rows.h.
Status MigrateRow(const SchemaEvolution& evolution, bool list, bool timed, std::string_view row,
                  ByteWriter* out) {
  ByteReader in(row);
  std::string_view time;
  if (!list) {
    if (timed) {
      HR_RETURN_IF_ERROR(in.Raw(sizeof(int64_t), &time));
      out->Raw(time);
    }
    HR_RETURN_IF_ERROR(evolution.Migrate(&in, out));
    return in.ExpectDone();
  }
  ByteWriter migrated;
  while (!in.done()) {
    if (!timed) {
      HR_RETURN_IF_ERROR(evolution.Migrate(&in, out));
      continue;
    }
    std::string_view element;
    HR_RETURN_IF_ERROR(in.Raw(sizeof(int64_t), &time));
    HR_RETURN_IF_ERROR(in.String(&element));
    ByteReader value(element);
    migrated.Clear();
    HR_RETURN_IF_ERROR(evolution.Migrate(&value, &migrated));
    HR_RETURN_IF_ERROR(value.ExpectDone());
    out->Raw(time);
    out->String(migrated.view());
  }
  return Status::Ok();
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

// How a stored state becomes the declared one.
struct Plan {
  std::string declared;  // fingerprint; "" = there is nothing to do, or nothing that can be done
  FormerTypes former;
  std::optional<SchemaEvolution> evolution;
};

Result<Plan> MakePlan(const std::string& name, const std::string& stored, const std::string& kind,
                      const DeclaredType* key, const DeclaredType& value, const StateUse& use) {
  Plan plan;
  const std::string types = (key ? key->type.Name() + ", " : "") + value.type.Name();
  const std::string declared = use.Fingerprint(kind + "<" + types + ">");
  if (stored.empty() || stored == declared || value.type.pickled || (key && key->type.pickled)) {
    return plan;
  }
  Result<FormerTypes> former = ParseFormerTypes(StoredTypesText(stored, kind, use), key != nullptr);
  // A type whose text does not tell all about it is only ever itself.
  if (!former.ok()) return plan;
  plan.former = std::move(*former);
  const auto refused = [&](const std::string& why) {
    return Status::InvalidArgument("state '" + name + "' is stored as " + stored +
                                   " and declared as " + declared + ": " + why);
  };
  if (key) {
    const Result<SchemaEvolution> keys =
        SchemaEvolution::Make(*plan.former.key, *key->type.data, {});
    if (!keys.ok()) return refused("its keys: " + keys.status().message());
    // Entries are found by the bytes of their keys.
    if (keys->rewrites()) return refused("its keys: rows that are keys keep their fields");
  }
  HR_ASSIGN_OR_RETURN(const SchemaEvolution::History history, HistoryOf(value.type_info));
  Result<SchemaEvolution> evolution =
      SchemaEvolution::Make(*plan.former.value, *value.type.data, history);
  if (!evolution.ok()) return refused(evolution.status().message());
  plan.evolution = std::move(*evolution);
  plan.declared = declared;
  return plan;
}

Status MigrateItem(const SchemaEvolution& evolution, std::string* item) {
  ByteWriter migrated;
  HR_RETURN_IF_ERROR(MigrateRow(evolution, /*list=*/false, /*timed=*/false, *item, &migrated));
  *item = migrated.Take();
  return Status::Ok();
}

// "" when nothing was restored under the name, or a user function has asked for it already.
std::string UnclaimedFingerprint(const OperatorStateStore& store, const std::string& name) {
  for (const std::vector<std::string>& claimed : {store.ListNames(), store.MapNames()}) {
    if (std::find(claimed.begin(), claimed.end(), name) != claimed.end()) return "";
  }
  for (const StateRegistration& state : store.Registry()) {
    if (state.name == name) return state.fingerprint;
  }
  return "";
}

}  // namespace

Status EvolveStoredState(KeyedState* state, const std::string& name, const std::string& kind,
                         const DeclaredType* key, const DeclaredType& value, const StateUse& use) {
  const UnclaimedState stored = FindUnclaimed(*state, name);
  HR_ASSIGN_OR_RETURN(const Plan plan, MakePlan(name, stored.fingerprint, kind, key, value, use));
  if (plan.declared.empty()) return Status::Ok();
  if (stored.kind == TableKind::kFixedValue) {
    const int width = WidthOf(*value.type.data);
    return MigrateFixed(state, name, plan.declared, width, WideningOf(*plan.former.value, width));
  }
  if (stored.kind != TableKind::kRows) return Status::Ok();
  const bool list = kind == "list";
  return MigrateRows(state, name, plan.declared, [&](std::string_view row, ByteWriter* out) {
    return MigrateRow(*plan.evolution, list, use.ttl.enabled(), row, out);
  });
}

Status EvolveStoredList(OperatorStateStore* store, const std::string& name,
                        Redistribution redistribution, const DeclaredType& element) {
  const bool all = redistribution == Redistribution::kUnion;
  HR_ASSIGN_OR_RETURN(const Plan plan, MakePlan(name, UnclaimedFingerprint(*store, name),
                                                all ? "union-list" : "list", nullptr, element, {}));
  if (plan.declared.empty()) return Status::Ok();
  HR_ASSIGN_OR_RETURN(OperatorList * list,
                      store->List(name, redistribution, StateType{plan.former.value, false}));
  for (std::string& item : list->items) HR_RETURN_IF_ERROR(MigrateItem(*plan.evolution, &item));
  list->fingerprint = plan.declared;
  return Status::Ok();
}

Status EvolveStoredMap(OperatorStateStore* store, const std::string& name, const DeclaredType& key,
                       const DeclaredType& value) {
  HR_ASSIGN_OR_RETURN(const Plan plan, MakePlan(name, UnclaimedFingerprint(*store, name),
                                                "broadcast", &key, value, {}));
  if (plan.declared.empty()) return Status::Ok();
  HR_ASSIGN_OR_RETURN(OperatorMap * map, store->Map(name, StateType{plan.former.key, false},
                                                    StateType{plan.former.value, false}));
  for (auto& [_, item] : map->entries) HR_RETURN_IF_ERROR(MigrateItem(*plan.evolution, &item));
  map->fingerprint = plan.declared;
  return Status::Ok();
}

}  // namespace headrace::bindings
