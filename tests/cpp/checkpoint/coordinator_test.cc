#include "headrace/checkpoint/coordinator.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "checkpoint/model_table.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

using Event = CheckpointCoordinator::Event;

// A table's snapshot that tells before each partition is read.
class ToldOfReads final : public TableSnapshot {
 public:
  ToldOfReads(std::unique_ptr<TableSnapshot> table, std::function<void()> on_read)
      : table_(std::move(table)), on_read_(std::move(on_read)) {}

  const TableMeta& meta() const override { return table_->meta(); }
  bool full() const override { return table_->full(); }
  uint32_t partition_count() const override { return table_->partition_count(); }
  const std::vector<uint32_t>& ChangedPartitions() const override {
    return table_->ChangedPartitions();
  }
  Status ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) override {
    on_read_();
    return table_->ReadPartition(index, want_whole, out);
  }
  uint64_t live_bytes() const override { return table_->live_bytes(); }
  void Finish() override { table_->Finish(); }

 private:
  std::unique_ptr<TableSnapshot> table_;
  std::function<void()> on_read_;
};

class CoordinatorTest : public testing::Test {
 protected:
  void SetUp() override {
    CheckpointStoreOptions options;
    options.directory = "/state";
    options.job_key = "job";
    auto opened = CheckpointStore::Open(&env, options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store = std::move(opened).value();
    writer = std::make_unique<SnapshotWriter>(&env, store.get());
    checkpoints.interval_ms = 100;
    checkpoints.timeout_ms = 1000;
  }
  void Make(int tasks) {
    for (int i = 0; i < tasks; ++i) tables.push_back(std::make_unique<ModelTable>("t"));
    coordinator = std::make_unique<CheckpointCoordinator>(&env, checkpoints, store.get(),
                                                          writer.get(), tasks, 1);
  }
  TaskSnapshot Snapshot(int task) {
    ModelTable& table = *tables[static_cast<size_t>(task)];
    table.Put(1, std::to_string(env.SteadyNs()));
    TaskSnapshot snapshot;
    snapshot.task = task;
    OperatorSnapshot& op = snapshot.operators.emplace_back();
    op.operator_id = "op";
    op.name = "Op";
    op.kind = "reduce";
    op.subtask_index = task;
    op.parallelism = static_cast<int>(tables.size());
    op.key_groups = KeyGroupRangeOf(task, op.parallelism, op.max_parallelism);
    op.keyed.tables.push_back(table.Snapshot());
    return snapshot;
  }
  std::vector<Event::Kind> Tick(int64_t advance_ms = 0) {
    env.clock().AdvanceMs(advance_ms);
    std::vector<Event::Kind> kinds;
    for (const Event& event : coordinator->Tick()) {
      kinds.push_back(event.kind);
      last = event;
    }
    return kinds;
  }

  using Kinds = std::vector<Event::Kind>;
  static constexpr auto kTrigger = Event::Kind::kTrigger;
  static constexpr auto kCompleted = Event::Kind::kCompleted;
  static constexpr auto kAborted = Event::Kind::kAborted;
  static constexpr auto kFailJob = Event::Kind::kFailJob;

  SimEnv env{1};
  CheckpointOptions checkpoints;
  std::unique_ptr<CheckpointStore> store;
  std::unique_ptr<SnapshotWriter> writer;
  std::vector<std::unique_ptr<ModelTable>> tables;
  std::unique_ptr<CheckpointCoordinator> coordinator;
  Event last;
};

TEST_F(CoordinatorTest, TriggersByIntervalAndCompletesWhenAllIsWritten) {
  Make(2);
  EXPECT_EQ(Tick(99), Kinds({}));
  EXPECT_EQ(Tick(1), Kinds({kTrigger}));
  EXPECT_EQ(last.id, 1u);
  EXPECT_FALSE(last.final);
  coordinator->OnSnapshot(1, Snapshot(1));
  env.RunAllBackground();
  EXPECT_EQ(Tick(), Kinds({}));
  EXPECT_TRUE(coordinator->pending());
  coordinator->OnSnapshot(1, Snapshot(0));
  env.RunAllBackground();
  EXPECT_FALSE(coordinator->pending());
  EXPECT_EQ(Tick(), Kinds({kCompleted}));
  const auto history = coordinator->History();
  ASSERT_EQ(history.size(), 1u);
  EXPECT_TRUE(history[0].completed);
  EXPECT_GT(history[0].bytes_written, 0u);
  EXPECT_EQ(history[0].partitions_written, 2u);
  EXPECT_EQ(history[0].state_bytes, coordinator->LastCompleted()->state_bytes());
  EXPECT_EQ(coordinator->LastCompleted()->operators[0].subtasks.size(), 2u);
}

TEST_F(CoordinatorTest, OneAtATimeAndTheIntervalCountsFromTheTrigger) {
  Make(1);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  EXPECT_EQ(Tick(500), Kinds({}));
  coordinator->OnSnapshot(1, Snapshot(0));
  env.RunAllBackground();
  EXPECT_EQ(Tick(), Kinds({kCompleted, kTrigger}));
}

TEST_F(CoordinatorTest, ATimeoutAbortsFailsTheJobAndNamesTheMissingTask) {
  Make(2);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnSnapshot(1, Snapshot(0));
  env.RunAllBackground();
  EXPECT_EQ(Tick(999), Kinds({}));
  EXPECT_EQ(Tick(1), Kinds({kAborted, kFailJob}));
  EXPECT_NE(last.status.message().find("task 1"), std::string::npos) << last.status.ToString();
  EXPECT_EQ(Tick(10000), Kinds({})) << "nothing is triggered once the job has failed";
}

TEST_F(CoordinatorTest, ATimeoutNamesEightMissingTasksAndNoMore) {
  Make(9);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  EXPECT_EQ(Tick(1000), Kinds({kAborted, kFailJob}));
  EXPECT_NE(last.status.message().find("6, 7, …"), std::string::npos) << last.status.ToString();
}

TEST_F(CoordinatorTest, ATimeoutNamesAllOfEightMissingTasks) {
  Make(8);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  EXPECT_EQ(Tick(1000), Kinds({kAborted, kFailJob}));
  EXPECT_NE(last.status.message().find("6, 7"), std::string::npos) << last.status.ToString();
  EXPECT_EQ(last.status.message().find("…"), std::string::npos) << last.status.ToString();
}

TEST_F(CoordinatorTest, ToleratesFailuresInARowAndForgetsThemAfterASuccess) {
  checkpoints.tolerable_failures = 1;
  Make(1);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(Tick(100), Kinds({kTrigger}));
    coordinator->OnDeclined(last.id, 0, Status::IoError("full"));
    ASSERT_EQ(Tick(), Kinds({kAborted}));
    ASSERT_EQ(Tick(100), Kinds({kTrigger}));
    coordinator->OnSnapshot(last.id, Snapshot(0));
    env.RunAllBackground();
    ASSERT_EQ(Tick(), Kinds({kCompleted}));
  }
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnDeclined(last.id, 0, Status::IoError("full"));
  ASSERT_EQ(Tick(100), Kinds({kAborted, kTrigger}));
  coordinator->OnDeclined(last.id, 0, Status::IoError("full"));
  EXPECT_EQ(Tick(), Kinds({kAborted, kFailJob}));
  EXPECT_EQ(last.status.code(), StatusCode::kIoError);
}

TEST_F(CoordinatorTest, ACancelledCheckpointDoesNotFailTheJob) {
  Make(1);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnDeclined(1, 0, Status::Cancelled("the job was cancelled"));
  EXPECT_EQ(Tick(), Kinds({kAborted}));
}

TEST_F(CoordinatorTest, LateDoubleAndUnknownSnapshotsAreDestroyedUnread) {
  checkpoints.tolerable_failures = 9;
  Make(2);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnSnapshot(7, Snapshot(0));
  EXPECT_EQ(env.background_pending(), 0u);
  coordinator->OnSnapshot(1, Snapshot(0));
  TaskSnapshot second;
  coordinator->OnSnapshot(1, std::move(second));
  EXPECT_EQ(env.background_pending(), 1u);
  TaskSnapshot stranger;
  stranger.task = 5;
  coordinator->OnSnapshot(1, std::move(stranger));
  EXPECT_EQ(env.background_pending(), 1u);
  coordinator->OnDeclined(1, 1, Status::IoError("no"));
  ASSERT_EQ(Tick(), Kinds({kAborted}));
  coordinator->OnSnapshot(1, Snapshot(1));
  EXPECT_EQ(env.background_pending(), 1u);
}

TEST_F(CoordinatorTest, TriggersNoNewOneWhileAnAbandonedOneHoldsTheTables) {
  checkpoints.tolerable_failures = 9;
  Make(2);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnSnapshot(1, Snapshot(0));
  coordinator->OnDeclined(1, 1, Status::IoError("no"));
  EXPECT_EQ(Tick(1000), Kinds({kAborted}));
  env.RunAllBackground();
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  // Both tables say that they are full, so the chain of checkpoint 1 is not built upon.
  coordinator->OnSnapshot(2, Snapshot(0));
  coordinator->OnSnapshot(2, Snapshot(1));
  env.RunAllBackground();
  EXPECT_EQ(Tick(), Kinds({kCompleted}));
  EXPECT_TRUE(coordinator->LastCompleted()->full);
}

TEST_F(CoordinatorTest, ARequestedFinalOneComesAtOnceAndIsMarked) {
  checkpoints.interval_ms = -1;
  Make(1);
  EXPECT_EQ(Tick(100000), Kinds({}));
  coordinator->RequestNow(true);
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  EXPECT_TRUE(last.final);
  coordinator->OnSnapshot(1, Snapshot(0));
  env.RunAllBackground();
  EXPECT_EQ(Tick(), Kinds({kCompleted}));
  EXPECT_TRUE(last.final);
  EXPECT_EQ(coordinator->LastCompleted()->kind, CheckpointKind::kFinal);
  EXPECT_EQ(Tick(100000), Kinds({}));
}

TEST_F(CoordinatorTest, ATolerableFailureOfTheFinalOneIsTriedAgain) {
  checkpoints.interval_ms = -1;
  checkpoints.tolerable_failures = 1;
  Make(1);
  coordinator->RequestNow(true);
  ASSERT_EQ(Tick(), Kinds({kTrigger}));
  coordinator->OnDeclined(1, 0, Status::IoError("no"));
  ASSERT_EQ(Tick(), Kinds({kAborted, kTrigger}));
  EXPECT_TRUE(last.final);
  EXPECT_EQ(last.id, 2u);
  coordinator->OnDeclined(2, 0, Status::IoError("no"));
  EXPECT_EQ(Tick(), Kinds({kAborted, kFailJob}));
}

TEST_F(CoordinatorTest, ShutdownAtAnyStepLeavesTheTablesFreeAndDecidesNothing) {
  for (int steps = 0; steps < 3; ++steps) {
    tables.clear();
    Make(2);
    ASSERT_EQ(Tick(100), Kinds({kTrigger}));
    const CheckpointId id = last.id;
    coordinator->OnSnapshot(id, Snapshot(0));
    coordinator->OnSnapshot(id, Snapshot(1));
    for (int i = 0; i < steps; ++i) ASSERT_TRUE(env.StepBackground());
    coordinator->Shutdown();
    EXPECT_EQ(Tick(1000), Kinds({}));
    coordinator.reset();
    env.RunAllBackground();
    EXPECT_FALSE(store->Decided(id)) << steps;
    // Fails the test by itself when the table is still held.
    for (auto& table : tables) table->Snapshot();
  }
  const auto latest = store->LoadLatest(false, nullptr);
  ASSERT_TRUE(latest.ok());
  EXPECT_FALSE(latest->has_value());
}

TEST_F(CoordinatorTest, AWriteThatIsNoLongerWantedEndsWithThePartitionItReads) {
  Make(1);
  for (uint32_t row = 0; row < 10 * ModelTable::kPartitionRows; ++row) tables[0]->Put(row, "v");
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  TaskSnapshot snapshot = Snapshot(0);
  int reads = 0;
  auto& table = snapshot.operators[0].keyed.tables[0];
  table = std::make_unique<ToldOfReads>(std::move(table), [&] {
    if (++reads == 3) coordinator->Shutdown();
  });
  coordinator->OnSnapshot(1, std::move(snapshot));
  env.RunAllBackground();
  EXPECT_EQ(reads, 3);
  EXPECT_FALSE(store->Decided(1));
  tables[0]->Snapshot();  // fails the test when the table is still held
}

TEST_F(CoordinatorTest, StoreAndWriterMayBeDestroyedBeforeTheBackgroundWork) {
  Make(1);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  coordinator->OnSnapshot(1, Snapshot(0));
  coordinator.reset();
  writer.reset();
  store.reset();
  env.RunAllBackground();
  EXPECT_EQ(env.background_pending(), 0u);
}

TEST_F(CoordinatorTest, IdsStartBehindThoseOfTheStore) {
  (void)store->DataFileName(41, 0);
  Make(1);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  EXPECT_EQ(last.id, 42u);
}

TEST_F(CoordinatorTest, TasksThatDisagreeAboutAnOperatorFailTheCheckpoint) {
  Make(2);
  ASSERT_EQ(Tick(100), Kinds({kTrigger}));
  TaskSnapshot other = Snapshot(1);
  other.operators[0].kind = "window";
  coordinator->OnSnapshot(1, Snapshot(0));
  coordinator->OnSnapshot(1, std::move(other));
  env.RunAllBackground();
  EXPECT_EQ(Tick(), Kinds({kAborted, kFailJob}));
  EXPECT_EQ(last.status.code(), StatusCode::kInternal);
  EXPECT_NE(last.status.message().find("'Op'"), std::string::npos);
}

}  // namespace
}  // namespace headrace
