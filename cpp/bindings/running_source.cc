#include "bindings/running_source.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "bindings/errors.h"
#include "bindings/heap_type.h"
#include "bindings/record_writer.h"
#include "bindings/source_errors.h"
#include "bindings/source_position.h"
#include "bindings/task_scope.h"
#include "bindings/user_function.h"
#include "bindings/value_copy.h"

namespace headrace::bindings {
namespace {

constexpr size_t kQueueRows = 1024;
// How long run() may take to return after cancel(), and then after an exception was raised in it.
constexpr int64_t kCancelMs = 200;
constexpr int64_t kInterruptMs = 300;

/// What `run` has handed over and the task has not taken: bounded, so a fast source waits for a
/// slow job.
/// Threading: guarded by `mutex`; Python values inside are touched with the GIL held.
struct Handover {
  struct Row {
    PyRef record;
    TimestampMs timestamp;
    PyRef position;  ///< after this record; null without positions
  };

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Row> rows;
  bool cancelled = false;
  bool ended = false;
  Status failure;

  unsigned long thread_id = 0;  // Python's, of the thread that runs; 0 before and after. By the GIL
  PyRef function;
  bool positioned = false;
};
using HandoverPtr = std::shared_ptr<Handover>;

// ---- `ctx` of `run(ctx)` ----

PyTypeObject* source_context_type = nullptr;
using ContextHandle = Boxed<HandoverPtr>;

/// False when the job is stopping. The GIL is given up only to wait: once a full queue, not once a
/// record.
bool HandOver(Handover* handover, Handover::Row row) {
  {
    std::unique_lock<std::mutex> lock(handover->mutex, std::try_to_lock);
    if (lock && !handover->cancelled && handover->rows.size() < kQueueRows) {
      handover->rows.push_back(std::move(row));
      return true;
    }
  }
  return WithoutGil([&] {
    std::unique_lock<std::mutex> lock(handover->mutex);
    handover->changed.wait(
        lock, [&] { return handover->rows.size() < kQueueRows || handover->cancelled; });
    if (!handover->cancelled) handover->rows.push_back(std::move(row));
    return !handover->cancelled;
  });
}

PyObject* CollectAt(PyObject* self, PyObject* value, TimestampMs timestamp) {
  Handover* handover = ContextHandle::Of(self).get();
  Handover::Row row;
  row.record = PyRef::Steal(PassOutBorrowed(value, nullptr));
  if (!row.record) return nullptr;
  row.timestamp = timestamp;
  if (handover->positioned) {
    Result<PyRef> position = SourcePosition(handover->function.get()).Current();
    if (!position.ok()) {
      SetPythonError(position.status());
      return nullptr;
    }
    row.position = std::move(*position);
  }
  if (HandOver(handover, std::move(row))) Py_RETURN_NONE;
  PyErr_SetString(TaskInterruptClass(), "the job is stopping");
  return nullptr;
}

PyObject* Collect(PyObject* self, PyObject* value) { return CollectAt(self, value, kNoTimestamp); }

PyObject* CollectWithTimestamp(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 2) {
    return PyErr_Format(PyExc_TypeError,
                        "collect_with_timestamp takes a value and its event time in ms");
  }
  const FrameRef index(PyNumber_Index(args[1]));
  if (!index) {
    return PyErr_Format(PyExc_TypeError,
                        "collect_with_timestamp: the event time is an int (ms), not %R", args[1]);
  }
  const long long timestamp = PyLong_AsLongLong(index.get());
  if (timestamp == -1 && PyErr_Occurred()) return nullptr;
  return CollectAt(self, args[0], timestamp);
}

PyMethodDef source_context_methods[] = {
    {"collect", Collect, METH_O, "Emits a record."},
    {"collect_with_timestamp", MethodOf(CollectWithTimestamp), METH_FASTCALL,
     "Emits a record with its event time in ms."},
    {nullptr, nullptr, 0, nullptr},
};

/// Body of the thread of `run`.
void Run(const HandoverPtr& handover) {
  Status outcome;
  {
    const GilScope gil;
    const auto context = PyRef::Steal(ContextHandle::New(source_context_type, handover));
    handover->thread_id = PyThread_get_thread_ident();
    const auto done = PyRef::Steal(
        context ? PyObject_CallMethod(handover->function.get(), "run", "O", context.get())
                : nullptr);
    handover->thread_id = 0;
    if (!done) outcome = SourceErrorFromPython("run");
  }
  const std::lock_guard<std::mutex> lock(handover->mutex);
  handover->ended = true;
  if (!handover->cancelled) handover->failure = std::move(outcome);
  handover->changed.notify_all();
}

class RunningReader final : public SourceReader {
 public:
  RunningReader(PyRef function, SchemaPtr schema, bool positioned)
      : handover_(std::make_shared<Handover>()), writer_(RecordTypeOf(schema)) {
    handover_->function = std::move(function);
    handover_->positioned = positioned;
  }

  Status Open(const OperatorContext& context) override {
    env_ = context.env;
    scope_ = std::make_shared<TaskScope>(context);
    return OpenUserObject(handover_->function.get(), scope_);
  }

  Status AddSplit(const SplitState& split) override {
    stored_ = split.position;
    added_ = true;
    if (handover_->positioned && !stored_.empty()) {
      HR_RETURN_IF_ERROR(SourcePosition(handover_->function.get()).Restore(stored_));
    }
    thread_ = env_->StartThread("source function", [handover = handover_] { Run(handover); });
    if (thread_ == nullptr)
      return Status::ResourceExhausted("no thread left for the source function");
    return Status::Ok();
  }

  Result<PollResult> Poll(int64_t max_rows) override {
    PollResult result;
    if (!added_ || finished_) {
      result.kind = PollResult::Kind::kFinished;
      return result;
    }
    std::deque<Handover::Row> rows;
    bool ended = false;
    {
      const std::lock_guard<std::mutex> lock(handover_->mutex);
      while (!handover_->rows.empty() && static_cast<int64_t>(rows.size()) < max_rows) {
        rows.push_back(std::move(handover_->rows.front()));
        handover_->rows.pop_front();
      }
      ended = handover_->ended && handover_->rows.empty();
      // Given away: the error knows the frame of run(), that its ctx, and that the handover.
      if (ended && !handover_->failure.ok()) return std::exchange(handover_->failure, Status::Ok());
      handover_->changed.notify_all();
    }
    if (rows.empty() && !ended) {
      result.wait_ms = 1;
      return result;
    }
    for (Handover::Row& row : rows) {
      HR_RETURN_IF_ERROR(writer_.Append(row.record.Release(), row.timestamp));
      if (row.position) latest_ = std::move(row.position);
    }
    finished_ = ended;
    result.kind = PollResult::Kind::kBatch;
    result.batch = writer_.Finish();
    result.split_finished = ended;
    return result;
  }

  Result<std::vector<std::string>> Positions() override {
    if (!added_) return std::vector<std::string>{};
    if (latest_) {
      HR_ASSIGN_OR_RETURN(stored_, SourcePosition::Encode(latest_.get()));
    }
    return std::vector<std::string>{stored_};
  }

  Status Close() override {
    // While run() goes on it may use what close() would take away.
    HR_RETURN_IF_ERROR(EndRun());
    const Status status = CloseUserObject(handover_->function.get());
    if (scope_) scope_->Close();
    return status;
  }

 private:
  /// Asks run() to return and waits for it.
  Status EndRun() {
    if (thread_ == nullptr) return Status::Ok();
    {
      const std::lock_guard<std::mutex> lock(handover_->mutex);
      handover_->cancelled = true;
      handover_->changed.notify_all();
    }
    if (PyObject_HasAttrString(handover_->function.get(), "cancel") != 0) {
      const auto done =
          PyRef::Steal(PyObject_CallMethod(handover_->function.get(), "cancel", nullptr));
      if (!done) PyErr_Clear();  // the job is over; its outcome is decided elsewhere
    }
    bool ended = WaitForEnd(kCancelMs);
    if (!ended && handover_->thread_id != 0) {
      PyThreadState_SetAsyncExc(handover_->thread_id, TaskInterruptClass());
      ended = WaitForEnd(kInterruptMs);
    }
    const std::unique_ptr<Thread> thread = std::move(thread_);
    if (ended) {
      WithoutGil([&] { thread->Join(); });
      handover_->failure = Status::Ok();  // as in Poll
      return Status::Ok();
    }
    // What it holds is shared, and it can hand nothing over.
    thread->Detach();
    return Status::FailedPrecondition(
        "run() of the source function does not return after cancel(); its thread is left behind: "
        "look at a flag that cancel() sets, and do not block for long");
  }

  bool WaitForEnd(int64_t timeout_ms) {
    return WithoutGil([&] {
      std::unique_lock<std::mutex> lock(handover_->mutex);
      return handover_->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                                         [this] { return handover_->ended; });
    });
  }

  HandoverPtr handover_;
  RecordWriter writer_;
  Env* env_ = nullptr;
  TaskScopePtr scope_;
  std::unique_ptr<Thread> thread_;
  PyRef latest_;
  std::string stored_;
  bool added_ = false;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<SourceReader> MakeRunningReader(PyRef function, SchemaPtr schema, bool positioned) {
  return std::make_unique<RunningReader>(std::move(function), std::move(schema), positioned);
}

bool AddSourceContextType(PyObject* module) {
  PyType_Slot slots[] = {{Py_tp_methods, source_context_methods}, {0, nullptr}};
  source_context_type = ContextHandle::MakeType(module, "headrace._core.SourceContext", slots);
  return source_context_type != nullptr;
}

}  // namespace headrace::bindings
