#include <string>

#include "bindings/arrow_capsules.h"
#include "bindings/errors.h"
#include "bindings/graph_objects.h"
#include "bindings/python_bindings.h"
#include "bindings/record_writer.h"
#include "bindings/runtime_context_type.h"
#include "bindings/source_errors.h"
#include "bindings/user_function.h"
#include "headrace/connectors/source.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Where records go that a reader cannot make rows of.
struct SideOutput {
  std::string tag;
  RecordTypePtr type;  // null without a side output
};

/// Asks a Python object for batches, as `reader_source` of _core.pyi says.
class PythonReader final : public SourceReader {
 public:
  PythonReader(PyRef reader, const RecordTypePtr& type, const SideOutput& side)
      : reader_(std::move(reader)), type_(type), writer_(type), side_tag_(side.tag) {
    if (side.type) side_writer_ = std::make_unique<RecordWriter>(side.type);
  }

  Status Open(const OperatorContext& context) override {
    GilScope gil;
    scope_ = std::make_shared<TaskScope>(context);
    HR_ASSIGN_OR_RETURN(poll_, UserFunction::Bind(reader_.get(), "poll"));
    return OpenUserObject(reader_.get(), scope_);
  }

  Status AddSplit(const SplitState& split) override {
    positions_.push_back(split.position);
    finished_.push_back(split.finished);
    GilScope gil;
    PyRef done = PyRef::Steal(
        PyObject_CallMethod(reader_.get(), "add_split", "s#y#", split.id.data(),
                            static_cast<Py_ssize_t>(split.id.size()), split.position.data(),
                            static_cast<Py_ssize_t>(split.position.size())));
    return done ? Status::Ok() : ReaderErrorFromPython("add_split('" + split.id + "')");
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    GilScope gil;
    PyRef limit = PyRef::Steal(PyLong_FromLongLong(max_rows));
    PyRef polled = PyRef::Steal(poll_.Call(limit.get()));
    if (!polled) return ReaderErrorFromPython(poll_.what());
    PollResult result;
    if (polled.get() == Py_None) return result;
    if (PyTuple_Check(polled.get()) && PyTuple_GET_SIZE(polled.get()) == 1) {
      result.kind = PollResult::Kind::kFinished;
      return result;
    }
    PyObject *rows = nullptr, *position = nullptr, *side = nullptr;
    int split = 0, finished = 0;
    if (!PyTuple_Check(polled.get()) ||
        !PyArg_ParseTuple(polled.get(), "iOSp|O!", &split, &rows, &position, &finished,
                          &PyList_Type, &side) ||
        split < 0 || static_cast<size_t>(split) >= positions_.size() || (side && !side_writer_)) {
      PyErr_Clear();
      return Status::InvalidArgument(poll_.what() +
                                     " must return None, ('end',) or (split index, rows, position, "
                                     "finished[, side records]), got " +
                                     ShortRepr(polled.get()));
    }
    HR_RETURN_IF_ERROR(TakeRows(rows, &result.batch));
    if (side) {
      result.side_tag = side_tag_;
      HR_RETURN_IF_ERROR(TakeList(side, side_writer_.get(), &result.side_batch));
    }
    positions_[static_cast<size_t>(split)].assign(PyBytes_AS_STRING(position),
                                                  static_cast<size_t>(PyBytes_GET_SIZE(position)));
    result.kind = PollResult::Kind::kBatch;
    result.split = split;
    result.split_finished = finished != 0;
    return result;
  }

  Result<std::vector<std::string>> Positions() override { return positions_; }

  void Cancel() override {
    if (InterpreterIsEnding()) return;
    GilScope gil;
    PyRef done = PyRef::Steal(PyObject_CallMethod(reader_.get(), "cancel", nullptr));
    PyErr_Clear();  // a reader without cancel() ends with the poll it is in
  }

  Status Close() override {
    if (InterpreterIsEnding()) return Status::Ok();
    GilScope gil;
    Status status = CloseUserObject(reader_.get());
    if (scope_) scope_->Close();
    return status;
  }

 private:
  static Status TakeList(PyObject* rows, RecordWriter* writer, RecordBatch* out) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(rows); ++i) {
      HR_RETURN_IF_ERROR(
          writer->Append(Py_NewRef(PySequence_Fast_GET_ITEM(rows, i)), kNoTimestamp));
    }
    *out = writer->Finish();
    return Status::Ok();
  }

  Status TakeRows(PyObject* rows, RecordBatch* out) {
    if (PyList_Check(rows) || PyTuple_Check(rows)) return TakeList(rows, &writer_, out);
    SchemaPtr schema;
    std::vector<RecordBatch> batches;
    try {
      batches = ImportArrow(py::reinterpret_borrow<py::object>(rows), &schema);
    } catch (py::error_already_set& error) {
      error.restore();
      return ReaderErrorFromPython(poll_.what());
    }
    return Join(schema, std::move(batches), out);
  }

  // All batches as one of the declared type.
  Status Join(const SchemaPtr& schema, std::vector<RecordBatch> batches, RecordBatch* out) {
    const auto& declared = type_->schema->fields();
    bool same = schema->size() == declared.size();
    for (size_t i = 0; same && i < declared.size(); ++i) {
      same = schema->fields()[i].type->Equals(*declared[i].type);
    }
    if (!same) {
      return Status::InvalidArgument(poll_.what() + " returned rows of type " + schema->ToString() +
                                     ", but the source is of type " + type_->schema->ToString());
    }
    *out = RecordBatch();
    out->schema = type_->schema;
    for (const RecordBatch& batch : batches) out->num_rows += batch.num_rows;
    for (size_t i = 0; i < declared.size(); ++i) {
      std::vector<ColumnPtr> parts;
      for (const RecordBatch& batch : batches) parts.push_back(batch.columns[i]);
      if (parts.size() == 1) {
        out->columns.push_back(std::move(parts[0]));
        continue;
      }
      HR_ASSIGN_OR_RETURN(ColumnPtr column, parts.empty() ? Column::OfNulls(declared[i].type, 0)
                                                          : Column::Concat(parts));
      out->columns.push_back(std::move(column));
    }
    return Status::Ok();
  }

  PyRef reader_;
  const RecordTypePtr type_;
  RecordWriter writer_;
  const std::string side_tag_;
  std::unique_ptr<RecordWriter> side_writer_;  // null without a side output
  UserFunction poll_;
  TaskScopePtr scope_;
  std::vector<std::string> positions_;
  std::vector<bool> finished_;
};

struct ReaderTraits {
  bool bounded = true;
  bool replayable = true;
  bool time_ordered = false;
};

class ReaderFactory final : public SourceFactory, public OwnsPython {
 public:
  ReaderFactory(PyRef make_reader, PyRef plan_splits, SchemaPtr schema, ReaderTraits traits,
                SideOutput side)
      : make_reader_(std::move(make_reader)),
        plan_splits_(std::move(plan_splits)),
        type_(RecordTypeOf(schema)),
        traits_(traits),
        side_(std::move(side)) {}

  Result<std::vector<SplitState>> PlanSplits(int parallelism) override {
    GilScope gil;
    PyRef planned = PyRef::Steal(PyObject_CallFunction(plan_splits_.get(), "i", parallelism));
    PyRef ids = PyRef::Steal(planned ? PySequence_List(planned.get()) : nullptr);
    if (!ids) return ReaderErrorFromPython("planning the splits of a source");
    std::vector<SplitState> splits;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(ids.get()); ++i) {
      PyObject* id = PyList_GET_ITEM(ids.get(), i);
      if (!PyUnicode_Check(id)) {
        return Status::InvalidArgument("split ids must be str, got " + ShortRepr(id));
      }
      SplitState split;
      split.id = TextOf(id);
      splits.push_back(std::move(split));
    }
    return splits;
  }
  Result<std::unique_ptr<SourceReader>> Make(int) override {
    GilScope gil;
    PyRef reader = PyRef::Steal(PyObject_CallNoArgs(make_reader_.get()));
    if (!reader) return ReaderErrorFromPython("making the reader of a source");
    return std::unique_ptr<SourceReader>(
        std::make_unique<PythonReader>(std::move(reader), type_, side_));
  }
  SchemaPtr schema() const override { return type_->schema; }
  bool calls_python() const override { return true; }
  bool bounded() const override { return traits_.bounded; }
  bool replayable() const override { return traits_.replayable; }
  bool time_ordered() const override { return traits_.time_ordered; }
  int Visit(visitproc visit, void* arg) const override {
    Py_VISIT(make_reader_.get());
    Py_VISIT(plan_splits_.get());
    return 0;
  }

 private:
  const PyRef make_reader_;
  const PyRef plan_splits_;
  const RecordTypePtr type_;
  const ReaderTraits traits_;
  const SideOutput side_;
};

}  // namespace

void BindReaderSource(py::module_& module) {
  module.def(
      "reader_source",
      [](const py::object& make_reader, const py::object& plan_splits, const SchemaHandle& schema,
         bool bounded, bool replayable, bool time_ordered, const std::string& side_tag,
         const SchemaHandle* side_schema) {
        const SideOutput side{side_tag, side_schema ? RecordTypeOf(side_schema->schema) : nullptr};
        return SourceHandle{std::make_shared<ReaderFactory>(
            PyRef::Borrow(make_reader.ptr()), PyRef::Borrow(plan_splits.ptr()), schema.schema,
            ReaderTraits{bounded, replayable, time_ordered}, side)};
      },
      py::arg("make_reader"), py::arg("plan_splits"), py::arg("schema"), py::kw_only(),
      py::arg("bounded") = true, py::arg("replayable") = true, py::arg("time_ordered") = false,
      py::arg("side_tag") = "", py::arg("side_schema") = nullptr);
}

}  // namespace headrace::bindings
