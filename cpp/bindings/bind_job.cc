#include <pybind11/stl.h>

#include <memory>
#include <string>

#include "bindings/checkpoint_sizes_dict.h"
#include "bindings/cold_store_factory.h"
#include "bindings/collect_rows.h"
#include "bindings/collectable.h"
#include "bindings/errors.h"
#include "bindings/gil.h"
#include "bindings/graph_holder.h"
#include "bindings/graph_objects.h"
#include "bindings/live_jobs.h"
#include "bindings/manifest_dict.h"
#include "bindings/native_options.h"
#include "bindings/python_thread_hooks.h"
#include "bindings/python_transport.h"
#include "headrace/checkpoint/savepoint.h"
#include "headrace/runtime/job.h"

namespace py = pybind11;

namespace headrace::bindings {
namespace {

template <typename T>
void Read(const py::dict& options, const char* name, T* out) {
  if (options.contains(name)) *out = py::cast<T>(options[name]);
}

RestartSpec RestartOf(const py::dict& options) {
  RestartSpec spec;
  const auto kind = py::cast<std::string>(options["kind"]);
  if (kind == "none") spec.kind = RestartSpec::Kind::kNone;
  if (kind == "fixed_delay") spec.kind = RestartSpec::Kind::kFixedDelay;
  if (kind == "exponential_delay") spec.kind = RestartSpec::Kind::kExponentialDelay;
  if (kind == "failure_rate") spec.kind = RestartSpec::Kind::kFailureRate;
  if (spec.kind == RestartSpec::Kind::kDefault) return spec;
  Read(options, "attempts", &spec.attempts);
  Read(options, "delay_ms", &spec.delay_ms);
  Read(options, "backoff_multiplier", &spec.backoff_multiplier);
  Read(options, "max_delay_ms", &spec.max_delay_ms);
  Read(options, "reset_after_ms", &spec.reset_after_ms);
  Read(options, "interval_ms", &spec.interval_ms);
  return spec;
}

IntervalPolicyOptions AdaptiveOf(const py::dict& options) {
  IntervalPolicyOptions out;
  out.enabled = true;
  Read(options, "min_ms", &out.min_ms);
  Read(options, "max_ms", &out.max_ms);
  Read(options, "target_overhead", &out.target_overhead);
  Read(options, "target_recovery_ms", &out.target_recovery_ms);
  Read(options, "failure_every_ms", &out.failure_every_ms);
  Read(options, "last_checkpoints", &out.last_checkpoints);
  Read(options, "window_ms", &out.window_ms);
  bool over_time = false;
  Read(options, "over_time", &over_time);
  if (over_time) out.estimate = EstimateOver::kTime;
  return out;
}

py::dict DecisionDict(const IntervalDecision& decision) {
  py::dict out;
  out["interval_ms"] = decision.interval_ms;
  out["why"] = decision.why;
  out["change_rate"] = decision.change_rate;
  out["dirty_bytes"] = decision.dirty_bytes;
  out["budget_rate"] = decision.budget_rate;
  out["fixed_seconds"] = decision.fixed_s;
  out["replay_share"] = decision.replay_share;
  out["budget_ms"] = decision.budget_ms;
  out["optimum_ms"] = decision.optimum_ms;
  out["recovery_ms"] = decision.recovery_ms < 0 ? py::object(py::none())
                                                : py::object(py::int_(decision.recovery_ms));
  return out;
}

py::dict RecoveryDict(const RecoveryRecord& record) {
  py::dict item;
  item["cause"] = record.cause;
  item["checkpoint"] = record.checkpoint;
  item["downtime_ms"] = record.downtime_ms;
  item["seconds"] = static_cast<double>(record.downtime_ms) / 1000;
  item["rows_replayed"] = record.rows_replayed;
  return item;
}

py::list RecoveryList(const std::vector<RecoveryRecord>& records) {
  py::list out;
  for (const RecoveryRecord& record : records) out.append(RecoveryDict(record));
  return out;
}

/// Tells the log, on the thread of the job's loop. What the log raises is shown as what cannot be
/// raised anywhere.
void LogRecovery(const std::string& job, const RecoveryRecord& record) {
  if (InterpreterIsEnding()) return;
  GilScope gil;
  try {
    py::module_::import("headrace.common.job").attr("log_recovery")(job, RecoveryDict(record));
  } catch (py::error_already_set& error) {
    error.discard_as_unraisable("headrace: logging a restart");
  }
}

void ReadCompression(const py::dict& options, JobOptions* out) {
  const auto parse = [](const std::string& key, const std::string& text) {
    Result<Compression> compression = ParseCompression(text);
    ThrowIfError(compression.status().WithContext(key));
    return *compression;
  };
  const std::string key = "state.compression.codec";
  if (options.contains("compression")) {
    out->compression = parse(key, py::cast<std::string>(options["compression"]));
  }
  std::map<std::string, std::string> states;
  Read(options, "state_compression", &states);
  for (const auto& [state, text] : states) {
    out->state_compression[state] = parse(key + "." + state, text);
  }
}

JobOptions OptionsOf(const py::dict& options, bool* exactly_once_required) {
  Read(options, "exactly_once_required", exactly_once_required);
  JobOptions out;
  out.env = &RealEnv();
  out.hooks = PythonThreadHooks();
  Read(options, "name", &out.name);
  Read(options, "job_key", &out.job_key);
  Read(options, "native_threads", &out.native_threads);
  Read(options, "buffer_timeout_ms", &out.buffer_timeout_ms);
  Read(options, "channel_rows", &out.channel_rows);
  Read(options, "batch_rows", &out.batch_rows);
  Read(options, "state_memory_budget_bytes", &out.state_memory_budget_bytes);
  Read(options, "partition_bytes", &out.partition_bytes);
  ReadCompression(options, &out);
  Read(options, "incremental_checkpoints", &out.incremental_checkpoints);
  Read(options, "encryption_key_id", &out.encryption_key_id);
  Read(options, "scratch_directory", &out.scratch_directory);
  if (options.contains("state_backend")) {
    out.cold_stores = ColdStoresOf(py::cast<std::string>(options["state_backend"]));
  }
  Read(options, "checkpoint_interval_ms", &out.checkpoints.interval_ms);
  Read(options, "checkpoint_timeout_ms", &out.checkpoints.timeout_ms);
  Read(options, "checkpoint_min_pause_ms", &out.checkpoints.min_pause_ms);
  Read(options, "tolerable_checkpoint_failures", &out.checkpoints.tolerable_failures);
  Read(options, "at_least_once", &out.checkpoints.at_least_once);
  if (options.contains("adaptive_interval")) {
    out.checkpoints.adaptive = AdaptiveOf(options["adaptive_interval"]);
  }
  if (options.contains("checkpoint_retention")) {
    const auto retention = py::cast<std::string>(options["checkpoint_retention"]);
    if (retention == "on_failure") out.checkpoint_retention = CheckpointRetention::kOnFailure;
    if (retention == "never") out.checkpoint_retention = CheckpointRetention::kNever;
  }
  Read(options, "checkpoint_directory", &out.checkpoint_directory);
  Read(options, "retained_checkpoints", &out.retained_checkpoints);
  if (options.contains("checkpoint_transport")) {
    out.checkpoint_transport =
        MakePythonTransport(PyRef::Borrow(py::object(options["checkpoint_transport"]).ptr()));
  }
  Read(options, "restore_path", &out.restore_path);
  Read(options, "restore_uri", &out.restore_uri);
  Read(options, "allow_older", &out.allow_older);
  Read(options, "allow_dropped_state", &out.allow_dropped_state);
  Read(options, "chaining", &out.chaining);
  Read(options, "object_reuse", &out.object_reuse);
  Read(options, "job_parameters", &out.job_parameters);
  if (options.contains("restart")) out.restart = RestartOf(options["restart"]);
  if (options.contains("collect")) {
    const auto buffer = py::cast<const CollectRows&>(options["collect"]).buffer();
    out.on_ended = [buffer](bool finished) { buffer->Close(finished); };
  }
  out.on_recovered = [job = out.name](const RecoveryRecord& record) { LogRecovery(job, record); };
  return out;
}

/// Ctrl-C while a remote storage was waited for is what it is everywhere else.
void RaiseInterruptAgain(const Status& status) {
  if (status.code() != StatusCode::kCancelled) return;
  const auto* raised = dynamic_cast<const PythonErrorPayload*>(status.payload().get());
  if (!raised) return;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised->exception())), raised->exception());
  throw py::error_already_set();
}

/// Exactly once was asked for by name: a source that cannot go back to a position is refused.
Status RefuseUnreplayable(const StreamGraph& graph) {
  for (const StreamNode& node : graph.nodes) {
    if (node.source && !node.source->replayable()) {
      return Status::InvalidArgument(
          "source '" + node.name +
          "' has no position to go back to, but execution.checkpointing.mode is EXACTLY_ONCE: give "
          "it snapshot_state and restore_state, or set AT_LEAST_ONCE");
    }
  }
  return Status::Ok();
}

py::list CheckpointList(const std::vector<CheckpointRecord>& records) {
  py::list out;
  for (const CheckpointRecord& record : records) {
    py::dict item;
    item["id"] = record.id;
    item["completed"] = record.completed;
    item["final"] = record.final;
    item["savepoint"] = record.savepoint;
    item["failure"] = record.failure;
    item["triggered_ms"] = record.triggered_ms;
    item["duration_ms"] = record.duration_ms;
    item["bytes_written"] = record.bytes_written;
    item["state_bytes"] = record.state_bytes;
    item["partitions_written"] = record.partitions_written;
    item["interval"] =
        record.interval ? py::object(DecisionDict(*record.interval)) : py::object(py::none());
    item["rows_written"] = record.rows_written;
    item["raw_bytes"] = record.raw_bytes;
    item["sizes"] = record.sizes ? py::object(CheckpointSizesDict(*record.sizes)) : py::none();
    out.append(std::move(item));
  }
  return out;
}

bool IsTerminal(JobState state) {
  return state == JobState::kCanceled || state == JobState::kFinished || state == JobState::kFailed;
}

/// `_core.Job`. The core's job is shared with the list of live jobs, which cancels it at exit.
class PythonJob {
 public:
  /// `options` is a dict that the caller owns: a reference of our own would be dropped without the
  /// GIL when the interpreter ends while the job is made.
  PythonJob(const GraphHolder& graph, py::handle options) {
    ThrowIfError(RefuseInForkedChild());
    bool exactly_once_required = false;
    JobOptions job_options = OptionsOf(py::cast<py::dict>(options), &exactly_once_required);
    if (exactly_once_required) ThrowIfError(RefuseUnreplayable(graph.stream));
    JobGraph job_graph = ValueOrThrow(BuildJobGraph(graph.stream, job_options.chaining));
    auto made =
        WithoutGil([&] { return Job::Create(std::move(job_graph), std::move(job_options)); });
    if (!made.ok()) RaiseInterruptAgain(made.status());
    job_ = ValueOrThrow(std::move(made));
    AddLiveJob(job_);
  }
  ~PythonJob() {
    if (!job_) return;
    if (InForkedChild()) {
      // Its threads did not come along: nobody could join them, and what they held stays as it was.
      new std::shared_ptr<Job>(std::move(job_));
    } else if (started_ && !job_->WaitFor(0)) {
      DropJob(std::move(job_));
    }
  }

  void Start() {
    ThrowIfError(RefuseInForkedChild());
    started_ = true;
    ThrowIfError(WithoutGil([&] { return job_->Start(); }));
  }
  bool Wait(int64_t timeout_ms) {
    ThrowIfError(RefuseInForkedChild());
    return WithoutGil([&] { return job_->WaitFor(timeout_ms); });
  }
  void Cancel() {
    ThrowIfError(RefuseInForkedChild());
    WithoutGil([&] { job_->Cancel(); });
  }
  SavepointRequestPtr RequestSavepoint(std::string directory, const std::string& stop) {
    ThrowIfError(RefuseInForkedChild());
    const SavepointStop what = stop == "drain"     ? SavepointStop::kDrain
                               : stop == "suspend" ? SavepointStop::kSuspend
                                                   : SavepointStop::kNone;
    return WithoutGil([&] { return job_->RequestSavepoint(std::move(directory), what); });
  }
  ErasureRequestPtr RequestErasure(const KeyErasure& erasure) {
    ThrowIfError(RefuseInForkedChild());
    return WithoutGil([&] { return job_->RequestErasure(erasure); });
  }
  void SetCheckpointInterval(int64_t interval_ms) {
    ThrowIfError(RefuseInForkedChild());
    WithoutGil([&] { job_->SetCheckpointInterval(interval_ms); });
  }
  std::string State() const {
    ThrowIfError(RefuseInForkedChild());
    return std::string(JobStateName(job_->state()));
  }
  std::map<std::string, int64_t> Metrics() const {
    ThrowIfError(RefuseInForkedChild());
    return WithoutGil([&] { return job_->Metrics(); });
  }
  py::list Checkpoints() const {
    ThrowIfError(RefuseInForkedChild());
    return CheckpointList(WithoutGil([&] { return job_->Checkpoints(); }));
  }
  py::list StateRegistry() const {
    ThrowIfError(RefuseInForkedChild());
    py::list out;
    for (const RegisteredState& line : WithoutGil([&] { return job_->StateRegistry(); })) {
      auto item = py::cast<py::dict>(RegistryList({line.state})[0]);
      item["operator"] = line.operator_id;
      item["operator_name"] = line.operator_name;
      item["subtask"] = line.subtask;
      out.append(std::move(item));
    }
    return out;
  }
  std::vector<std::pair<std::string, std::string>> OperatorIds() const {
    ThrowIfError(RefuseInForkedChild());
    return job_->OperatorIds();
  }
  py::list Recoveries() const {
    ThrowIfError(RefuseInForkedChild());
    return RecoveryList(WithoutGil([&] { return job_->Recoveries(); }));
  }
  std::string CheckpointDirectory() const {
    ThrowIfError(RefuseInForkedChild());
    return job_->CheckpointDirectory();
  }

  /// A failure holds the user's exception, and that its frames.
  int Visit(visitproc visit, void* arg) const {
    if (InForkedChild() || !IsTerminal(job_->state())) return 0;
    const std::shared_ptr<StatusPayload>& payload = job_->result().status.payload();
    const auto* raised = dynamic_cast<const PythonErrorPayload*>(payload.get());
    if (raised && payload.use_count() == 1) Py_VISIT(raised->exception());
    return 0;
  }

  /// REQUIRES: the job ended.
  std::string LeftBehind() const { return job_->result().left_behind; }

  py::dict Result() const {
    ThrowIfError(RefuseInForkedChild());
    const JobResult& result = job_->result();
    if (!result.status.ok()) {
      // A job that was asked to stop did what it was asked.
      if (result.state != JobState::kCanceled) ThrowStatus(result.status);
    }
    py::dict out;
    out["state"] = std::string(JobStateName(result.state));
    out["runtime_ms"] = result.runtime_ms;
    out["metrics"] = result.metrics;
    out["messages"] = result.messages;
    out["recoveries"] = RecoveryList(result.recoveries);
    return out;
  }

 private:
  std::shared_ptr<Job> job_;
  bool started_ = false;
};

}  // namespace

void BindJob(py::module_& module) {
  py::class_<SavepointRequest, SavepointRequestPtr>(module, "SavepointRequest")
      .def("done", &SavepointRequest::resolved)
      .def(
          "wait",
          [](SavepointRequest& request, int64_t timeout_ms) {
            return WithoutGil([&] { return request.WaitFor(timeout_ms); });
          },
          py::arg("timeout_ms"))
      .def("path", [](const SavepointRequest& request) { return ValueOrThrow(request.outcome()); });

  py::class_<PythonJob>(module, "Job", Collectable<PythonJob>())
      .def(py::init<const GraphHolder&, py::handle>())
      .def("start", &PythonJob::Start)
      .def("wait", &PythonJob::Wait, py::arg("timeout_ms"))
      .def("cancel", &PythonJob::Cancel)
      .def("request_savepoint", &PythonJob::RequestSavepoint, py::arg("directory"), py::arg("stop"))
      .def("request_erasure", &PythonJob::RequestErasure, py::arg("erasure"))
      .def("set_checkpoint_interval", &PythonJob::SetCheckpointInterval, py::arg("interval_ms"))
      .def("state", &PythonJob::State)
      .def("metrics", &PythonJob::Metrics)
      .def("checkpoints", &PythonJob::Checkpoints)
      .def("state_registry", &PythonJob::StateRegistry)
      .def("operator_ids", &PythonJob::OperatorIds)
      .def("recoveries", &PythonJob::Recoveries)
      .def("checkpoint_directory", &PythonJob::CheckpointDirectory)
      .def("left_behind", &PythonJob::LeftBehind)
      .def("result", &PythonJob::Result);

  module.def("load_manifest", [](const std::string& path) {
    std::string directory;
    return ManifestDict(ValueOrThrow(LoadManifest(RealEnv().files(), path, &directory)));
  });
  module.def("gil_acquisitions", [] { return gil_acquisitions.load(std::memory_order_relaxed); });

  // At exit the jobs are stopped while the interpreter still works, so that their threads can end
  // by themselves.
  module.def("_stop_live_jobs", [] { WithoutGil([] { StopLiveJobs(5000); }); });
  py::module_::import("atexit").attr("register")(module.attr("_stop_live_jobs"));
}

}  // namespace headrace::bindings
