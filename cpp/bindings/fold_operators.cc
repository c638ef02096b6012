#include "bindings/errors.h"
#include "bindings/keyed_value.h"
#include "bindings/python_operator.h"
#include "bindings/row_type.h"
#include "bindings/state_evolution.h"

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
      FrameRef former(value_.Get(id));
      if (!former && PyErr_Occurred())
        return UserErrorFromPython("reading the state", record.get());
      FrameRef next(former ? Combine(former.get(), record.get()) : Begin(record.get()));
      if (!next) return UserErrorFromPython(what_, record.get());
      if (next.get() == Py_None) {
        return Status::InvalidArgument(what_ + " gave None for record " + ShortRepr(record.get()));
      }
      if (!value_.Set(id, next.get()))
        return UserErrorFromPython("storing the state", record.get());
      // Or the result would count as one that somebody else refers to.
      Py_XDECREF(former.Release());
      Status status = emitter_.Emit(next.Release(), nullptr, batch.TimestampAt(row_), false);
      if (!status.ok()) return ResultStatus(std::move(status), what_, record.get());
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
    HR_RETURN_IF_ERROR(EvolveStoredState(context_.keyed_state, "value", "value", nullptr,
                                         DeclaredType{type, Py_None}, {}));
    HR_ASSIGN_OR_RETURN(
        value_, KeyedValue::Register(scope_.get(), "value", "value<" + type.Name() + ">", type));
    return Status::Ok();
  }
  /// The value of a key's first record. New reference, null with a Python error set.
  virtual PyObject* Begin(PyObject* record) { return Py_NewRef(record); }
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
    const std::string operation = spec_->TextOption("op");
    sum_ = operation == "sum";
    larger_ = operation == "max" || operation == "max_by";
    whole_record_ = operation == "min_by" || operation == "max_by";
    PyObject* field = spec_->Option("field");
    field_ = field ? PyRef::Borrow(field) : PyRef::Steal(PyLong_FromLong(0));
    index_ = PyLong_CheckExact(field_.get()) ? PyLong_AsSsize_t(field_.get()) : -1;
    PyErr_Clear();  // too large for any record: found out there
    what_ = operation + " of field " + ShortRepr(field_.get());
    return FoldOperator::OnOpen();
  }

  // A wrong field is refused at once, and not only when a key comes a second time.
  PyObject* Begin(PyObject* record) override {
    const FrameRef value(Read(record));
    if (!value) return nullptr;
    if (sum_ && (PyUnicode_Check(value.get()) || PyBytes_Check(value.get()))) {
      // Python would put them one behind the other.
      return PyErr_Format(PyExc_TypeError, "cannot sum %R of type %s: sum needs numbers",
                          value.get(), Py_TYPE(value.get())->tp_name);
    }
    return Py_NewRef(record);
  }

  PyObject* Combine(PyObject* former, PyObject* record) override {
    const FrameRef a(Read(former));
    const FrameRef b(a ? Read(record) : nullptr);
    if (!b) return nullptr;
    if (sum_) {
      const FrameRef sum(PyNumber_Add(a.get(), b.get()));
      return sum ? Replace(former, sum.get()) : nullptr;
    }
    const int better = PyObject_RichCompareBool(b.get(), a.get(), larger_ ? Py_GT : Py_LT);
    if (better < 0) return nullptr;
    if (!better) return Py_NewRef(former);
    return whole_record_ ? Py_NewRef(record) : Replace(former, b.get());
  }

  // A record that is no container is its own field 0.
  static bool IsScalar(PyObject* record) {
    return !PyTuple_Check(record) && !PyList_Check(record) && !PyDict_Check(record) &&
           !IsRow(record);
  }
  // The most common record by far.
  bool IsTupleWithField(PyObject* record) const {
    return PyTuple_CheckExact(record) && index_ >= 0 && index_ < PyTuple_GET_SIZE(record);
  }

  PyObject* Read(PyObject* record) {
    if (IsTupleWithField(record)) return Py_NewRef(PyTuple_GET_ITEM(record, index_));
    PyObject* value = ReadAny(record);
    if (value) return value;
    // This reader says which fields there are.
    PyErr_Clear();
    PyRef module = PyRef::Steal(PyImport_ImportModule("headrace.aggregates"));
    return module ? PyObject_CallMethod(module.get(), "read_field", "OO", record, field_.get())
                  : nullptr;
  }

  PyObject* ReadAny(PyObject* record) {
    if (!IsScalar(record)) return PyObject_GetItem(record, field_.get());
    if (PyUnicode_Check(field_.get())) return PyObject_GetAttr(record, field_.get());
    return Py_NewRef(record);
  }

  // A copy of the record with the field replaced.
  PyObject* Replace(PyObject* record, PyObject* value) {
    if (IsTupleWithField(record)) return ReplaceInTuple(record, value);
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

  PyObject* ReplaceInTuple(PyObject* tuple, PyObject* value) const {
    const Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    PyObject* copy = PyTuple_New(size);
    for (Py_ssize_t i = 0; copy && i < size; ++i) {
      PyTuple_SET_ITEM(copy, i, Py_NewRef(i == index_ ? value : PyTuple_GET_ITEM(tuple, i)));
    }
    return copy;
  }

  bool sum_ = false;
  bool larger_ = false;
  bool whole_record_ = false;
  PyRef field_;
  Py_ssize_t index_ = -1;  // the field as a number, -1 when it is none
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
