#include <pybind11/stl.h>

#include <memory>
#include <string>

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
  if (spec.kind == RestartSpec::Kind::kDefault) return spec;
  Read(options, "attempts", &spec.attempts);
  Read(options, "delay_ms", &spec.delay_ms);
  Read(options, "backoff_multiplier", &spec.backoff_multiplier);
  Read(options, "max_delay_ms", &spec.max_delay_ms);
  Read(options, "reset_after_ms", &spec.reset_after_ms);
  return spec;
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
  Read(options, "scratch_directory", &out.scratch_directory);
  if (options.contains("state_backend")) {
    out.cold_stores = ColdStoresOf(py::cast<std::string>(options["state_backend"]));
  }
  Read(options, "checkpoint_interval_ms", &out.checkpoints.interval_ms);
  Read(options, "checkpoint_timeout_ms", &out.checkpoints.timeout_ms);
  Read(options, "checkpoint_min_pause_ms", &out.checkpoints.min_pause_ms);
  Read(options, "tolerable_checkpoint_failures", &out.checkpoints.tolerable_failures);
  Read(options, "checkpoint_directory", &out.checkpoint_directory);
  Read(options, "retained_checkpoints", &out.retained_checkpoints);
  Read(options, "restore_path", &out.restore_path);
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
  return out;
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
    item["failure"] = record.failure;
    item["triggered_ms"] = record.triggered_ms;
    item["duration_ms"] = record.duration_ms;
    item["bytes_written"] = record.bytes_written;
    item["state_bytes"] = record.state_bytes;
    item["partitions_written"] = record.partitions_written;
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
    return RegistryList(WithoutGil([&] { return job_->StateRegistry(); }));
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
    py::list recoveries;
    for (const RecoveryRecord& record : result.recoveries) {
      py::dict item;
      item["cause"] = record.cause;
      item["checkpoint"] = record.checkpoint;
      item["downtime_ms"] = record.downtime_ms;
      recoveries.append(std::move(item));
    }
    out["recoveries"] = recoveries;
    return out;
  }

 private:
  std::shared_ptr<Job> job_;
  bool started_ = false;
};

}  // namespace

void BindJob(py::module_& module) {
  py::class_<PythonJob>(module, "Job", Collectable<PythonJob>())
      .def(py::init<const GraphHolder&, py::handle>())
      .def("start", &PythonJob::Start)
      .def("wait", &PythonJob::Wait, py::arg("timeout_ms"))
      .def("cancel", &PythonJob::Cancel)
      .def("state", &PythonJob::State)
      .def("metrics", &PythonJob::Metrics)
      .def("checkpoints", &PythonJob::Checkpoints)
      .def("state_registry", &PythonJob::StateRegistry)
      .def("left_behind", &PythonJob::LeftBehind)
      .def("result", &PythonJob::Result);

  module.def("load_manifest", [](const std::string& path) {
    std::string directory;
    return ManifestDict(ValueOrThrow(LoadManifest(RealEnv().files(), path, &directory)));
  });
  module.def("verify_checkpoint", [](const std::string& path) {
    VerifyReport report =
        ValueOrThrow(WithoutGil([&] { return VerifyCheckpoint(RealEnv().files(), path); }));
    py::dict out;
    out["files"] = report.files;
    out["bytes_read"] = report.bytes_read;
    out["damage"] = report.damage;
    return out;
  });

  module.def("gil_acquisitions", [] { return gil_acquisitions.load(std::memory_order_relaxed); });

  // At exit the jobs are stopped while the interpreter still works, so that their threads can end
  // by themselves.
  module.def("_stop_live_jobs", [] { WithoutGil([] { StopLiveJobs(5000); }); });
  py::module_::import("atexit").attr("register")(module.attr("_stop_live_jobs"));
}

}  // namespace headrace::bindings
