#include "bindings/task_scope.h"

#include "bindings/boxing.h"
#include "bindings/errors.h"
#include "bindings/fold_functions.h"
#include "bindings/object_cell.h"
#include "bindings/value_decoder.h"

namespace headrace::bindings {

PyObject* KeyCursor::CurrentKey() const {
  if (key_column) {
    if (key_column->type->kind() == TypeKind::kObject && !key_column->IsNull(key_row)) {
      return Py_NewRef(static_cast<PyObject*>(key_column->ObjectAt(key_row)));
    }
    return BoxValue(*key_column, key_row, *ValueTypeOf(key_column->type, /*struct_as_tuple=*/true));
  }
  if (!state || id == kNoKey) return RaiseNoKey("the current key");
  const KeyDictionary& keys = state->keys();
  switch (keys.FormOf(id)) {
    case KeyDictionary::Form::kInt:
      return PyLong_FromLongLong(keys.IntOf(id));
    case KeyDictionary::Form::kString: {
      const std::string_view text = keys.BytesOf(id);
      return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict");
    }
    case KeyDictionary::Form::kEncoded:
      break;
  }
  Result<PyRef> key = DecodePython(keys.EncodedKey(id));
  if (key.ok()) return key->Release();
  SetPythonError(key.status());
  return nullptr;
}

TaskScope::TaskScope(const OperatorContext& operator_context) : context(operator_context) {
  cursor.state = context.keyed_state;
  if (cursor.state == nullptr || !cursor.state->caches_rows()) return;
  cursor.state->keys().SetReleaseListener([this](KeyId id) {
    for (const auto& cell : cells) cell->ForgetKey(id);
  });
}

TaskScope::~TaskScope() = default;

Status TaskScope::Flush() {
  for (const auto& cell : cells) HR_RETURN_IF_ERROR(cell->Flush());
  for (const auto& rows : timed_rows) rows->BeforeSnapshot();
  return Status::Ok();
}

TtlRows* TaskScope::TimedRows(RowState* rows, const TimeToLive& ttl, TtlRows::Layout layout) {
  if (!ttl.enabled()) return nullptr;
  Env* env = context.env ? context.env : &RealEnv();
  timed_rows.push_back(
      std::make_unique<TtlRows>(rows, ttl, layout, env, ColdSweep::Make(cursor.state, rows)));
  return timed_rows.back().get();
}

void TaskScope::Close() {
  if (cursor.state != nullptr && cursor.state->caches_rows()) {
    cursor.state->keys().SetReleaseListener(nullptr);
  }
  for (const auto& cell : cells) cell->Forget();
  cursor = KeyCursor();
  folds.clear();
  timed_rows.clear();
  operator_states.Clear();
  closed = true;
  context.keyed_state = nullptr;
  context.operator_state = nullptr;
  context.metrics = nullptr;
  context.job_parameters = nullptr;
}

PyObject* RaiseNoKey(const std::string& what) {
  return PyErr_Format(
      FailedPreconditionClass(),
      "%s was used while no record and no timer is processed: there is no current "
      "key (use it in process_element, on_timer and the like, not in open or close)",
      what.c_str());
}

PyObject* RaiseClosed(const std::string& what) {
  return PyErr_Format(FailedPreconditionClass(),
                      "%s was used after the task it belongs to had closed; ask for state anew in "
                      "each attempt",
                      what.c_str());
}

}  // namespace headrace::bindings
