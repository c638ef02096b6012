#include <string>

#include "bindings/context_types.h"
#include "bindings/errors.h"
#include "bindings/python_operator.h"
#include "headrace/operators/text_encode.h"
#include "headrace/types/column_builder.h"

namespace headrace::bindings {
namespace {

/// print: str() of each record as a line on sys.stdout, one write a batch.
class PrintOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    std::string text;
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      const FrameRef line(PyObject_Str(record.get()));
      if (!line) return UserErrorFromPython("print", record.get());
      text.append(prefix_).append(TextOf(line.get())).append("\n");
    }
    batch_open_ = false;
    PyObject* output = PySys_GetObject("stdout");
    if (!output || output == Py_None) return Progress::kDone;
    PyRef held = PyRef::Borrow(output);
    PyRef lines = PyRef::Steal(
        PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
    PyRef written =
        PyRef::Steal(lines ? PyObject_CallMethod(held.get(), "write", "O", lines.get()) : nullptr);
    PyRef flushed =
        PyRef::Steal(written ? PyObject_CallMethod(held.get(), "flush", nullptr) : nullptr);
    if (!flushed) return UserErrorFromPython("print", nullptr);
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    // As in Flink: "identifier:2> record", "2> record", "identifier> record" or the record alone.
    const std::string identifier = spec_->TextOption("prefix");
    prefix_ = identifier;
    if (context_.parallelism > 1) {
      prefix_ += (identifier.empty() ? "" : ":") + std::to_string(context_.subtask_index + 1);
    }
    if (!prefix_.empty()) prefix_ += "> ";
    return Status::Ok();
  }
  std::string prefix_;
};

/// encode_text: each record as a line for a file sink.
class EncodeTextOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      const FrameRef line(encode_ ? encode_.Call(record.get()) : PyObject_Str(record.get()));
      if (!line) return UserErrorFromPython(encode_ ? encode_.what() : "str", record.get());
      if (PyBytes_Check(line.get())) {
        lines_->AppendString(
            {PyBytes_AS_STRING(line.get()), static_cast<size_t>(PyBytes_GET_SIZE(line.get()))});
      } else if (PyUnicode_Check(line.get())) {
        lines_->AppendString(TextOf(line.get()));
      } else {
        return Status::InvalidArgument(encode_.what() + " must return str or bytes, got " +
                                       ShortRepr(line.get()) + " for record " +
                                       ShortRepr(record.get()));
      }
    }
    batch_open_ = false;
    RecordBatch text;
    text.schema = schema_;
    text.num_rows = batch.num_rows;
    text.columns.push_back(lines_->Finish());
    text.timestamps = batch.timestamps;
    text.timestamps_offset = batch.timestamps_offset;
    out.Emit(std::move(text));
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    schema_ = TextSchema();
    HR_ASSIGN_OR_RETURN(lines_, ColumnBuilder::Make(StringType()));
    if (function_ && function_.get() != Py_None) {
      HR_ASSIGN_OR_RETURN(encode_, UserFunction::Bind(function_.get(), "encode"));
    }
    return Status::Ok();
  }
  SchemaPtr schema_;
  UserFunction encode_;
  std::unique_ptr<ColumnBuilder> lines_;
};

/// sink: a call for each record.
class SinkOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output&) override {
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      MoveTo(batch, row_);
      const FrameRef done(with_context_ ? invoke_.Call(record.get(), context_object_.get())
                                        : invoke_.Call(record.get()));
      if (!done) return UserErrorFromPython(invoke_.what(), record.get());
    }
    MoveAway();
    batch_open_ = false;
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(invoke_, UserFunction::Bind(function_.get(), "invoke"));
    PyRef method = PyRef::Steal(PyObject_GetAttrString(function_.get(), "invoke"));
    PyErr_Clear();
    with_context_ = method && invoke_.parameters() == 2;
    context_object_ = PyRef::Steal(NewContext(scope_));
    return context_object_ ? Status::Ok() : StatusFromPython(StatusCode::kInternal, "sink");
  }
  UserFunction invoke_;
  bool with_context_ = false;
  PyRef context_object_;
};

}  // namespace

std::unique_ptr<Operator> MakeSinkOperator(const PythonOperatorSpecPtr& spec, PyRef* function) {
  if (spec->kind == "print") return std::make_unique<PrintOperator>(spec, std::move(*function));
  if (spec->kind == "sink") return std::make_unique<SinkOperator>(spec, std::move(*function));
  if (spec->kind == "encode_text") {
    return std::make_unique<EncodeTextOperator>(spec, std::move(*function));
  }
  return nullptr;
}

}  // namespace headrace::bindings
