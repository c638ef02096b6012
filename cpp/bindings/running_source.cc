#include "bindings/running_source.h"

#include <pybind11/pybind11.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>

#include "bindings/errors.h"
#include "bindings/record_writer.h"
#include "bindings/source_errors.h"
#include "bindings/source_position.h"
#include "bindings/value_copy.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

constexpr size_t kQueueRows = 1024;

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

  PyRef function;
  bool positioned = false;
};
using HandoverPtr = std::shared_ptr<Handover>;

/// `ctx` of `run(ctx)`.
class SourceContext {
 public:
  explicit SourceContext(HandoverPtr handover) : handover_(std::move(handover)) {}

  void Collect(const py::object& value, TimestampMs timestamp) {
    Handover::Row row;
    row.record = PyRef::Steal(PassOutBorrowed(value.ptr(), nullptr));
    if (!row.record) throw py::error_already_set();
    row.timestamp = timestamp;
    if (handover_->positioned) {
      row.position = ValueOrThrow(SourcePosition(handover_->function.get()).Current());
    }
    const bool cancelled = WithoutGil([&] {
      std::unique_lock<std::mutex> lock(handover_->mutex);
      handover_->changed.wait(
          lock, [&] { return handover_->rows.size() < kQueueRows || handover_->cancelled; });
      if (!handover_->cancelled) handover_->rows.push_back(std::move(row));
      return handover_->cancelled;
    });
    if (cancelled) {
      PyErr_SetString(TaskInterruptClass(), "the job is stopping");
      throw py::error_already_set();
    }
  }

 private:
  HandoverPtr handover_;
};

/// Body of the thread of `run`.
void Run(const HandoverPtr& handover) {
  Status outcome;
  {
    const GilScope gil;
    const py::object context = py::cast(SourceContext(handover));
    const auto done =
        PyRef::Steal(PyObject_CallMethod(handover->function.get(), "run", "O", context.ptr()));
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
    return Status::Ok();
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
      if (ended && !handover_->failure.ok()) return handover_->failure;
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
    const bool ended = WithoutGil([this] {
      std::unique_lock<std::mutex> lock(handover_->mutex);
      return handover_->changed.wait_for(lock, std::chrono::milliseconds(500),
                                         [this] { return handover_->ended; });
    });
    // A function that does not return is left alone: what it holds is shared, and it can hand
    // nothing over.
    if (ended) {
      WithoutGil([this] { thread_->Join(); });
    } else {
      thread_->Detach();
    }
    thread_.reset();
    return Status::Ok();
  }

 private:
  HandoverPtr handover_;
  RecordWriter writer_;
  Env* env_ = nullptr;
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

void BindSourceContext(PyObject* module) {
  py::class_<SourceContext>(py::handle(module), "SourceContext")
      .def("collect",
           [](SourceContext& self, const py::object& value) { self.Collect(value, kNoTimestamp); })
      .def("collect_with_timestamp", &SourceContext::Collect);
}

}  // namespace headrace::bindings
