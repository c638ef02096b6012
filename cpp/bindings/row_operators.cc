#include <cstring>

#include "bindings/errors.h"
#include "bindings/python_operator.h"

namespace headrace::bindings {
namespace {

/// map, keyed_map: one call, one result for each row.
class MapOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    GilScope gil;
    if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    for (; row_ < batch.num_rows; ++row_) {
      if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      MoveTo(batch, row_);
      PyObject* result = map_.Call(record.get());
      if (!result) return UserErrorFromPython(map_.what(), record.get());
      Status status = emitter_.Emit(result, record.get(), batch.TimestampAt(row_), false);
      if (!status.ok()) return ResultStatus(std::move(status), map_.what(), record.get());
    }
    return EndBatch();
  }

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(map_, UserFunction::Bind(function_.get(), "map"));
    return Status::Ok();
  }
  UserFunction map_;
};

/// filter, keyed_filter: the rows themselves pass, whatever they are made of.
class FilterOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    kept_.clear();
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      MoveTo(batch, row_);
      const FrameRef answer(filter_.Call(record.get()));
      const int keep = answer ? PyObject_IsTrue(answer.get()) : -1;
      if (keep < 0) return UserErrorFromPython(filter_.what(), record.get());
      if (keep) kept_.push_back(static_cast<int32_t>(row_));
    }
    MoveAway();
    scope_->CleanUp(batch.num_rows);
    batch_open_ = false;
    const auto count = static_cast<int64_t>(kept_.size());
    if (count == batch.num_rows) {
      out.Emit(batch);
    } else if (count > 0) {
      HR_ASSIGN_OR_RETURN(RecordBatch rest, batch.Take(kept_.data(), count));
      out.Emit(std::move(rest));
    }
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(filter_, UserFunction::Bind(function_.get(), "filter"));
    return Status::Ok();
  }
  UserFunction filter_;
  std::vector<int32_t> kept_;
};

/// key_by: adds the key column, typed when the program named the key's type.
class KeyByOperator final : public PythonOperator {
 public:
  KeyByOperator(PythonOperatorSpecPtr spec, PyRef function)
      : PythonOperator(spec, std::move(function)), keys_(spec->output) {}

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      PyObject* key = get_key_.Call(record.get());
      if (!key) return UserErrorFromPython(what_, record.get());
      Status status = keys_.Append(key, kNoTimestamp);
      if (!status.ok()) return status.WithContext("key of record " + ShortRepr(record.get()));
    }
    batch_open_ = false;
    RecordBatch keyed = batch;
    keyed.key = keys_.Finish().columns[0];
    out.Emit(std::move(keyed));
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(get_key_, UserFunction::Bind(function_.get(), "get_key"));
    // For keys of fields the function is ours, and the program only knows the fields.
    PyObject* fields = spec_->Option("fields");
    what_ = fields ? "key_by(" + ShortRepr(fields) + ")" : get_key_.what();
    return Status::Ok();
  }
  UserFunction get_key_;
  std::string what_;
  RecordWriter keys_;
};

/// assign_timestamps: replaces the event times.
class TimestampOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;

  Result<Progress> Process(const RecordBatch& batch, int, Output& out) override {
    if (out.RoomRows() == 0) return Progress::kBlocked;
    GilScope gil;
    HR_RETURN_IF_ERROR(BindBatch(batch));
    auto times = Buffer::Allocate(static_cast<size_t>(batch.num_rows) * sizeof(TimestampMs));
    auto* out_times = reinterpret_cast<TimestampMs*>(times->mutable_data());
    for (row_ = 0; row_ < batch.num_rows; ++row_) {
      const FrameRef record(reader_.Read(row_));
      if (!record) return UnreadableRecord();
      const FrameRef former(PyLong_FromLongLong(batch.TimestampAt(row_)));
      const FrameRef time(extract_.Call(record.get(), former.get()));
      if (!time) return UserErrorFromPython(extract_.what(), record.get());
      const FrameRef index(PyNumber_Index(time.get()));
      const long long value = index ? PyLong_AsLongLong(index.get()) : -1;
      if (PyErr_Occurred()) {
        PyErr_Clear();
        return Status::InvalidArgument(
            extract_.what() + " must return event time as an int (ms), got " +
            ShortRepr(time.get()) + " for record " + ShortRepr(record.get()));
      }
      out_times[row_] = value;
    }
    batch_open_ = false;
    RecordBatch timed = batch;
    timed.timestamps = std::move(times);
    timed.timestamps_offset = 0;
    out.Emit(std::move(timed));
    return Progress::kDone;
  }

 private:
  Status OnOpen() override {
    HR_ASSIGN_OR_RETURN(extract_, UserFunction::Bind(function_.get(), "extract_timestamp"));
    return Status::Ok();
  }
  UserFunction extract_;
};

template <typename T>
std::unique_ptr<Operator> Make(const PythonOperatorSpecPtr& spec, PyRef* function) {
  return std::make_unique<T>(spec, std::move(*function));
}

}  // namespace

std::unique_ptr<Operator> MakeRowOperator(const PythonOperatorSpecPtr& spec, PyRef* function) {
  const std::string& kind = spec->kind;
  if (kind == "map" || kind == "keyed_map") return Make<MapOperator>(spec, function);
  if (kind == "filter" || kind == "keyed_filter") return Make<FilterOperator>(spec, function);
  if (kind == "key_by") return Make<KeyByOperator>(spec, function);
  if (kind == "assign_timestamps") return Make<TimestampOperator>(spec, function);
  return nullptr;
}

}  // namespace headrace::bindings
