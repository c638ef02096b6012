#include "bindings/window_function.h"

#include <map>
#include <tuple>
#include <utility>

#include "bindings/checkpoint_context_types.h"
#include "bindings/collectable.h"
#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/native_options.h"
#include "bindings/result_stream.h"
#include "bindings/runtime_context_type.h"
#include "bindings/state_type.h"
#include "bindings/value_decoder.h"
#include "bindings/value_encoder.h"
#include "headrace/state/list_rows.h"
#include "headrace/windows/general_window_operator.h"

namespace headrace::bindings {
namespace {

PyTypeObject* window_context_type = nullptr;

// ---- The context of ProcessWindowFunction ----

struct WindowContext {
  TaskScopePtr scope;
  PyRef window;  // of the window that fires
};
using ContextHandle = Boxed<WindowContext>;

PyObject* Window(PyObject* self, PyObject*) {
  PyObject* window = ContextHandle::Of(self).window.get();
  return window ? Py_NewRef(window) : RaiseNoKey("a window context");
}
PyObject* CurrentProcessingTime(PyObject* self, PyObject*) {
  Env* env = ContextHandle::Of(self).scope->context.env;
  return PyLong_FromLongLong((env ? *env : RealEnv()).NowMs());
}
PyObject* CurrentWatermark(PyObject* self, PyObject*) {
  return PyLong_FromLongLong(ContextHandle::Of(self).scope->cursor.watermark);
}
PyObject* WindowStates(PyObject* self, PyObject*) {
  return NewRuntimeContext(ContextHandle::Of(self).scope, /*per_window=*/true);
}
PyObject* GlobalStates(PyObject* self, PyObject*) {
  return NewRuntimeContext(ContextHandle::Of(self).scope);
}

PyMethodDef context_methods[] = {
    {"window", Window, METH_NOARGS, "The window that fires."},
    {"current_processing_time", CurrentProcessingTime, METH_NOARGS, "Wall clock in ms."},
    {"current_watermark", CurrentWatermark, METH_NOARGS, "Event time reached."},
    {"window_state", WindowStates, METH_NOARGS, "State of this key and window."},
    {"global_state", GlobalStates, METH_NOARGS, "State of this key, for all its windows."},
    {nullptr, nullptr, 0, nullptr},
};

/// What is done with the rows of a window.
enum class Contents : uint8_t { kAggregate, kReduce, kElements };

/// Windows whose contents Python code makes and reads.
///
/// Accumulators are kept alive in a cache between batches; those that a batch touched are encoded
/// at its end (Flush), so the rows are always the truth at a barrier.
class PythonWindowFunction final : public WindowFunction {
 public:
  PythonWindowFunction(PythonOperatorSpecPtr spec, PyRef function, PyRef process_function)
      : spec_(std::move(spec)),
        function_(std::move(function)),
        process_function_(std::move(process_function)),
        reader_(spec_->input),
        emitter_(spec_->output, spec_->object_reuse) {}

  Status Open(const OperatorContext& context, const TimestampMs* watermark) override;
  Status BeginBatch(const RecordBatch& batch) override {
    GilScope gil;
    reader_.Bind(batch);
    records_ += batch.num_rows;
    return Status::Ok();
  }
  Status Add(const WindowGroup& group, const RecordBatch& batch, int64_t row) override;
  Result<Progress> Fire(const WindowGroup& group, Output& out) override;
  Status Clear(const WindowGroup& group) override;
  Result<Progress> Flush(Output& out) override;
  Status Snapshot(uint64_t checkpoint_id, OperatorState* state) override;
  std::vector<StateRegistration> OperatorStateRegistry() const override {
    return scope_->operator_states.Registry();
  }
  Status Close() override;

 private:
  struct Accumulator {
    PyRef value;
    bool dirty = false;
  };
  using Place = std::tuple<KeyId, TimestampMs, TimestampMs>;
  static constexpr size_t kCachedMax = 4096;

  static Place PlaceOf(const WindowGroup& group) {
    return {group.key, group.window.start, group.window.end};
  }
  void MoveTo(const WindowGroup& group) {
    KeyCursor& cursor = scope_->cursor;
    cursor.id = group.key;
    cursor.key_column = nullptr;
    cursor.ns = group.ns;
    cursor.timestamp = group.window.max_timestamp();
    cursor.watermark = *watermark_;
  }
  void MoveAway() {
    scope_->cursor.id = kNoKey;
    scope_->cursor.ns = {};
  }
  Status BindFunctions();
  Status AddElement(const WindowGroup& group, PyObject* record);
  /// The cached or stored accumulator; one without a value when there is none.
  Result<Accumulator*> Find(const WindowGroup& group);
  Status WriteBack();
  /// The window's elements or result as a list: what a process function iterates over.
  Result<PyRef> ElementsOf(const WindowGroup& group);
  Status BeginFire(const WindowGroup& group);
  /// The current Python error of a call for a whole window.
  Status FailedForKey(const UserFunction& function) const;

  const PythonOperatorSpecPtr spec_;
  const PyRef function_;
  const PyRef process_function_;
  OperatorContext context_;
  const TimestampMs* watermark_ = nullptr;
  TaskScopePtr scope_;
  CheckpointedCallbacks checkpointed_;
  CheckpointedCallbacks process_checkpointed_;
  RecordReader reader_;
  int64_t records_ = 0;  // since the last Flush
  RowEmitter emitter_;
  RowState* rows_ = nullptr;
  Contents contents_ = Contents::kElements;

  UserFunction create_, add_, get_result_, reduce_;  // as `contents_` needs them
  UserFunction process_;                             // process or apply; may be absent
  UserFunction clear_;
  bool process_has_context_ = false;
  bool all_windows_ = false;
  PyRef window_class_;
  PyRef window_context_;

  std::map<Place, Accumulator> cache_;
  std::vector<Place> dirty_;
  ByteWriter scratch_;

  // The cursor of a Fire that is not over.
  bool fire_open_ = false;
  ResultStream results_;
};

Status PythonWindowFunction::Open(const OperatorContext& context, const TimestampMs* watermark) {
  GilScope gil;
  context_ = context;
  watermark_ = watermark;
  scope_ = std::make_shared<TaskScope>(context);
  if (context.operator_state) {
    HR_RETURN_IF_ERROR(scope_->operator_states.Load(*context.operator_state));
  }
  HR_RETURN_IF_ERROR(checkpointed_.Initialize(function_.get(), scope_));
  HR_RETURN_IF_ERROR(process_checkpointed_.Initialize(process_function_.get(), scope_));
  HR_RETURN_IF_ERROR(OpenUserObject(function_.get(), scope_));
  if (process_function_) HR_RETURN_IF_ERROR(OpenUserObject(process_function_.get(), scope_));
  HR_RETURN_IF_ERROR(BindFunctions());
  window_context_ =
      PyRef::Steal(ContextHandle::New(window_context_type, WindowContext{scope_, {}}));
  if (!window_context_) return StatusFromPython(StatusCode::kInternal, "window context");
  const char* fingerprint =
      contents_ == Contents::kElements ? "window-list<object>" : "window-value<object>";
  HR_ASSIGN_OR_RETURN(rows_, context.keyed_state->RegisterRows("window-contents", fingerprint));
  return Status::Ok();
}

Status PythonWindowFunction::BindFunctions() {
  PyObject* function = function_.get();
  const std::string call = spec_->TextOption("call");
  all_windows_ = spec_->Option("all_windows") == Py_True;
  window_class_ = PyRef::Borrow(spec_->Option("context_class"));
  if (call == "aggregate") {
    contents_ = Contents::kAggregate;
    HR_ASSIGN_OR_RETURN(create_, UserFunction::Bind(function, "create_accumulator"));
    HR_ASSIGN_OR_RETURN(add_, UserFunction::Bind(function, "add"));
    HR_ASSIGN_OR_RETURN(get_result_, UserFunction::Bind(function, "get_result"));
  } else if (call == "reduce") {
    contents_ = Contents::kReduce;
    HR_ASSIGN_OR_RETURN(reduce_, UserFunction::Bind(function, "reduce"));
  }
  PyObject* processor = contents_ == Contents::kElements ? function : process_function_.get();
  if (!processor) return Status::Ok();
  process_has_context_ = PyObject_HasAttrString(processor, "process") == 1;
  HR_ASSIGN_OR_RETURN(process_,
                      UserFunction::Bind(processor, process_has_context_ ? "process" : "apply"));
  if (process_has_context_ && PyObject_HasAttrString(processor, "clear")) {
    HR_ASSIGN_OR_RETURN(clear_, UserFunction::Bind(processor, "clear"));
  }
  return Status::Ok();
}

Status PythonWindowFunction::Add(const WindowGroup& group, const RecordBatch&, int64_t row) {
  GilScope gil;
  PyRef record = PyRef::Steal(reader_.Read(row));
  if (!record) return StatusFromPython(StatusCode::kInvalidArgument, "a record cannot be read");
  if (contents_ == Contents::kElements) return AddElement(group, record.get());
  MoveTo(group);
  HR_ASSIGN_OR_RETURN(Accumulator * accumulator, Find(group));
  PyRef next;
  const UserFunction& function = contents_ == Contents::kAggregate ? add_ : reduce_;
  if (contents_ == Contents::kReduce) {
    next = accumulator->value ? PyRef::Steal(reduce_.Call(accumulator->value.get(), record.get()))
                              : PyRef::Borrow(record.get());
  } else {
    if (!accumulator->value) {
      accumulator->value = PyRef::Steal(create_.CallNoArgs());
      if (!accumulator->value) return UserErrorFromPython(create_.what(), record.get());
    }
    next = PyRef::Steal(add_.Call(record.get(), accumulator->value.get()));
  }
  MoveAway();
  if (!next) return UserErrorFromPython(function.what(), record.get());
  accumulator->value = std::move(next);
  if (!accumulator->dirty) {
    accumulator->dirty = true;
    dirty_.push_back(PlaceOf(group));
  }
  return Status::Ok();
}

Status PythonWindowFunction::AddElement(const WindowGroup& group, PyObject* record) {
  scratch_.Clear();
  if (Status status = EncodePython(record, &scratch_); !status.ok()) {
    return status.WithContext("keeping record " + ShortRepr(record) + " in its window");
  }
  ListAppender list(rows_, group.key, group.ns);
  list.Append(scratch_.view());
  list.Finish();
  return Status::Ok();
}

Result<PythonWindowFunction::Accumulator*> PythonWindowFunction::Find(const WindowGroup& group) {
  const Place place = PlaceOf(group);
  const auto found = cache_.find(place);
  if (found != cache_.end()) return &found->second;
  if (cache_.size() >= kCachedMax) {
    HR_RETURN_IF_ERROR(WriteBack());
    cache_.clear();
  }
  Accumulator accumulator;
  std::string_view bytes;
  if (rows_->Get(group.key, group.ns, {}, &bytes)) {
    HR_ASSIGN_OR_RETURN(accumulator.value, DecodePython(std::string(bytes)));
  }
  return &cache_.emplace(place, std::move(accumulator)).first->second;
}

Status PythonWindowFunction::WriteBack() {
  for (const Place& place : dirty_) {
    const auto found = cache_.find(place);
    if (found == cache_.end() || !found->second.dirty) continue;
    scratch_.Clear();
    HR_RETURN_IF_ERROR(EncodePython(found->second.value.get(), &scratch_)
                           .WithContext("the accumulator of a window"));
    const auto& [key, start, end] = place;
    rows_->Put(key, EncodeWindow({start, end}), {}, scratch_.view());
    found->second.dirty = false;
  }
  dirty_.clear();
  return Status::Ok();
}

Result<PyRef> PythonWindowFunction::ElementsOf(const WindowGroup& group) {
  PyRef list = PyRef::Steal(PyList_New(0));
  if (!list) return StatusFromPython(StatusCode::kResourceExhausted, "the elements of a window");
  if (contents_ == Contents::kElements) {
    const std::string bytes = ReadList(*rows_, group.key, group.ns);
    for (ByteReader in(bytes); !in.done();) {
      HR_ASSIGN_OR_RETURN(PyRef element, DecodePython(&in));
      if (PyList_Append(list.get(), element.get()) < 0) {
        return StatusFromPython(StatusCode::kResourceExhausted, "the elements of a window");
      }
    }
    return list;
  }
  HR_ASSIGN_OR_RETURN(Accumulator * accumulator, Find(group));
  if (!accumulator->value) return list;
  PyRef result = contents_ == Contents::kAggregate
                     ? PyRef::Steal(get_result_.Call(accumulator->value.get()))
                     : PyRef::Borrow(accumulator->value.get());
  if (!result || PyList_Append(list.get(), result.get()) < 0) {
    return FailedForKey(get_result_);
  }
  return list;
}

Status PythonWindowFunction::BeginFire(const WindowGroup& group) {
  HR_ASSIGN_OR_RETURN(PyRef elements, ElementsOf(group));
  fire_open_ = true;
  if (!process_) {
    results_.Start(elements.Release());
    return Status::Ok();
  }
  PyRef window =
      PyRef::Steal(window_class_ ? PyObject_CallFunction(window_class_.get(), "LL",
                                                         static_cast<long long>(group.window.start),
                                                         static_cast<long long>(group.window.end))
                                 : Py_BuildValue("(LL)", static_cast<long long>(group.window.start),
                                                 static_cast<long long>(group.window.end)));
  PyRef key = PyRef::Steal(window ? scope_->cursor.CurrentKey() : nullptr);
  if (!key) return UserErrorFromPython(process_.what(), nullptr);
  ContextHandle::Of(window_context_.get()).window = PyRef::Borrow(window.get());
  PyObject* about = process_has_context_ ? window_context_.get() : window.get();
  PyObject* results = all_windows_ ? process_.Call(about, elements.get())
                                   : process_.Call(key.get(), about, elements.get());
  if (!results || !results_.Start(results)) return FailedForKey(process_);
  return Status::Ok();
}

Status PythonWindowFunction::FailedForKey(const UserFunction& function) const {
  const PyRef key = [this] {
    const KeptError kept;
    return PyRef::Steal(scope_->cursor.CurrentKey());
  }();
  return UserErrorFromPython(function.what(), key.get(), "key");
}

Result<Progress> PythonWindowFunction::Fire(const WindowGroup& group, Output& out) {
  GilScope gil;
  if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
  MoveTo(group);
  if (!fire_open_) HR_RETURN_IF_ERROR(BeginFire(group));
  while (results_.has_more()) {
    if (emitter_.NeedsFlush() && !emitter_.Flush()) return Progress::kBlocked;
    PyObject* result = nullptr;
    const int got = results_.Next(&result);
    if (got < 0) return FailedForKey(process_);
    if (got == 0) break;
    Status status = emitter_.Emit(result, nullptr, group.window.max_timestamp(), true);
    if (!status.ok()) return status.WithContext("result of a window");
  }
  fire_open_ = false;
  MoveAway();
  return Progress::kDone;
}

Status PythonWindowFunction::Clear(const WindowGroup& group) {
  GilScope gil;
  if (clear_) {
    MoveTo(group);
    PyRef done = PyRef::Steal(clear_.Call(window_context_.get()));
    if (!done) return FailedForKey(clear_);
    MoveAway();
  }
  cache_.erase(PlaceOf(group));
  rows_->Clear(group.key, group.ns);
  return Status::Ok();
}

Result<Progress> PythonWindowFunction::Flush(Output& out) {
  GilScope gil;
  HR_RETURN_IF_ERROR(WriteBack());
  HR_RETURN_IF_ERROR(scope_->Flush());
  scope_->CleanUp(std::exchange(records_, 0));
  if (!emitter_.HasRows()) return Progress::kDone;
  if (!emitter_.Begin(context_, &out)) return Progress::kBlocked;
  emitter_.Flush();
  return Progress::kDone;
}

Status PythonWindowFunction::Snapshot(uint64_t checkpoint_id, OperatorState* state) {
  if (checkpointed_ || process_checkpointed_) {
    GilScope gil;
    HR_RETURN_IF_ERROR(checkpointed_.Snapshot(checkpoint_id, scope_));
    HR_RETURN_IF_ERROR(process_checkpointed_.Snapshot(checkpoint_id, scope_));
    HR_RETURN_IF_ERROR(scope_->Flush());
  }
  scope_->operator_states.Save(state);
  return Status::Ok();
}

Status PythonWindowFunction::Close() {
  if (!scope_ || InterpreterIsEnding()) return Status::Ok();
  GilScope gil;
  MoveAway();
  Status status = CloseUserObject(function_.get());
  Status other = CloseUserObject(process_function_.get());
  scope_->Close();
  cache_.clear();
  return status.ok() ? other : status;
}

/// Windows by PythonWindowFunction.
class PythonWindowFactory final : public OperatorFactory, public OwnsPython {
 public:
  PythonWindowFactory(PythonOperatorSpecPtr spec, const WindowSpec& window, PyRef process_function)
      : spec_(std::move(spec)), window_(window), process_function_(std::move(process_function)) {}

  Result<std::unique_ptr<Operator>> Make(int subtask) override {
    auto make = [this](int) { return MakeFunction(); };
    return GeneralWindow(window_, make, /*calls_python=*/true)->Make(subtask);
  }
  bool calls_python() const override { return true; }
  int Visit(visitproc visit, void* arg) const override {
    Py_VISIT(process_function_.get());
    return VisitSpec(spec_, visit, arg);
  }

 private:
  Result<std::unique_ptr<WindowFunction>> MakeFunction() const {
    GilScope gil;
    HR_ASSIGN_OR_RETURN(PyRef function, CopyUserFunction(spec_->function.get()));
    PyRef process_function;
    if (process_function_) {
      HR_ASSIGN_OR_RETURN(process_function, CopyUserFunction(process_function_.get()));
    }
    return std::unique_ptr<WindowFunction>(std::make_unique<PythonWindowFunction>(
        spec_, std::move(function), std::move(process_function)));
  }

  const PythonOperatorSpecPtr spec_;
  const WindowSpec window_;
  const PyRef process_function_;
};

}  // namespace

bool AddWindowContextType(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, context_methods}, {0, nullptr}};
  window_context_type = ContextHandle::MakeType(module, "headrace._core.WindowContext", slots);
  return window_context_type != nullptr;
}

Result<OperatorFactoryPtr> MakePythonWindow(const PythonOperatorSpecPtr& spec) {
  const WindowSpec window =
      WindowSpecOf(pybind11::reinterpret_borrow<pybind11::dict>(spec->options.get()));
  PyRef process;
  if (PyObject* function = spec->Option("process_function")) {
    HR_ASSIGN_OR_RETURN(process, CopyUserFunction(function));
  }
  return OperatorFactoryPtr(
      std::make_shared<PythonWindowFactory>(spec, window, std::move(process)));
}

}  // namespace headrace::bindings
