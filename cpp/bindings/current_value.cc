#include "bindings/current_value.h"

namespace headrace::bindings {

Result<CurrentValue> CurrentValue::Register(const TaskScopePtr& scope, const std::string& name,
                                            std::string_view kind, const StateType& type,
                                            const StateUse& use) {
  CurrentValue value;
  value.cursor_ = &scope->cursor;
  const std::string fingerprint = use.Fingerprint(std::string(kind) + "<" + type.Name() + ">");
  if (use.per_window || use.ttl.enabled()) {
    HR_ASSIGN_OR_RETURN(RowState * rows, scope->cursor.state->RegisterRows(name, fingerprint));
    TtlRows* ttl = scope->TimedRows(rows, use.ttl, TtlRows::Layout::kValues);
    value.rows_ = RowValue(rows, ttl, type, name, use.per_window);
    return value;
  }
  HR_ASSIGN_OR_RETURN(value.values_, KeyedValue::Register(scope.get(), name, fingerprint, type));
  return value;
}

}  // namespace headrace::bindings
