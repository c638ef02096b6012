#include <string>

#include "arrow_capsules.h"
#include "errors.h"
#include "python_sources.h"
#include "record_writer.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

/// Calls a method of the Python reader; the result is a new reference, null with a Python error set.
template <typename... Args>
PyRef Call(const PyRef& object, const char* method, const char* format, Args... args) {
  return PyRef::Steal(PyObject_CallMethod(object.get(), method, format, args...));
}

class PythonReader final : public SourceReader {
 public:
  PythonReader(PyRef reader, SchemaPtr schema)
      : reader_(std::move(reader)), schema_(schema), writer_(RecordTypeOf(schema)) {}

  Status Open(const OperatorContext&) override {
    if (!Call(reader_, "open", "O", Py_None)) return SourceErrorFromPython("open");
    return Status::Ok();
  }

  Status AddSplit(const SplitState& split) override {
    positions_.push_back(split.position);
    const auto added = Call(reader_, "add_split", "s#y#", split.id.data(),
                            static_cast<Py_ssize_t>(split.id.size()), split.position.data(),
                            static_cast<Py_ssize_t>(split.position.size()));
    return added ? Status::Ok() : SourceErrorFromPython("add_split");
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    const PyRef polled = Call(reader_, "poll", "L", static_cast<long long>(max_rows));
    if (!polled) return SourceErrorFromPython("poll");
    if (polled.get() == Py_None) return result;
    if (!PyTuple_Check(polled.get())) {
      return Status::InvalidArgument("poll() of a reader must return a tuple or None, got " +
                                     ShortRepr(polled.get()));
    }
    if (PyTuple_GET_SIZE(polled.get()) == 1) {
      result.kind = PollResult::Kind::kFinished;
      return result;
    }
    HR_RETURN_IF_ERROR(Fill(polled.get(), &result));
    return result;
  }

  Result<std::vector<std::string>> Positions() override { return positions_; }

  Status Close() override {
    if (!Call(reader_, "close", nullptr)) return SourceErrorFromPython("close");
    return Status::Ok();
  }

 private:
  Status Fill(PyObject* polled, PollResult* result) {
    int split = 0;
    PyObject* rows = nullptr;
    const char* position = nullptr;
    Py_ssize_t position_size = 0;
    int finished = 0;
    if (!PyArg_ParseTuple(polled, "iOy#p", &split, &rows, &position, &position_size, &finished)) {
      return SourceErrorFromPython("poll");
    }
    if (split < 0 || split >= static_cast<int>(positions_.size())) {
      return Status::InvalidArgument("poll() of a reader named split " + std::to_string(split) +
                                     ", it has " + std::to_string(positions_.size()));
    }
    result->kind = PollResult::Kind::kBatch;
    result->split = split;
    result->split_finished = finished != 0;
    HR_RETURN_IF_ERROR(PyList_Check(rows) ? FillFromList(rows, &result->batch)
                                          : FillFromArrow(rows, &result->batch));
    positions_[split].assign(position, static_cast<size_t>(position_size));
    return Status::Ok();
  }

  Status FillFromList(PyObject* rows, RecordBatch* batch) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); ++i) {
      HR_RETURN_IF_ERROR(writer_.Append(Py_NewRef(PyList_GET_ITEM(rows, i)), kNoTimestamp));
    }
    *batch = writer_.Finish();
    return Status::Ok();
  }

  Status FillFromArrow(PyObject* rows, RecordBatch* batch) {
    SchemaPtr schema;
    std::vector<RecordBatch> batches;
    try {
      batches = ImportArrow(py::reinterpret_borrow<py::object>(rows), &schema);
    } catch (py::error_already_set& error) {
      error.restore();
      return SourceErrorFromPython("poll");
    }
    if (batches.size() != 1) {
      return Status::InvalidArgument("poll() of a reader must return one Arrow batch at a time");
    }
    *batch = std::move(batches[0]);
    batch->schema = schema_;
    return Status::Ok();
  }

  PyRef reader_;
  SchemaPtr schema_;
  RecordWriter writer_;
  std::vector<std::string> positions_;
};

class ReaderFactory final : public SourceFactory {
 public:
  ReaderFactory(py::object make_reader, py::object plan_splits, SchemaPtr schema,
                ReaderTraits traits)
      : make_reader_(PyRef::Borrow(make_reader.ptr())),
        plan_splits_(PyRef::Borrow(plan_splits.ptr())),
        schema_(std::move(schema)),
        traits_(traits) {}

  Result<std::vector<SplitState>> PlanSplits(int parallelism) override {
    const GilScope gil;
    const auto ids = PyRef::Steal(PyObject_CallFunction(plan_splits_.get(), "i", parallelism));
    if (!ids) return SourceErrorFromPython("plan_splits");
    const auto sequence = PyRef::Steal(PySequence_Fast(ids.get(), "plan_splits must return a list"));
    if (!sequence) return SourceErrorFromPython("plan_splits");
    std::vector<SplitState> splits(static_cast<size_t>(PySequence_Fast_GET_SIZE(sequence.get())));
    for (size_t i = 0; i < splits.size(); ++i) {
      splits[i].id = TextOf(PySequence_Fast_GET_ITEM(sequence.get(), static_cast<Py_ssize_t>(i)));
    }
    return splits;
  }
  Result<std::unique_ptr<SourceReader>> Make(int) override {
    auto reader = PyRef::Steal(PyObject_CallNoArgs(make_reader_.get()));
    if (!reader) return SourceErrorFromPython("make_reader");
    return std::unique_ptr<SourceReader>(std::make_unique<PythonReader>(std::move(reader), schema_));
  }
  SchemaPtr schema() const override { return schema_; }
  bool calls_python() const override { return true; }
  bool bounded() const override { return traits_.bounded; }
  bool replayable() const override { return traits_.replayable; }
  bool time_ordered() const override { return traits_.time_ordered; }

 private:
  PyRef make_reader_;
  PyRef plan_splits_;
  SchemaPtr schema_;
  ReaderTraits traits_;
};

}  // namespace

Status SourceErrorFromPython(const char* what) {
  if (PyErr_ExceptionMatches(PyExc_OSError)) return StatusFromPython(StatusCode::kIoError, what);
  return UserErrorFromPython(what, nullptr);
}

SourceFactoryPtr ReaderSource(py::object make_reader, py::object plan_splits, SchemaPtr schema,
                              ReaderTraits traits) {
  return std::make_shared<ReaderFactory>(std::move(make_reader), std::move(plan_splits),
                                         std::move(schema), traits);
}

}  // namespace headrace::bindings
