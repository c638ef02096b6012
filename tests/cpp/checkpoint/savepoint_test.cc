#include "headrace/checkpoint/savepoint.h"

#include <gtest/gtest.h>

#include "checkpoint/model_table.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/checkpoint/verification.h"
#include "testing/failpoint_actions.h"
#include "testing/sim_env.h"
#include "testing/sim_remote_storage.h"

namespace headrace {
namespace {

using Event = CheckpointCoordinator::Event;
using Kinds = std::vector<Event::Kind>;
constexpr auto kTrigger = Event::Kind::kTrigger;
constexpr auto kCompleted = Event::Kind::kCompleted;
constexpr auto kAborted = Event::Kind::kAborted;
constexpr auto kFailJob = Event::Kind::kFailJob;
constexpr auto kSavepointEnded = Event::Kind::kSavepointEnded;

// Two subtasks of one keyed operator and a coordinator, on simulated files.
class SavepointTest : public testing::Test {
 protected:
  void SetUp() override { Open(nullptr); }
  void Open(std::shared_ptr<CheckpointTransport> transport) {
    coordinator.reset();
    writer.reset();
    store.reset();
    tables.clear();
    CheckpointStoreOptions options;
    options.directory = transport ? "/staging" : "/state";
    options.transport = std::move(transport);
    options.job_key = "job";
    auto opened = CheckpointStore::Open(&env, options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store = std::move(opened).value();
    writer = std::make_unique<SnapshotWriter>(&env, store.get());
    for (int i = 0; i < 2; ++i) tables.push_back(std::make_unique<ModelTable>("t"));
    CheckpointOptions checkpoints;
    checkpoints.interval_ms = 100;
    checkpoints.timeout_ms = 1000;
    coordinator =
        std::make_unique<CheckpointCoordinator>(&env, checkpoints, store.get(), writer.get(), 2, 1);
  }
  TaskSnapshot Snapshot(int task, bool full) {
    ModelTable& table = *tables[static_cast<size_t>(task)];
    table.Put(changed++, std::string(200, 'x'));
    if (full) table.RequireFull();
    TaskSnapshot snapshot;
    snapshot.task = task;
    OperatorSnapshot& op = snapshot.operators.emplace_back();
    op.operator_id = "op";
    op.name = "Op";
    op.kind = "reduce";
    op.subtask_index = task;
    op.parallelism = 2;
    op.key_groups = KeyGroupRangeOf(task, 2, op.max_parallelism);
    op.keyed.tables.push_back(table.Snapshot());
    return snapshot;
  }
  Kinds Tick(int64_t advance_ms = 0) {
    env.clock().AdvanceMs(advance_ms);
    Kinds kinds;
    for (const Event& event : coordinator->Tick()) {
      kinds.push_back(event.kind);
      last = event;
    }
    return kinds;
  }
  void Deliver() {
    for (int task = 0; task < 2; ++task) {
      coordinator->OnSnapshot(last.id, Snapshot(task, last.savepoint));
    }
    env.RunAllBackground();
  }
  // One periodic checkpoint.
  void Checkpoint() {
    ASSERT_EQ(Tick(100), Kinds({kTrigger}));
    Deliver();
    ASSERT_EQ(Tick(), Kinds({kCompleted}));
  }
  SavepointRequestPtr Ask(SavepointStop stop = SavepointStop::kNone) {
    auto request = std::make_shared<SavepointRequest>("/savepoints", stop);
    coordinator->RequestSavepoint(request);
    return request;
  }
  Manifest Load(const std::string& path, std::string* directory = nullptr) {
    Result<Manifest> manifest = LoadManifest(env.files(), path, directory);
    EXPECT_TRUE(manifest.ok()) << manifest.status().ToString();
    return manifest.ok() ? *manifest : Manifest();
  }

  SimRemoteStorage storage{1};
  SimEnv env{1};
  std::unique_ptr<CheckpointStore> store;
  std::unique_ptr<SnapshotWriter> writer;
  std::vector<std::unique_ptr<ModelTable>> tables;
  std::unique_ptr<CheckpointCoordinator> coordinator;
  Event last;
  uint32_t changed = 0;
};

TEST_F(SavepointTest, IsAWholeCopyThatNeedsNoFileOutsideOfItsDirectory) {
  Checkpoint();
  Checkpoint();
  const SavepointRequestPtr request = Ask();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  EXPECT_TRUE(last.savepoint);
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded}));
  ASSERT_TRUE(request->resolved());
  ASSERT_TRUE(request->outcome().ok()) << request->outcome().status().ToString();
  const std::string path = *request->outcome();
  EXPECT_TRUE(path.starts_with("/savepoints/savepoint-job-")) << path;
  EXPECT_TRUE(path.ends_with("-3")) << path;
  EXPECT_EQ(coordinator->History().back().savepoint, path);

  const Manifest manifest = Load(path);
  EXPECT_EQ(manifest.kind, CheckpointKind::kSavepoint);
  EXPECT_TRUE(manifest.full);
  EXPECT_EQ(manifest.id, 3u);
  EXPECT_FALSE(manifest.Finished());
  EXPECT_EQ(manifest.operators.size(), 1u);
  EXPECT_EQ(manifest.files.size(), 2u);
  const auto names = env.files().List(store->job_directory());
  ASSERT_TRUE(names.ok());
  for (const std::string& name : *names) {
    ASSERT_TRUE(env.files().Remove(store->job_directory() + "/" + name).ok());
  }
  const auto report = VerifyStored(env.files(), path);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->damage.empty());
}

TEST_F(SavepointTest, OfACheckpointInARemoteStorageIsCopiedFromThere) {
  Open(storage.Connect(env.files()));
  Checkpoint();
  const SavepointRequestPtr request = Ask();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded}));
  ASSERT_TRUE(request->outcome().ok()) << request->outcome().status().ToString();
  const auto report = VerifyStored(env.files(), *request->outcome());
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->files, 3u);
  EXPECT_TRUE(report->damage.empty());
  Checkpoint();

  storage.FailNext(RemoteCall::kDownload, RemoteFault::kUnavailable);
  const SavepointRequestPtr failing = Ask();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded}));
  EXPECT_FALSE(failing->outcome().ok());
  coordinator.reset();
  writer.reset();
  store.reset();
}

TEST_F(SavepointTest, LaterCheckpointsBuildOnItAndCleanUpLeavesItAlone) {
  for (int i = 0; i < 20; ++i) Checkpoint();
  const SavepointRequestPtr request = Ask();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded}));
  const uint64_t full_bytes = coordinator->History().back().bytes_written;
  Checkpoint();
  EXPECT_LT(coordinator->History().back().bytes_written, full_bytes);
  EXPECT_FALSE(coordinator->LastCompleted()->full);
  for (int i = 0; i < 5; ++i) Checkpoint();
  ASSERT_TRUE(request->outcome().ok());
  Load(*request->outcome());
  const auto latest = store->LoadLatest(false, nullptr);
  ASSERT_TRUE(latest.ok());
  EXPECT_EQ((*latest)->id, 27u);
  EXPECT_EQ((*latest)->kind, CheckpointKind::kCheckpoint);
}

TEST_F(SavepointTest, OneCheckpointServesAllThatWereAskedForAndNamesAreNeverUsedTwice) {
  const SavepointRequestPtr first = Ask();
  const SavepointRequestPtr second = Ask(SavepointStop::kSuspend);
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  EXPECT_EQ(last.stop, SavepointStop::kSuspend);
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded}));
  EXPECT_EQ(last.stop, SavepointStop::kSuspend);
  EXPECT_EQ(*second->outcome(), *first->outcome() + "-2");
  EXPECT_EQ(Load(*first->outcome()).id, Load(*second->outcome()).id);
}

TEST_F(SavepointTest, NothingElseIsTriggeredWhileItIsCopied) {
  Ask();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  bool asked = false;
  env.sim_files().set_on_append([&](const std::string& path) {
    if (!path.starts_with("/savepoints")) return;
    asked = true;
    // The interval of the next is long over.
    for (const Event::Kind kind : Tick(500)) EXPECT_EQ(kind, kCompleted);
  });
  Deliver();
  env.sim_files().set_on_append({});
  EXPECT_TRUE(asked);
  EXPECT_EQ(Tick(), Kinds({kSavepointEnded, kTrigger}));
}

TEST_F(SavepointTest, AFailedOneDoesNotCountAgainstTheJob) {
  for (int round = 0; round < 3; ++round) {
    const SavepointRequestPtr request = Ask();
    ASSERT_EQ(Tick(), Kinds({kTrigger}));
    coordinator->OnDeclined(last.id, 1, Status::IoError("full"));
    ASSERT_EQ(Tick(), Kinds({kAborted, kSavepointEnded}));
    ASSERT_TRUE(request->resolved());
    EXPECT_EQ(request->outcome().status().code(), StatusCode::kIoError);
    EXPECT_NE(request->outcome().status().message().find("task 1"), std::string::npos);
  }
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnDeclined(last.id, 1, Status::IoError("full"));
  EXPECT_EQ(Tick(), Kinds({kAborted, kFailJob}));
}

TEST_F(SavepointTest, ACopyThatFailsAtAnyCallLeavesNothingBehindAndItsCheckpointComplete) {
  uint64_t failed = 0;
  while (true) {
    const SavepointRequestPtr request = Ask();
    ASSERT_EQ(Tick(), Kinds({kTrigger}));
    const CheckpointId id = last.id;
    {
      ScopedFailpoints failpoints;
      failpoints.Watch("fs.", "/savepoints");
      failpoints.FailAt(failed + 1, Status::IoError("no"));
      Deliver();
    }
    ASSERT_EQ(Tick(), Kinds({kCompleted, kSavepointEnded})) << failed;
    EXPECT_TRUE(store->Decided(id));
    ASSERT_TRUE(request->resolved());
    if (request->outcome().ok()) break;
    ++failed;
    EXPECT_EQ(request->outcome().status().code(), StatusCode::kIoError);
    const auto left = env.files().List("/savepoints");
    EXPECT_TRUE(!left.ok() || left->empty()) << "call " << failed << " left " << left->front();
  }
  EXPECT_GT(failed, 10u);
}

TEST_F(SavepointTest, AChangedFileIsFoundWhenItIsCopied) {
  Checkpoint();
  Manifest manifest = *coordinator->LastCompleted();
  ASSERT_TRUE(manifest.full);
  manifest.files[0].digest = Hash128("other");
  const Result<std::string> copied =
      WriteSavepoint(&env, manifest, store->job_directory(), "/savepoints", [] { return true; });
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.status().code(), StatusCode::kCorruption);
  EXPECT_NE(copied.status().message().find(manifest.files[0].name), std::string::npos);
  EXPECT_TRUE(env.files().List("/savepoints")->empty());
}

TEST_F(SavepointTest, AShutdownGivesTheCopyUpAndLeavesTheAnswerToTheCaller) {
  const SavepointRequestPtr request = Ask(SavepointStop::kSuspend);
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  env.sim_files().set_on_append([&](const std::string& path) {
    if (path.starts_with("/savepoints")) coordinator->Shutdown();
  });
  Deliver();
  EXPECT_EQ(Tick(), Kinds({}));
  EXPECT_FALSE(request->resolved());
  EXPECT_TRUE(env.files().List("/savepoints")->empty());
}

TEST_F(SavepointTest, TheIntervalCanBeChangedAndSwitchedOff) {
  Checkpoint();
  coordinator->SetInterval(1000);
  EXPECT_EQ(Tick(999), Kinds({}));
  ASSERT_EQ(Tick(1), Kinds({kTrigger}));
  Deliver();
  ASSERT_EQ(Tick(), Kinds({kCompleted}));
  coordinator->SetInterval(-1);
  EXPECT_EQ(Tick(1'000'000), Kinds({}));
  Ask();
  EXPECT_EQ(Tick(), Kinds({kTrigger}));
}

TEST(SavepointManifestTest, IsFinishedWhenAllInputWasUsedUp) {
  Manifest manifest;
  manifest.kind = CheckpointKind::kSavepoint;
  EXPECT_FALSE(manifest.Finished());
  for (int i = 0; i < 2; ++i) {
    OperatorManifest& op = manifest.operators.emplace_back();
    op.subtasks.emplace_back().finished = true;
  }
  EXPECT_TRUE(manifest.Finished());
  manifest.operators[1].subtasks.emplace_back();
  EXPECT_FALSE(manifest.Finished());
  manifest.kind = CheckpointKind::kFinal;
  EXPECT_TRUE(manifest.Finished());
}

}  // namespace
}  // namespace headrace
