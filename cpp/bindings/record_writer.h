#pragma once

#include <Python.h>

#include <memory>
#include <vector>

#include "bindings/boxing.h"
#include "bindings/record_type.h"
#include "headrace/types/batch.h"

namespace headrace::bindings {

/// Collects Python records and makes batches of them.
/// Threading: owned by one task thread, which holds the GIL while it appends.
class RecordWriter {
 public:
  explicit RecordWriter(RecordTypePtr type);
  ~RecordWriter();

  /// Appends a record, taking over the reference; kInvalidArgument when it does not fit the type.
  Status Append(PyObject* owned, TimestampMs timestamp) {
    if (has_timestamps_) {
      timestamps_.push_back(timestamp);
    } else if (timestamp != kNoTimestamp) {
      BeginTimestamps(timestamp);
    }
    ++rows_;
    if (objects_only_) {
      objects_.push_back(owned);
      return Status::Ok();
    }
    return AppendColumns(owned);
  }

  int64_t rows() const { return rows_; }
  /// The rows since the last Finish(). Without any timestamp the batch carries none.
  RecordBatch Finish();
  const RecordTypePtr& type() const { return type_; }

 private:
  void BeginTimestamps(TimestampMs timestamp);
  Status AppendColumns(PyObject* owned);
  Status AppendFields(PyObject* record);

  RecordTypePtr type_;
  const bool objects_only_;
  std::vector<Object> objects_;
  std::vector<std::unique_ptr<ColumnBuilder>> builders_;
  std::vector<TimestampMs> timestamps_;
  bool has_timestamps_ = false;
  int64_t rows_ = 0;
};

}  // namespace headrace::bindings
