#pragma once

#include <Python.h>

#include <map>
#include <memory>
#include <string>

#include "bindings/record_writer.h"
#include "bindings/value_copy.h"
#include "headrace/operators/operator.h"

namespace headrace::bindings {

/// Puts what user code gives into batches for an Output: emission rules, side outputs, room.
///
/// Use: Begin at each call of the operator; before making rows ask NeedsFlush, and Flush if so;
/// Flush at the end.
/// Threading: owned by one task thread, which holds the GIL.
class RowEmitter {
 public:
  /// `object_reuse`: values pass as they are.
  RowEmitter(RecordTypePtr type, bool object_reuse)
      : writer_(std::move(type)), reuse_(object_reuse) {}

  /// A call of the operator begins; false when the output is full.
  bool Begin(const OperatorContext& context, Output* out);
  /// Takes over `value`, put out while `input` (may be null) was processed. A pair of an OutputTag
  /// and a value goes to that side output when `side_outputs`.
  Status Emit(PyObject* value, PyObject* input, TimestampMs timestamp, bool side_outputs) {
    if (!IsPlainScalar(value) && !IsScalarTuple(value)) {
      return EmitAny(value, input, timestamp, side_outputs);
    }
    ++rows_;
    return writer_.Append(PassOut(value, input), timestamp);
  }
  /// True when the batch is full or has waited long (slow user code).
  bool NeedsFlush() { return rows_ >= limit_ || (--rows_to_clock_ <= 0 && IsOverdue()); }
  bool HasRows() const { return rows_ > 0; }
  /// For results that cannot wait for room: sends on whole batches only.
  void FlushWholeBatch() {
    if (rows_ >= batch_rows_) Flush();
  }
  /// Sends on what there is. False when the output has no room for more.
  bool Flush();

 private:
  bool IsOverdue();
  Status EmitAny(PyObject* value, PyObject* input, TimestampMs timestamp, bool side_outputs);
  Status EmitSide(PyObject* pair, PyObject* input, TimestampMs timestamp);
  Result<RecordWriter*> SideWriter(PyObject* tag);

  struct Side {
    std::string tag;
    std::unique_ptr<RecordWriter> writer;  // null when nobody reads it
  };

  RecordWriter writer_;
  const bool reuse_;
  std::map<std::string, Side> sides_;
  Output* out_ = nullptr;
  Env* env_ = nullptr;
  int64_t batch_rows_ = 0;
  int64_t limit_ = 0;          // rows until the next flush
  int64_t rows_ = 0;           // in all writers
  int64_t rows_to_clock_ = 1;  // calls of NeedsFlush until the clock is read
  int64_t clock_stride_ = 1;
  int64_t clock_ns_ = 0;  // last reading
  int64_t flushed_ns_ = 0;
};

}  // namespace headrace::bindings
