#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "checkpoint/model_table.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/restore.h"
#include "testing/sim_env.h"

namespace headrace {

/// A job of one keyed operator, a source and a file sink, small enough to say at any time what a
/// restart must find. Takes real checkpoints through the real coordinator, writer and store, on
/// simulated files.
///
/// What it must look like after a restart from checkpoint n is remembered in `expected`.
class ModelJob {
 public:
  struct Expected {
    std::vector<ModelRows> rows;  ///< of all subtasks, merged
    int64_t offset = 0;
    std::set<std::string> published;  ///< names in the output directory
  };

  explicit ModelJob(uint64_t seed, int parallelism = 2) : env(seed), parallelism(parallelism) {
    options.directory = "/state";
    options.job_key = "model";
    checkpoints.tolerable_failures = 1000;
    Status made = env.files().MakeDirectories("/out");
    EXPECT_TRUE(made.ok()) << made.ToString();
  }

  /// A new process: lock, latest checkpoint, restore. `restored` tells from which.
  Status StartProcess() {
    StopProcess();
    HR_ASSIGN_OR_RETURN(store, CheckpointStore::Open(&env, options));
    return StartAttempt();
  }
  /// A new attempt in the same process.
  Status StartAttempt() {
    StopAttempt();
    HR_ASSIGN_OR_RETURN(std::optional<Manifest> latest, store->LoadLatest(allow_older, &warning));
    writer = std::make_unique<SnapshotWriter>(&env, store.get());
    failed_job = false;
    restored = 0;
    offset = 0;
    published.clear();
    pending.clear();
    MakeTables();
    if (latest) HR_RETURN_IF_ERROR(Restore(*latest));
    coordinator = std::make_unique<CheckpointCoordinator>(
        &env, checkpoints, store.get(), writer.get(), parallelism + 1, restored + 1);
    return Status::Ok();
  }
  void StopAttempt() {
    coordinator.reset();
    writer.reset();
    tables.clear();
  }
  void StopProcess() {
    StopAttempt();
    store.reset();
  }
  /// The process dies; the next StartProcess() finds what is left.
  void Crash(CrashKind kind) {
    StopProcess();
    env.Crash(kind);
  }

  /// Some work: rows change, the source moves on.
  void Work(int changes, uint32_t row_count = 40) {
    SimRandom& random = env.scheduling();
    for (int i = 0; i < changes; ++i) {
      ModelTable& table = *tables[random.Below(tables.size())];
      const auto row = static_cast<uint32_t>(random.Below(row_count));
      if (random.Below(5) == 0) {
        table.Erase(row);
      } else {
        const auto letter = static_cast<char>('a' + random.Below(26));
        table.Put(row, std::string(1 + random.Below(60), letter));
      }
    }
    offset += changes;
  }

  /// One whole checkpoint. The result is that of the checkpoint; `failed_job` tells the rest.
  Status Checkpoint(bool final = false) {
    coordinator->RequestNow(final);
    const std::vector<CheckpointCoordinator::Event> triggered = coordinator->Tick();
    if (triggered.size() != 1 ||
        triggered[0].kind != CheckpointCoordinator::Event::Kind::kTrigger) {
      return Status::Internal("no checkpoint was triggered");
    }
    last_id = triggered[0].id;
    const Status part = WritePart(last_id);
    if (part.ok()) {
      expected[last_id] = Now();
      for (int task = 0; task <= parallelism; ++task) {
        coordinator->OnSnapshot(last_id, Snapshot(task));
      }
    } else {
      coordinator->OnDeclined(last_id, parallelism, part);
    }
    env.RunAllBackground();
    Status outcome = Status::Internal("the checkpoint had no outcome");
    failed_job = false;
    for (const CheckpointCoordinator::Event& event : coordinator->Tick()) {
      switch (event.kind) {
        case CheckpointCoordinator::Event::Kind::kTrigger:
          return Status::Internal("triggered twice");
        case CheckpointCoordinator::Event::Kind::kCompleted:
          outcome = Status::Ok();
          for (const PendingRename& rename : pending) published.insert(NameOf(rename));
          pending.clear();
          break;
        case CheckpointCoordinator::Event::Kind::kAborted:
          outcome = event.status;
          break;
        case CheckpointCoordinator::Event::Kind::kSavepointEnded:
          break;
        case CheckpointCoordinator::Event::Kind::kFailJob:
          failed_job = true;
          if (outcome.code() == StatusCode::kInternal) outcome = event.status;
          break;
      }
    }
    return outcome;
  }

  /// What there is now, in the form of `expected`.
  Expected Now() const {
    Expected now;
    now.rows = Rows();
    now.offset = offset;
    now.published = published;
    for (const PendingRename& rename : pending) now.published.insert(NameOf(rename));
    return now;
  }
  std::vector<ModelRows> Rows() const {
    std::vector<ModelRows> rows;
    for (const auto& table : tables) rows.push_back(table->rows());
    return rows;
  }
  /// Names in the output directory, without temporaries.
  std::set<std::string> Output() {
    std::set<std::string> names;
    const auto listed = env.files().List("/out");
    EXPECT_TRUE(listed.ok()) << listed.status().ToString();
    for (const std::string& name : *listed) {
      if (name.front() != '.') names.insert(name);
    }
    return names;
  }
  std::string JobDirectory() const { return store->job_directory(); }

  SimEnv env;
  CheckpointStoreOptions options;
  CheckpointOptions checkpoints;
  int parallelism;
  bool allow_older = false;
  std::string warning;

  std::unique_ptr<CheckpointStore> store;
  std::unique_ptr<SnapshotWriter> writer;
  std::unique_ptr<CheckpointCoordinator> coordinator;
  std::vector<std::unique_ptr<ModelTable>> tables;
  int64_t offset = 0;
  std::vector<PendingRename> pending;
  std::set<std::string> published;
  CheckpointId restored = 0;
  CheckpointId last_id = 0;
  bool failed_job = false;
  std::map<CheckpointId, Expected> expected;

 private:
  static constexpr int kMaxParallelism = 8;

  static std::string NameOf(const PendingRename& rename) {
    return rename.final_path.substr(rename.final_path.rfind('/') + 1);
  }

  void MakeTables() {
    tables.clear();
    for (int i = 0; i < parallelism; ++i) tables.push_back(std::make_unique<ModelTable>("rows"));
  }

  std::vector<RestoreTarget> Targets() const {
    return {{.operator_id = "sum",
             .name = "Sum",
             .kind = "reduce",
             .keyed = true,
             .is_source = false,
             .parallelism = parallelism,
             .max_parallelism = kMaxParallelism},
            {.operator_id = "source",
             .name = "Source",
             .kind = "source",
             .keyed = false,
             .is_source = true,
             .parallelism = 1,
             .max_parallelism = kMaxParallelism},
            {.operator_id = "sink",
             .name = "Sink",
             .kind = "sink",
             .keyed = false,
             .is_source = false,
             .parallelism = 1,
             .max_parallelism = kMaxParallelism}};
  }

  // Rows do not move between subtasks here: at another parallelism former subtask i goes, whole, to
  // the lowest new one that overlaps with it.
  Status Restore(const Manifest& manifest) {
    HR_RETURN_IF_ERROR(FinishPublication(env.files(), manifest));
    HR_ASSIGN_OR_RETURN(
        std::unique_ptr<RestorePlan> plan,
        RestorePlan::Make(&env, manifest, store->job_directory(), Targets(), false));
    if (plan->SameParallelism("sum", parallelism)) writer->Seed(manifest, {"sum"});
    std::set<int> taken;
    for (int i = 0; i < parallelism; ++i) {
      HR_ASSIGN_OR_RETURN(StoredKeyedState stored, plan->KeyedStateFor("sum", i, parallelism));
      for (StoredSubtask& subtask : stored.subtasks) {
        if (!taken.insert(subtask.former_index).second) continue;
        for (auto& table : subtask.tables) {
          HR_RETURN_IF_ERROR(
              tables[static_cast<size_t>(i)]->Restore(table.get(), stored.same_parallelism));
        }
      }
    }
    const std::vector<SplitSnapshot> splits = plan->SplitsOf("source");
    if (splits.size() != 1) return Status::Internal("splits are lost");
    offset = splits[0].rows_read;
    restored = manifest.id;
    published = expected.at(restored).published;
    return Status::Ok();
  }

  // A part file as a sink writes it: synced under a temporary name before it hands over its
  // snapshot.
  Status WritePart(CheckpointId id) {
    FileSystem& files = env.files();
    const std::string name = "part-" + std::to_string(store->run_id()) + "-" + std::to_string(id);
    const std::string content =
        "rows up to " + std::to_string(offset) + " of checkpoint " + std::to_string(id);
    PendingRename rename{.temporary_path = "/out/." + name + ".tmp",
                         .final_path = "/out/" + name,
                         .size_bytes = content.size(),
                         .digest = Hash128(content)};
    HR_ASSIGN_OR_RETURN(auto file, files.Create(rename.temporary_path));
    HR_RETURN_IF_ERROR(file->Append(content));
    HR_RETURN_IF_ERROR(file->Sync());
    HR_RETURN_IF_ERROR(file->Close());
    HR_RETURN_IF_ERROR(files.SyncDirectory("/out"));
    pending.push_back(std::move(rename));
    return Status::Ok();
  }

  TaskSnapshot Snapshot(int task) {
    TaskSnapshot snapshot;
    snapshot.task = task;
    if (task < parallelism) {
      OperatorSnapshot& op = snapshot.operators.emplace_back();
      op.operator_id = "sum";
      op.name = "Sum";
      op.kind = "reduce";
      op.subtask_index = task;
      op.parallelism = parallelism;
      op.max_parallelism = kMaxParallelism;
      op.key_groups = KeyGroupRangeOf(task, parallelism, kMaxParallelism);
      op.keyed.tables.push_back(tables[static_cast<size_t>(task)]->Snapshot());
      op.registry = {{.name = "rows",
                      .fingerprint = "value<str>",
                      .kind = TableKind::kRows,
                      .bytes = 1,
                      .rows = 1}};
      return snapshot;
    }
    snapshot.operators.resize(2);
    for (OperatorSnapshot& op : snapshot.operators) op.max_parallelism = kMaxParallelism;
    OperatorSnapshot& source = snapshot.operators[0];
    source.operator_id = "source";
    source.name = "Source";
    source.kind = "source";
    source.splits = {
        {.id = "0", .position = "p", .watermark = "", .rows_read = offset, .finished = false}};
    OperatorSnapshot& sink = snapshot.operators[1];
    sink.operator_id = "sink";
    sink.name = "Sink";
    sink.kind = "sink";
    sink.renames = pending;
    return snapshot;
  }
};

}  // namespace headrace
