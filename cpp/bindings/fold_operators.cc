#include "bindings/errors.h"
#include "bindings/keyed_value.h"
#include "bindings/python_operator.h"
#include "bindings/row_type.h"

namespace headrace::bindings {
namespace {

/// A running value for each key: a new one for each row, which is also the result.
class FoldOperator : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) final {
    GilScope gil;
    if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    for (; row_ < batch.num_rows; ++row_) {
      if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      MoveTo(batch, row_);
      const KeyId id = scope_->cursor.id;
      PyRef former = PyRef::Steal(value_.Get(id));
      if (!former && PyErr_Occurred())
        return UserErrorFromPython("reading the state", record.get());
      PyRef next =
          former ? PyRef::Steal(Combine(former.get(), record.get())) : PyRef::Borrow(record.get());
      if (!next) return UserErrorFromPython(what_, record.get());
      former.Reset();
      if (next.get() == Py_None) {
        return Status::InvalidArgument(what_ + " gave None for record " + ShortRepr(record.get()));
      }
      if (!value_.Set(id, next.get()))
        return UserErrorFromPython("storing the state", record.get());
      Status status = emitter_.Emit(next.Release(), nullptr, batch.TimestampAt(row_), false);
      if (!status.ok()) return status.WithContext("result of " + what_);
    }
    return EndBatch();
  }

 protected:
  Status OnOpen() override {
    StateType type{ObjectType(), false};
    // Numbers have a native column; anything else is kept as the object it is.
    const RecordType& output = *spec_->output;
    if (output.schema->shape() == RecordShape::kScalar) {
      const StateType scalar{output.schema->fields()[0].type, false};
      if (scalar.fixed()) type = scalar;
    }
    HR_ASSIGN_OR_RETURN(value_, KeyedValue::Register(scope_.get(), "value", type));
    return Status::Ok();
  }
  /// New reference, null with a Python error set.
  virtual PyObject* Combine(PyObject* former, PyObject* record) = 0;

  std::string what_;

 private:
  KeyedValue value_;
};

/// reduce.
class ReduceOperator final : public FoldOperator {
 public:
  using FoldOperator::FoldOperator;

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(reduce_, UserFunction::Bind(function_.get(), "reduce"));
    what_ = reduce_.what();
    return FoldOperator::OnOpen();
  }
  PyObject* Combine(PyObject* former, PyObject* record) override {
    return reduce_.Call(former, record);
  }
  UserFunction reduce_;
};

/// aggregate_field: sum, min, max of one field (the others stay those of the first record), min_by,
/// max_by.
class FieldOperator final : public FoldOperator {
 public:
  using FoldOperator::FoldOperator;

 private:
  Status OnOpen() override {
    operation_ = spec_->TextOption("op");
    PyObject* field = spec_->Option("field");
    field_ = field ? PyRef::Borrow(field) : PyRef::Steal(PyLong_FromLong(0));
    what_ = operation_ + " of field " + ShortRepr(field_.get());
    return FoldOperator::OnOpen();
  }

  PyObject* Combine(PyObject* former, PyObject* record) override {
    PyRef a = PyRef::Steal(Read(former));
    PyRef b = PyRef::Steal(a ? Read(record) : nullptr);
    if (!b) return nullptr;
    if (operation_ == "sum") {
      PyRef sum = PyRef::Steal(PyNumber_Add(a.get(), b.get()));
      return sum ? Replace(former, sum.get()) : nullptr;
    }
    const bool larger = operation_ == "max" || operation_ == "max_by";
    const int better = PyObject_RichCompareBool(b.get(), a.get(), larger ? Py_GT : Py_LT);
    if (better < 0) return nullptr;
    if (!better) return Py_NewRef(former);
    return operation_.size() == 3 ? Replace(former, b.get()) : Py_NewRef(record);
  }

  // A record that is no container is its own field 0.
  static bool IsScalar(PyObject* record) {
    return !PyTuple_Check(record) && !PyList_Check(record) && !PyDict_Check(record) &&
           !IsRow(record);
  }

  PyObject* Read(PyObject* record) {
    if (!IsScalar(record)) return PyObject_GetItem(record, field_.get());
    if (PyUnicode_Check(field_.get())) return PyObject_GetAttr(record, field_.get());
    return Py_NewRef(record);
  }

  // A copy of the record with the field replaced.
  PyObject* Replace(PyObject* record, PyObject* value) {
    if (IsScalar(record)) return Py_NewRef(value);
    if (PyTuple_CheckExact(record)) {
      PyRef list = PyRef::Steal(PySequence_List(record));
      if (!list || PyObject_SetItem(list.get(), field_.get(), value) < 0) return nullptr;
      return PyList_AsTuple(list.get());
    }
    PyRef module = PyRef::Steal(PyImport_ImportModule("copy"));
    PyRef copy =
        PyRef::Steal(module ? PyObject_CallMethod(module.get(), "copy", "(O)", record) : nullptr);
    if (!copy || PyObject_SetItem(copy.get(), field_.get(), value) < 0) return nullptr;
    return copy.Release();
  }

  std::string operation_;
  PyRef field_;
};

}  // namespace

std::unique_ptr<Operator> MakeFoldOperator(const PythonOperatorSpecPtr& spec, PyRef* function) {
  if (spec->kind == "reduce") return std::make_unique<ReduceOperator>(spec, std::move(*function));
  if (spec->kind == "aggregate_field") {
    return std::make_unique<FieldOperator>(spec, std::move(*function));
  }
  return nullptr;
}

}  // namespace headrace::bindings
