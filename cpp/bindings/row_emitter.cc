#include "bindings/row_emitter.h"

#include <algorithm>

#include "bindings/errors.h"
#include "bindings/type_description.h"

namespace headrace::bindings {
namespace {

constexpr int64_t kOverdueNs = 20'000'000;
constexpr int64_t kClockEveryNs = 1'000'000;
constexpr int64_t kClockStrideMax = 256;

// headrace.datastream.OutputTag, null when the module cannot be imported; borrowed.
PyTypeObject* OutputTagType() {
  static PyTypeObject* type = [] {
    PyRef module = PyRef::Steal(PyImport_ImportModule("headrace.datastream.output_tag"));
    PyObject* found = module ? PyObject_GetAttrString(module.get(), "OutputTag") : nullptr;
    PyErr_Clear();
    return reinterpret_cast<PyTypeObject*>(found);
  }();
  return type;
}

bool IsTagged(PyObject* value) {
  if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != 2) return false;
  PyObject* tag = PyTuple_GET_ITEM(value, 0);
  if (IsPlainScalar(tag)) return false;
  PyTypeObject* type = OutputTagType();
  return type && PyObject_TypeCheck(tag, type);
}

Status Uncopiable() {
  return StatusFromPython(StatusCode::kInvalidArgument,
                          "it can change later, as something else refers to it too, and it cannot "
                          "be copied; make a new object for each result");
}

}  // namespace

bool RowEmitter::Begin(const OperatorContext& context, Output* out) {
  out_ = out;
  env_ = context.env ? context.env : &RealEnv();
  batch_rows_ = context.batch_rows;
  limit_ = std::min(out->RoomRows(), batch_rows_);
  if (limit_ == 0) return false;
  flushed_ns_ = clock_ns_ = env_->SteadyNs();
  rows_to_clock_ = clock_stride_;
  return true;
}

// Reads the clock about every millisecond, whatever one row takes.
bool RowEmitter::IsOverdue() {
  const int64_t now_ns = env_->SteadyNs();
  clock_stride_ = now_ns - clock_ns_ > kClockEveryNs ? std::max<int64_t>(clock_stride_ / 4, 1)
                                                     : std::min(clock_stride_ * 2, kClockStrideMax);
  clock_ns_ = now_ns;
  rows_to_clock_ = clock_stride_;
  return rows_ > 0 && now_ns - flushed_ns_ > kOverdueNs;
}

Status RowEmitter::EmitAny(PyObject* value, PyObject* input, TimestampMs timestamp,
                           bool side_outputs) {
  if (IsTagged(value)) {
    if (side_outputs) return EmitSide(value, input, timestamp);
    const std::string text = ShortRepr(value);
    Py_DECREF(value);
    return Status::InvalidArgument(text +
                                   " is for a side output, which only process functions have: use "
                                   "process() with a ProcessFunction");
  }
  PyObject* passed = reuse_ ? value : PassOut(value, input);
  if (!passed) return Uncopiable();
  ++rows_;
  return writer_.Append(passed, timestamp);
}

Status RowEmitter::EmitSide(PyObject* pair, PyObject* input, TimestampMs timestamp) {
  PyRef tag = PyRef::Borrow(PyTuple_GET_ITEM(pair, 0));
  PyObject* value = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
  Py_DECREF(pair);
  PyObject* passed = reuse_ ? value : PassOut(value, input);
  if (!passed) return Uncopiable();
  Result<RecordWriter*> writer = SideWriter(tag.get());
  if (!writer.ok() || !*writer) {
    Py_DECREF(passed);
    return writer.status();
  }
  ++rows_;
  const Status appended = (*writer)->Append(passed, timestamp);
  return appended.ok() ? appended : appended.WithContext("for " + ShortRepr(tag.get()));
}

Result<RecordWriter*> RowEmitter::SideWriter(PyObject* tag) {
  PyRef id = PyRef::Steal(PyObject_GetAttrString(tag, "tag_id"));
  const std::string name = TextOf(id.get());
  PyErr_Clear();
  const auto found = sides_.find(name);
  if (found != sides_.end()) return found->second.writer.get();
  Side& side = sides_[name];
  side.tag = name;
  if (!out_->HasSideReader(name)) return static_cast<RecordWriter*>(nullptr);
  PyRef info = PyRef::Steal(PyObject_GetAttrString(tag, "type_info"));
  PyErr_Clear();
  PyRef description = info && info.get() != Py_None
                          ? PyRef::Steal(PyObject_CallMethod(info.get(), "_describe", nullptr))
                          : PyRef::Borrow(Py_None);
  if (!description) return UserErrorFromPython("the type of side output '" + name + "'", nullptr);
  try {
    side.writer = std::make_unique<RecordWriter>(RecordTypeOf(
        SchemaOfDescription(pybind11::reinterpret_borrow<pybind11::object>(description.get()))));
  } catch (pybind11::error_already_set& error) {
    error.restore();
    return StatusFromPython(StatusCode::kInvalidArgument, "side output '" + name + "'");
  }
  return side.writer.get();
}

bool RowEmitter::Flush() {
  if (writer_.rows() > 0) out_->Emit(writer_.Finish());
  for (auto& [name, side] : sides_) {
    if (side.writer && side.writer->rows() > 0) out_->EmitSide(side.tag, side.writer->Finish());
  }
  rows_ = 0;
  flushed_ns_ = clock_ns_;
  limit_ = std::min(out_->RoomRows(), batch_rows_);
  return limit_ > 0;
}

}  // namespace headrace::bindings
