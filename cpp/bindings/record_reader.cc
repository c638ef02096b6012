#include "bindings/record_reader.h"

#include "bindings/row_type.h"

namespace headrace::bindings {

void RecordReader::Bind(const RecordBatch& batch) {
  batch_ = &batch;
  if (batch.schema != bound_ || !actual_) {
    bound_ = batch.schema;
    // Batches may have physical types that the declaration does not know (dictionaries, time
    // units).
    actual_ = bound_->Equals(*declared_->schema) ? declared_ : RecordTypeOf(bound_);
  }
  objects_ = actual_->objects() ? batch.columns[0].get() : nullptr;
}

PyObject* RecordReader::ReadColumns(int64_t row) const {
  const auto size = static_cast<Py_ssize_t>(actual_->columns.size());
  switch (bound_->shape()) {
    case RecordShape::kScalar:
      return BoxValue(*batch_->columns[0], row, *actual_->columns[0]);
    case RecordShape::kTuple: {
      PyRef tuple = PyRef::Steal(PyTuple_New(size));
      for (Py_ssize_t i = 0; tuple && i < size; ++i) {
        const auto c = static_cast<size_t>(i);
        PyObject* value = BoxValue(*batch_->columns[c], row, *actual_->columns[c]);
        if (!value) return nullptr;
        PyTuple_SET_ITEM(tuple.get(), i, value);
      }
      return tuple.Release();
    }
    case RecordShape::kRow:
      break;
  }
  PyRef record = PyRef::Steal(NewRow(actual_->names.get(), size, 0));
  for (Py_ssize_t i = 0; record && i < size; ++i) {
    const auto c = static_cast<size_t>(i);
    PyObject* value = BoxValue(*batch_->columns[c], row, *actual_->columns[c]);
    if (!value) return nullptr;
    AsRow(record.get())->values[i] = value;
  }
  return record.Release();
}

}  // namespace headrace::bindings
