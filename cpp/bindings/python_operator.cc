#include "bindings/python_operator.h"

#include <algorithm>

#include "bindings/errors.h"
#include "bindings/value_encoder.h"
#include "headrace/types/value_codec.h"

namespace headrace::bindings {

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
  HR_RETURN_IF_ERROR(OpenUserObject(function_.get(), scope_));
  return OnOpen();
}

Result<Progress> PythonOperator::OnWatermark(TimestampMs watermark, Output&) {
  scope_->cursor.watermark = watermark;
  return Progress::kDone;
}

Status PythonOperator::Snapshot(uint64_t, OperatorState*) {
  if (scope_->cells.empty()) return Status::Ok();
  GilScope gil;
  return scope_->Flush();
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

Status PythonOperator::BindBatch(const RecordBatch& batch) {
  reader_.Bind(batch);
  if (batch_open_) return Status::Ok();
  row_ = 0;
  if (keyed()) HR_RETURN_IF_ERROR(LookUpKeys(batch));
  batch_open_ = true;
  return Status::Ok();
}

Status PythonOperator::LookUpKeys(const RecordBatch& batch) {
  if (!batch.key) return Status::Internal("a batch without keys came to a keyed operator");
  KeyDictionary& keys = context_.keyed_state->keys();
  const Column& column = *batch.key;
  ids_.resize(static_cast<size_t>(batch.num_rows));
  if (column.type->kind() != TypeKind::kObject) {
    return keys.LookupOrInsertBatch(column, 0, batch.num_rows, ids_.data());
  }
  for (int64_t row = 0; row < batch.num_rows; ++row) {
    PyObject* key = column.IsNull(row) ? Py_None : static_cast<PyObject*>(column.ObjectAt(row));
    KeyId& id = ids_[static_cast<size_t>(row)];
    if (PyLong_CheckExact(key)) {
      int overflow = 0;
      const long long number = PyLong_AsLongLongAndOverflow(key, &overflow);
      if (overflow == 0) {
        id = keys.LookupOrInsertInt(number);
        continue;
      }
    } else if (PyUnicode_CheckExact(key)) {
      Py_ssize_t size = 0;
      if (const char* utf8 = PyUnicode_AsUTF8AndSize(key, &size)) {
        id = keys.LookupOrInsertString({utf8, static_cast<size_t>(size)});
        continue;
      }
      PyErr_Clear();  // lone surrogates: left to the encoder
    }
    scratch_.Clear();
    HR_RETURN_IF_ERROR(EncodePythonKey(key, &scratch_).WithContext("key of a record"));
    id = keys.LookupOrInsertEncoded(scratch_.view());
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
