// The part of JobImpl that runs before any record flows.

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "headrace/checkpoint/remote_directory.h"
#include "headrace/runtime/job_impl.h"

namespace headrace {

namespace {

JobOptions WithDefaults(JobOptions options) {
  if (!options.env) options.env = &RealEnv();
  if (options.job_key.empty()) options.job_key = options.name.empty() ? "job" : options.name;
  if (options.state_memory_budget_bytes <= 0) {
    const int64_t pages = sysconf(_SC_PHYS_PAGES);
    const int64_t page_bytes = sysconf(_SC_PAGE_SIZE);
    options.state_memory_budget_bytes = pages / 10 * 6 * page_bytes;
  }
  return options;
}

}  // namespace

JobImpl::JobImpl(JobGraph graph, JobOptions options)
    : graph_(std::make_shared<const JobGraph>(std::move(graph))),
      options_(WithDefaults(std::move(options))),
      env_(options_.env),
      restart_strategy_(options_.restart),
      interval_ms_(options_.checkpoints.interval_ms) {}

// A name that no operator could have would be ignored in silence. Which states an operator has is
// known when it runs only.
Status JobImpl::CheckStateCompression() const {
  for (const auto& [name, compression] : options_.state_compression) {
    const bool known =
        std::any_of(graph_->operator_ids.begin(), graph_->operator_ids.end(),
                    [&name](const std::string& id) { return name.starts_with(id + "."); });
    if (known) continue;
    return Status::InvalidArgument(
        "state.compression.codec." + name +
        ": no operator has a uid that this begins with; write <uid>.<state>, and give the operator "
        "a uid");
  }
  return Status::Ok();
}

Status JobImpl::Prepare() {
  HR_RETURN_IF_ERROR(CheckStateCompression());
  if (!options_.checkpoint_directory.empty()) {
    CheckpointStoreOptions store;
    store.directory = options_.checkpoint_directory;
    store.transport = options_.checkpoint_transport;
    store.job_key = options_.job_key;
    store.retained = options_.retained_checkpoints;
    store.compression = options_.compression;
    store.key_id = options_.encryption_key_id;
    store.state_compression = options_.state_compression;
    HR_ASSIGN_OR_RETURN(store_, CheckpointStore::Open(env_, std::move(store)));
    checkpoint_directory_ = store_->job_directory();
  } else if (options_.checkpoints.interval_ms > 0) {
    result_.messages.push_back(
        "checkpoints are off: an interval is set, but no execution.checkpointing.dir");
  }
  HR_RETURN_IF_ERROR(FindRestorePoint());
  for (const StreamNode& node : graph_->stream->nodes) {
    operator_ids_.emplace_back(node.name, graph_->operator_ids[node.id]);
  }
  for (const StreamNode& node : graph_->stream->nodes) {
    if (node.source && !node.source->replayable()) {
      if (source_without_position_.empty()) source_without_position_ = node.name;
      result_.messages.push_back("at least once from source " + node.name);
    }
  }
  if (restore_point_) {
    // Only to fail early, also for a job that had ended: every attempt makes its own.
    const auto plan = RestorePlan::Make(env_, restore_point_->manifest, restore_point_->directory,
                                        RestoreTargets(), options_.allow_dropped_state);
    HR_RETURN_IF_ERROR(plan.status());
  }
  if (restored_final_) return Status::Ok();
  return PlanSplits();
}

Status JobImpl::FindRestorePoint() {
  if (options_.restore_path.empty()) return Status::Ok();
  RestorePoint point;
  if (options_.restore_path == "latest") {
    if (!store_) {
      return Status::InvalidArgument(
          "execution.state-recovery.path is 'latest', but no execution.checkpointing.dir is set");
    }
    std::string warning;
    HR_ASSIGN_OR_RETURN(std::optional<Manifest> latest,
                        store_->LoadLatest(options_.allow_older, &warning));
    if (!warning.empty()) result_.messages.push_back(warning);
    if (!latest) {
      result_.messages.push_back("no checkpoint of job '" + options_.job_key +
                                 "' yet: a fresh start");
      return Status::Ok();
    }
    point.manifest = std::move(*latest);
    point.directory = store_->job_directory();
  } else {
    HR_RETURN_IF_ERROR(LoadRestorePath(&point));
  }
  HR_RETURN_IF_ERROR(FinishPublication(env_->files(), point.manifest));
  const std::string id = std::to_string(point.manifest.id);
  if (point.manifest.Finished()) {
    restored_final_ = true;
    result_.messages.push_back("job '" + point.manifest.job_key +
                               "' had finished with checkpoint " + id + ": nothing to do");
  } else {
    result_.messages.push_back("resumed from checkpoint " + id);
    for (const OperatorManifest& op : point.manifest.operators) {
      if (op.splits.empty()) continue;
      int64_t rows = 0;
      for (const SplitSnapshot& split : op.splits) rows += split.rows_read;
      result_.messages.push_back("source '" + op.name + "' goes on after " + std::to_string(rows) +
                                 " rows");
    }
  }
  restore_point_ = std::move(point);
  return Status::Ok();
}

Status JobImpl::LoadRestorePath(RestorePoint* point) {
  // A copy of a remote checkpoint is called by the name it came from.
  const std::string& path = options_.restore_path;
  std::string copy = options_.restore_uri.empty() ? "" : path;
  if (copy.ends_with(".manifest")) copy.resize(copy.rfind('/'));
  Result<Manifest> manifest = LoadManifest(env_->files(), path, &point->directory);
  if (!manifest.ok()) return ShownAs(manifest.status(), copy, options_.restore_uri);
  point->manifest = std::move(manifest).value();
  // As LoadLatest does: damage must show before any task runs, not when its block is read.
  return ShownAs(CheckFilesWhole(env_->files(), point->manifest, point->directory), copy,
                 options_.restore_uri);
}

Status JobImpl::PlanSplits() {
  for (const StreamNode& node : graph_->stream->nodes) {
    if (!node.source) continue;
    Result<std::vector<SplitState>> splits = node.source->PlanSplits(node.parallelism);
    if (!splits.ok()) {
      // A restored source does not need its plan: its files may be gone by now.
      const std::string& id = graph_->operator_ids[node.id];
      if (restore_point_ && restore_point_->manifest.Find(id)) continue;
      return splits.status().WithContext("operator '" + node.name + "'");
    }
    planned_splits_[node.id] = std::move(*splits);
  }
  return Status::Ok();
}

std::vector<RestoreTarget> JobImpl::RestoreTargets() const {
  std::vector<RestoreTarget> targets;
  for (const StreamNode& node : graph_->stream->nodes) {
    targets.push_back({graph_->operator_ids[node.id], node.name, node.kind, node.keyed,
                       node.source != nullptr, node.parallelism, node.max_parallelism});
  }
  return targets;
}

}  // namespace headrace
