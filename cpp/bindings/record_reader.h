#pragma once

#include <Python.h>

#include "bindings/boxing.h"
#include "bindings/record_type.h"
#include "headrace/types/batch.h"

namespace headrace::bindings {

/// Reads records of batches as Python objects, one row at a time.
/// Threading: owned by one task thread, which holds the GIL.
class RecordReader {
 public:
  explicit RecordReader(RecordTypePtr type) : declared_(std::move(type)) {}

  /// Rows are read from `batch`, which must live until the next Bind. Cheap for the same schema.
  void Bind(const RecordBatch& batch);
  /// The record at `row`: a new reference, null with a Python error set.
  PyObject* Read(int64_t row) const {
    if (objects_ && !objects_->IsNull(row)) {
      // An exchange by key leaves gaps between the records of a batch, where the processor does not
      // see what comes next.
      if (row + kPrefetchRows < batch_->num_rows) {
        __builtin_prefetch(objects_->ObjectAt(row + kPrefetchRows), /*rw=*/1);
      }
      return Py_NewRef(static_cast<PyObject*>(objects_->ObjectAt(row)));
    }
    return ReadColumns(row);
  }

 private:
  static constexpr int64_t kPrefetchRows = 16;

  PyObject* ReadColumns(int64_t row) const;

  RecordTypePtr declared_;
  RecordTypePtr actual_;  // the declared type, or what the batches really have
  SchemaPtr bound_;
  const RecordBatch* batch_ = nullptr;
  const Column* objects_ = nullptr;  // the one column of opaque objects
};

}  // namespace headrace::bindings
