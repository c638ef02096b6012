#include "bindings/broadcast_context_types.h"
#include "bindings/context_types.h"
#include "bindings/errors.h"
#include "bindings/operator_state_types.h"
#include "bindings/python_operator.h"
#include "bindings/result_stream.h"

namespace headrace::bindings {
namespace {

// Timers fired in one call, so that a watermark over millions of them does not hold up the task.
constexpr int kTimersACall = 4096;

/// flat_map, keyed_flat_map, process, keyed_process, broadcast_process, keyed_broadcast_process:
/// any number of results for each row, taken as the output has room; timers of keyed processes in
/// the same way. The broadcast ones have a second input, whose rows have no key.
class ProcessOperator final : public PythonOperator {
 public:
  using PythonOperator::PythonOperator;
  ~ProcessOperator() override {
    if (record_) ReleaseReference(record_);
  }

  Result<Progress> Process(const RecordBatch& batch, int input, Output& out) override {
    GilScope gil;
    if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
    const Element& element = elements_[input];
    RecordReader& reader = input == 0 ? reader_ : second_reader_;
    HR_RETURN_IF_ERROR(BindBatch(batch, &reader, keyed() && input == 0));
    for (; row_ < batch.num_rows; ++row_) {
      if (!call_open_) {
        if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
        Keep(reader.Read(row_));
        if (!record_) return UnreadableRecord();
        MoveTo(batch, row_);
        PyObject* results = CallElement(element, record_);
        HR_RETURN_IF_ERROR(Begin(element.function, results));
      }
      HR_ASSIGN_OR_RETURN(const Progress progress, Drain(element.function));
      if (progress == Progress::kBlocked) return progress;
    }
    Keep(nullptr);
    return EndBatch();
  }

  Result<Progress> OnWatermark(TimestampMs watermark, Output& out) override {
    scope_->cursor.watermark = watermark;
    return FireTimers(TimeDomain::kEventTime, watermark, out);
  }

  TimestampMs NextProcessingTime() override {
    if (!keyed() || !on_timer_) return kMaxWatermark;
    return context_.keyed_state->timers().NextTime(TimeDomain::kProcessingTime);
  }

  Result<Progress> OnProcessingTime(TimestampMs now, Output& out) override {
    return FireTimers(TimeDomain::kProcessingTime, now, out);
  }

 private:
  enum class Form : uint8_t { kValue, kContext, kCollector };
  struct Element {
    UserFunction function;
    Form form = Form::kValue;
    PyRef context;
  };

  Status OnOpen() override {
    collected_ = std::make_shared<Collected>();
    collected_->reuse_objects = spec_->object_reuse;
    Element& element = elements_[0];
    if (spec_->kind == "flat_map" || spec_->kind == "keyed_flat_map") {
      HR_ASSIGN_OR_RETURN(element.function, UserFunction::Bind(function_.get(), "flat_map"));
      return Status::Ok();
    }
    side_outputs_ = true;
    HR_ASSIGN_OR_RETURN(element.function, UserFunction::Bind(function_.get(), "process_element"));
    element.form = Form::kContext;
    HR_RETURN_IF_ERROR(spec_->second_input ? OpenBroadcast() : OpenSingle());
    if (!element.context || !timer_context_) return Failed();
    if (PyObject_HasAttrString(function_.get(), "on_timer")) {
      HR_ASSIGN_OR_RETURN(on_timer_, UserFunction::Bind(function_.get(), "on_timer"));
      timer_form_ = on_timer_.parameters() == 3 ? Form::kCollector : Form::kContext;
    }
    return Status::Ok();
  }

  static Status Failed() { return StatusFromPython(StatusCode::kInternal, "process function"); }

  Status OpenSingle() {
    Element& element = elements_[0];
    PyObject* arity = spec_->Option("arity");
    const int parameters =
        arity ? static_cast<int>(PyLong_AsLong(arity)) : element.function.parameters();
    PyErr_Clear();
    if (parameters == 3) element.form = Form::kCollector;
    element.context = PyRef::Steal(NewContext(scope_));
    timer_context_ = PyRef::Steal(NewTimerContext(scope_));
    collector_ = PyRef::Steal(NewCollector(collected_));
    return collector_ ? Status::Ok() : Failed();
  }

  Status OpenBroadcast() {
    PyRef descriptors = PyRef::Steal(
        PySequence_Fast(spec_->Option("broadcast_states"), "broadcast_states is a sequence"));
    if (!descriptors) return Failed();
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(descriptors.get()); ++i) {
      std::string name;
      if (!RegisterBroadcastState(scope_, PySequence_Fast_GET_ITEM(descriptors.get(), i), &name)) {
        return StatusFromPython(StatusCode::kInvalidArgument, "broadcast()");
      }
    }
    elements_[0].context = PyRef::Steal(
        NewBroadcastContext(scope_, keyed() ? BroadcastSide::kKeyed : BroadcastSide::kPlain));
    timer_context_ = PyRef::Steal(NewBroadcastContext(scope_, BroadcastSide::kTimer));
    Element& second = elements_[1];
    HR_ASSIGN_OR_RETURN(second.function,
                        UserFunction::Bind(function_.get(), "process_broadcast_element"));
    second.form = Form::kContext;
    second.context = PyRef::Steal(NewBroadcastContext(scope_, BroadcastSide::kBroadcast));
    return second.context ? Status::Ok() : Failed();
  }

  // REQUIRES: the GIL is held.
  void Keep(PyObject* record) { Py_XSETREF(record_, record); }

  PyObject* CallElement(const Element& element, PyObject* record) {
    switch (element.form) {
      case Form::kValue:
        return element.function.Call(record);
      case Form::kContext:
        return element.function.Call(record, element.context.get());
      case Form::kCollector:
        break;
    }
    collected_->input = record;
    return element.function.Call(record, element.context.get(), collector_.get());
  }

  Status Begin(const UserFunction& function, PyObject* results) {
    if (!results || !results_.Start(results)) {
      return FailedCall(function);
    }
    call_open_ = true;
    return Status::Ok();
  }

  Status FailedCall(const UserFunction& function) const {
    return UserErrorFromPython(function.what(), record_,
                               &function == &on_timer_ ? "timer at" : "record");
  }

  // Emits what the open call gives until it ends or the output is full.
  Result<Progress> Drain(const UserFunction& function) {
    const TimestampMs timestamp = scope_->cursor.timestamp;
    while (true) {
      if (!collected_->values.empty()) HR_RETURN_IF_ERROR(EmitCollected(function, timestamp));
      if (!results_.has_more()) break;
      if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
      PyObject* result = nullptr;
      const int got = results_.Next(&result);
      if (got < 0) return FailedCall(function);
      if (got == 0) continue;
      Status status = emitter_.Emit(result, record_, timestamp, side_outputs_);
      if (!status.ok()) return ResultStatus(std::move(status), function.what(), record_);
    }
    collected_->input = nullptr;
    call_open_ = false;
    return Progress::kDone;
  }

  // A collector cannot be made to wait: a call's results go out as they are, in batches of the
  // usual size.
  Status EmitCollected(const UserFunction& function, TimestampMs timestamp) {
    std::vector<PyObject*> values;
    values.swap(collected_->values);
    Status failure;
    for (PyObject* value : values) {
      if (!failure.ok()) {
        Py_DECREF(value);
        continue;
      }
      failure = emitter_.Emit(value, value, timestamp, side_outputs_);
      emitter_.FlushWholeBatch();
    }
    values.clear();
    values.swap(collected_->values);
    return ResultStatus(std::move(failure), function.what(), record_);
  }

  Result<Progress> FireTimers(TimeDomain domain, TimestampMs until, Output& out) {
    if (!keyed() || !on_timer_) return Progress::kDone;
    TimerService& timers = context_.keyed_state->timers();
    if (!call_open_ && timers.NextTime(domain) > until) return Progress::kDone;
    GilScope gil;
    if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
    for (int fired = 0;; ++fired) {
      if (!call_open_) {
        if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
        Timer timer;
        if (fired == kTimersACall) {
          emitter_.Flush();
          return Progress::kBlocked;
        }
        if (!timers.PopDue(domain, until, &timer)) break;
        HR_RETURN_IF_ERROR(BeginTimer(domain, timer));
      }
      HR_ASSIGN_OR_RETURN(const Progress progress, Drain(on_timer_));
      if (progress == Progress::kBlocked) return progress;
    }
    Keep(nullptr);
    MoveAway();
    scope_->CleanUp(0);
    emitter_.Flush();
    return Progress::kDone;
  }

  Status BeginTimer(TimeDomain domain, const Timer& timer) {
    KeyCursor& cursor = scope_->cursor;
    cursor.id = timer.key;
    cursor.key_column = nullptr;
    cursor.timestamp = timer.time;
    cursor.domain = domain;
    // Stands for the record in messages.
    Keep(PyLong_FromLongLong(timer.time));
    PyObject* context = timer_context_.get();
    PyObject* results = timer_form_ == Form::kCollector
                            ? on_timer_.Call(record_, context, collector_.get())
                            : on_timer_.Call(record_, context);
    return Begin(on_timer_, results);
  }

  Element elements_[2];  // by input
  RecordReader second_reader_{spec_->second_input};
  UserFunction on_timer_;
  Form timer_form_ = Form::kContext;
  bool side_outputs_ = false;
  PyRef timer_context_;
  PyRef collector_;
  CollectedPtr collected_;

  // The cursor: a call whose results are not all emitted.
  bool call_open_ = false;
  PyObject* record_ = nullptr;  // owned: the record, or a timer's time
  ResultStream results_;
};

}  // namespace

std::unique_ptr<Operator> MakeProcessOperator(const PythonOperatorSpecPtr& spec, PyRef* function) {
  const std::string& kind = spec->kind;
  if (kind == "flat_map" || kind == "keyed_flat_map" || kind == "process" ||
      kind == "keyed_process" || kind == "broadcast_process" || kind == "keyed_broadcast_process") {
    return std::make_unique<ProcessOperator>(spec, std::move(*function));
  }
  return nullptr;
}

}  // namespace headrace::bindings
