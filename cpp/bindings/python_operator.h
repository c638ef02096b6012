#pragma once

#include <Python.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/checkpoint_context_types.h"
#include "bindings/object_cell.h"
#include "bindings/record_reader.h"
#include "bindings/row_emitter.h"
#include "bindings/task_scope.h"
#include "bindings/user_function.h"
#include "headrace/operators/operator.h"

namespace headrace::bindings {

/// What python_operator() was asked for. Immutable.
struct PythonOperatorSpec {
  std::string kind;
  PyRef function;  ///< the program's copy; each subtask copies it again. May be None.
  RecordTypePtr input;
  RecordTypePtr second_input;  ///< of operators with two inputs
  RecordTypePtr output;
  bool object_reuse = false;
  PyRef options;  ///< dict

  /// Borrowed; null when absent or None.
  PyObject* Option(const char* name) const;
  std::string TextOption(const char* name) const;
};
using PythonOperatorSpecPtr = std::shared_ptr<const PythonOperatorSpec>;

/// What all operators that call Python share: the user function's life, the scope of its handles,
/// keys.
///
/// Every method takes the GIL itself where the thread does not hold it.
class PythonOperator : public Operator {
 public:
  PythonOperator(PythonOperatorSpecPtr spec, PyRef function)
      : spec_(std::move(spec)),
        function_(std::move(function)),
        reader_(spec_->input),
        emitter_(spec_->output, spec_->object_reuse) {}

  Status Open(const OperatorContext& context) final;
  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override;
  Status Snapshot(uint64_t checkpoint_id, OperatorState* state) final;
  Status FlushState() final;
  std::vector<StateRegistration> OperatorStateRegistry() const final;
  Status Close() final;

 protected:
  /// Binds the methods that will be called; open() of the user's object was called.
  virtual Status OnOpen() = 0;

  bool keyed() const { return context_.keyed_state != nullptr; }
  /// Reads a batch from now on: again at each call for the same batch. At the first one its keys
  /// become ids.
  Status BindBatch(const RecordBatch& batch) { return BindBatch(batch, &reader_, keyed()); }
  /// The same for a reader of one's own; without `with_keys` user code sees no key.
  Status BindBatch(const RecordBatch& batch, RecordReader* reader, bool with_keys);
  /// User code sees key and time of this row.
  void MoveTo(const RecordBatch& batch, int64_t row) {
    KeyCursor& cursor = scope_->cursor;
    cursor.timestamp = batch.TimestampAt(row);
    if (!ids_.empty()) {
      if (row % ObjectCell::kPrefetchMax == 0) PrefetchState(row);
      cursor.id = ids_[static_cast<size_t>(row)];
      cursor.key_column = batch.key.get();
      cursor.key_row = row;
    }
  }
  /// No record is at work any more.
  void MoveAway() {
    scope_->cursor.id = kNoKey;
    scope_->cursor.key_column = nullptr;
  }
  /// The batch is used up.
  Progress EndBatch() {
    MoveAway();
    scope_->CleanUp(row_);
    emitter_.Flush();
    batch_open_ = false;
    row_ = 0;
    return Progress::kDone;
  }
  /// A record that cannot be made from its columns.
  Status UnreadableRecord();

  const PythonOperatorSpecPtr spec_;
  const PyRef function_;
  CheckpointedCallbacks checkpointed_;
  TaskScopePtr scope_;
  RecordReader reader_;
  RowEmitter emitter_;
  bool batch_open_ = false;
  int64_t row_ = 0;  // next row of the open batch

 private:
  Status LookUpKeys(const RecordBatch& batch);
  Status LookUpKeys(const RecordBatch& batch, KeyDictionary* keys);
  void PrefetchState(int64_t first_row);

  std::vector<KeyId> ids_;
  ByteWriter scratch_;
};

using MadeOperator = Result<std::unique_ptr<Operator>>;
/// Makers by kind; null when the kind is another file's.
std::unique_ptr<Operator> MakeRowOperator(const PythonOperatorSpecPtr& spec, PyRef* function);
std::unique_ptr<Operator> MakeProcessOperator(const PythonOperatorSpecPtr& spec, PyRef* function);
std::unique_ptr<Operator> MakeFoldOperator(const PythonOperatorSpecPtr& spec, PyRef* function);
std::unique_ptr<Operator> MakeSinkOperator(const PythonOperatorSpecPtr& spec, PyRef* function);

}  // namespace headrace::bindings
