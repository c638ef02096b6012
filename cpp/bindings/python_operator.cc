#include "bindings/python_operator.h"

#include <algorithm>

#include "bindings/errors.h"
#include "bindings/plain_keys.h"
#include "bindings/value_encoder.h"
#include "headrace/types/value_codec.h"

namespace headrace::bindings {
namespace {

// Keys that are looked up together.
constexpr int64_t kKeysMax = 64;
// Keys ahead that are on their way to the cache.
constexpr int64_t kKeysAhead = 16;

}  // namespace

PyObject* PythonOperatorSpec::Option(const char* name) const {
  PyObject* value = PyDict_GetItemString(options.get(), name);
  return value == Py_None ? nullptr : value;
}

std::string PythonOperatorSpec::TextOption(const char* name) const {
  PyObject* value = Option(name);
  return value ? TextOf(value) : std::string();
}

Status PythonOperator::Open(const OperatorContext& context) {
  GilScope gil;
  HR_RETURN_IF_ERROR(Operator::Open(context));
  scope_ = std::make_shared<TaskScope>(context);
  if (context.operator_state) {
    HR_RETURN_IF_ERROR(scope_->operator_states.Load(*context.operator_state));
  }
  HR_RETURN_IF_ERROR(checkpointed_.Initialize(function_.get(), scope_));
  HR_RETURN_IF_ERROR(OpenUserObject(function_.get(), scope_));
  return OnOpen();
}

Result<Progress> PythonOperator::OnWatermark(TimestampMs watermark, Output&) {
  scope_->cursor.watermark = watermark;
  return Progress::kDone;
}

Status PythonOperator::Snapshot(uint64_t checkpoint_id, OperatorState* state) {
  if (!scope_->cells.empty() || !scope_->timed_rows.empty() || checkpointed_) {
    GilScope gil;
    HR_RETURN_IF_ERROR(checkpointed_.Snapshot(checkpoint_id, scope_));
    HR_RETURN_IF_ERROR(scope_->Flush());
  }
  scope_->operator_states.Save(state);
  return Status::Ok();
}

Status PythonOperator::FlushState() {
  if (scope_->cells.empty()) return Status::Ok();
  GilScope gil;
  for (const auto& cell : scope_->cells) HR_RETURN_IF_ERROR(cell->Flush());
  return Status::Ok();
}

std::vector<StateRegistration> PythonOperator::OperatorStateRegistry() const {
  return scope_->operator_states.Registry();
}

Status PythonOperator::Close() {
  if (InterpreterIsEnding()) return Status::Ok();
  GilScope gil;
  if (!scope_) return Status::Ok();
  MoveAway();
  Status status = CloseUserObject(function_.get());
  scope_->Close();
  return status;
}

Status PythonOperator::BindBatch(const RecordBatch& batch, RecordReader* reader, bool with_keys) {
  reader->Bind(batch);
  if (batch_open_) return Status::Ok();
  row_ = 0;
  ids_.clear();
  if (with_keys) HR_RETURN_IF_ERROR(LookUpKeys(batch));
  batch_open_ = true;
  return Status::Ok();
}

Status PythonOperator::LookUpKeys(const RecordBatch& batch) {
  if (!batch.key) return Status::Internal("a batch without keys came to a keyed operator");
  KeyDictionary& keys = context_.keyed_state->keys();
  keys.BeginBatch();
  const Status status = LookUpKeys(batch, &keys);
  keys.EndBatch();
  return status;
}

Status PythonOperator::LookUpKeys(const RecordBatch& batch, KeyDictionary* dictionary) {
  KeyDictionary& keys = *dictionary;
  const Column& column = *batch.key;
  ids_.resize(static_cast<size_t>(batch.num_rows));
  if (column.type->kind() != TypeKind::kObject) {
    return keys.LookupOrInsertBatch(column, 0, batch.num_rows, ids_.data());
  }
  const int64_t rows = batch.num_rows;
  const auto key_at = [&column, rows](int64_t row) {
    if (row + kKeysAhead < rows) __builtin_prefetch(column.ObjectAt(row + kKeysAhead));
    return column.IsNull(row) ? Py_None : static_cast<PyObject*>(column.ObjectAt(row));
  };
  for (int64_t row = 0; row < batch.num_rows;) {
    const int64_t left = std::min(batch.num_rows - row, kKeysMax);
    KeyId* ids = ids_.data() + row;
    // Runs of small ints and of strs, the usual keys, go to the dictionary together.
    int64_t numbers[kKeysMax];
    int64_t run = 0;
    while (run < left && ReadIntKey(key_at(row + run), &numbers[run])) ++run;
    keys.LookupOrInsertInts(numbers, run, ids);
    if (run == 0) {
      std::string_view texts[kKeysMax];
      while (run < left && ReadStrKey(key_at(row + run), &texts[run])) ++run;
      keys.LookupOrInsertStrings(texts, run, ids);
    }
    if (run == 0) {
      scratch_.Clear();
      const Status status = EncodePythonKey(key_at(row), &scratch_);
      if (!status.ok()) {
        const PyRef record = PyRef::Steal(reader_.Read(row));
        if (!record) return UnreadableRecord();
        return status.WithContext("key of record " + ShortRepr(record.get()));
      }
      ids[run++] = keys.LookupOrInsertEncoded(scratch_.view());
    }
    row += run;
  }
  return Status::Ok();
}

void PythonOperator::PrefetchState(int64_t first_row) {
  const int64_t left = static_cast<int64_t>(ids_.size()) - first_row;
  for (const auto& cell : scope_->cells) {
    cell->Prefetch(ids_.data() + first_row, std::min(left, ObjectCell::kPrefetchMax));
  }
}

Status PythonOperator::UnreadableRecord() {
  return StatusFromPython(StatusCode::kInvalidArgument, "a record cannot be read");
}

}  // namespace headrace::bindings
