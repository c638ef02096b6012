#include "headrace/checkpoint/snapshot_writer.h"

#include <gtest/gtest.h>

#include "checkpoint/model_job.h"
#include "headrace/checkpoint/manifest_assembler.h"
#include "headrace/checkpoint/protocol.h"

namespace headrace {
namespace {

class SnapshotWriterTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }
  void Start() {
    const Status status = job.StartProcess();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Checkpoint() {
    const Status status = job.Checkpoint();
    ASSERT_TRUE(status.ok()) << status.ToString();
    manifest = *job.coordinator->LastCompleted();
    record = job.coordinator->History().back();
  }
  const std::vector<std::vector<PartitionRef>>& Chains() const {
    return manifest.Find("sum")->subtasks[0].tables[0].partitions;
  }
  void ExpectRestores() {
    const std::vector<ModelRows> rows = job.Rows();
    job.Crash(CrashKind::kPowerLoss);
    Start();
    EXPECT_EQ(job.Rows(), rows);
  }

  ModelJob job{1, /*parallelism=*/1};
  Manifest manifest;
  CheckpointRecord record;
};

TEST_F(SnapshotWriterTest, FirstCheckpointWritesEveryPartitionWhole) {
  for (uint32_t row = 0; row < 10; ++row) job.tables[0]->Put(row, "value");
  Checkpoint();
  ASSERT_EQ(Chains().size(), 3u);
  for (const auto& chain : Chains()) {
    ASSERT_EQ(chain.size(), 1u);
    EXPECT_TRUE(chain[0].whole);
  }
  EXPECT_EQ(record.partitions_written, 3u);
  EXPECT_TRUE(manifest.full);
  EXPECT_EQ(manifest.files.size(), 1u);
}

TEST_F(SnapshotWriterTest, LaterOnesWriteChangedPartitionsOnly) {
  for (uint32_t row = 0; row < 100; ++row) job.tables[0]->Put(row, std::string(50, 'x'));
  Checkpoint();
  const uint64_t full_bytes = record.bytes_written;
  job.tables[0]->Put(17, "new");
  job.tables[0]->Erase(18);
  Checkpoint();
  EXPECT_EQ(record.partitions_written, 1u);
  EXPECT_LT(record.bytes_written, full_bytes / 4);
  ASSERT_EQ(Chains()[4].size(), 2u);
  EXPECT_FALSE(Chains()[4][1].whole);
  EXPECT_EQ(Chains()[5].size(), 1u);
  EXPECT_EQ(manifest.files.size(), 2u);
  EXPECT_FALSE(manifest.full);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, WritesNoFileWhenNothingChanged) {
  job.tables[0]->Put(1, "x");
  Checkpoint();
  Checkpoint();
  EXPECT_EQ(record.bytes_written, 0u);
  ASSERT_EQ(manifest.files.size(), 1u);
  EXPECT_EQ(manifest.files[0].checkpoint, 1u);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, RebasesWhenDeltasExceedHalfTheBase) {
  for (uint32_t row = 0; row < 4; ++row) job.tables[0]->Put(row, std::string(100, 'a'));
  Checkpoint();
  for (int i = 0; i < 2; ++i) {
    job.tables[0]->Put(0, std::string(100, static_cast<char>('b' + i)));
    Checkpoint();
    EXPECT_EQ(Chains()[0].size(), static_cast<size_t>(2 + i));
  }
  job.tables[0]->Put(0, "after");
  Checkpoint();
  ASSERT_EQ(Chains()[0].size(), 1u) << "rebased: 208 bytes of deltas on a base of 413";
  EXPECT_TRUE(Chains()[0][0].whole);
  EXPECT_TRUE(manifest.full);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, RebasesAfterSixteenDeltas) {
  for (uint32_t row = 0; row < 4; ++row) job.tables[0]->Put(row, std::string(1000, 'a'));
  Checkpoint();
  for (size_t i = 1; i <= kMaxDeltasInChain; ++i) {
    job.tables[0]->Erase(static_cast<uint32_t>(i % 2));
    job.tables[0]->Put(static_cast<uint32_t>(i % 2), std::to_string(i));
    Checkpoint();
    ASSERT_EQ(Chains()[0].size(), 1 + i);
  }
  ASSERT_EQ(manifest.files.size(), 1u + kMaxDeltasInChain);
  job.tables[0]->Put(0, "last");
  Checkpoint();
  EXPECT_EQ(Chains()[0].size(), 1u);
  EXPECT_EQ(manifest.files.size(), 1u);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, ChainsGoOnAfterARestoreAtEqualParallelism) {
  for (uint32_t row = 0; row < 40; ++row) job.tables[0]->Put(row, std::string(50, 'x'));
  Checkpoint();
  ExpectRestores();
  job.tables[0]->Put(3, "new");
  Checkpoint();
  EXPECT_EQ(record.partitions_written, 1u);
  EXPECT_EQ(Chains()[0].size(), 2u);
  EXPECT_FALSE(manifest.full);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, EverythingIsFullAfterAnAbandonedCheckpoint) {
  for (uint32_t row = 0; row < 40; ++row) job.tables[0]->Put(row, std::string(50, 'x'));
  Checkpoint();
  job.tables[0]->Put(3, "lost with the checkpoint, kept in the table");
  job.env.sim_files().set_capacity_bytes(job.env.sim_files().used_bytes() + 100);
  EXPECT_FALSE(job.Checkpoint().ok());
  job.env.sim_files().set_capacity_bytes(UINT64_MAX);
  job.tables[0]->Put(30, "new");
  Checkpoint();
  EXPECT_TRUE(manifest.full);
  EXPECT_EQ(record.partitions_written, 10u);
  ExpectRestores();
}

TEST_F(SnapshotWriterTest, TableThatTellsChangesToAnUnknownSnapshotIsRefused) {
  job.tables[0]->Put(1, "x");
  Checkpoint();
  // Not seeded, so it knows no chain to extend.
  SnapshotWriter stranger(&job.env, job.store.get());
  job.tables[0]->Put(1, "y");
  TaskSnapshot snapshot;
  OperatorSnapshot& op = snapshot.operators.emplace_back();
  op.operator_id = "sum";
  op.keyed.tables.push_back(job.tables[0]->Snapshot());
  const auto written = stranger.Write(2, &snapshot);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.status().code(), StatusCode::kInternal);
}

TEST_F(SnapshotWriterTest, DroppedTablesVanish) {
  ModelTable slice("slices/1");
  slice.Put(1, "x");
  SnapshotWriter writer(&job.env, job.store.get());
  for (CheckpointId id = 1; id <= 2; ++id) {
    TaskSnapshot snapshot;
    OperatorSnapshot& op = snapshot.operators.emplace_back();
    op.operator_id = "window";
    if (id == 1) op.keyed.tables.push_back(slice.Snapshot());
    const auto written = writer.Write(id, &snapshot);
    ASSERT_TRUE(written.ok()) << written.status().ToString();
    EXPECT_EQ(written->parts[0].subtask.tables.size(), id == 1 ? 1u : 0u);
    EXPECT_EQ(written->files.size(), id == 1 ? 1u : 0u);
    SnapshotWriter::FinishTables(&snapshot);
  }
}

// Rescaling: ids are not kept, the first checkpoint is full, nothing is lost on the way.
class Rescale : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(Rescale, KeepsEveryRowAndStartsFullChains) {
  ModelJob job(3, GetParam().first);
  ASSERT_TRUE(job.StartProcess().ok());
  for (int i = 0; i < 3; ++i) {
    // Disjoint rows, so that tables of former subtasks merge without conflict.
    for (size_t t = 0; t < job.tables.size(); ++t) {
      const size_t row = t * 8 + static_cast<size_t>(i);
      job.tables[t]->Put(static_cast<uint32_t>(row), "v" + std::to_string(i));
    }
    ASSERT_TRUE(job.Checkpoint().ok());
  }
  ModelRows all;
  for (const ModelRows& rows : job.Rows()) all.insert(rows.begin(), rows.end());
  job.Crash(CrashKind::kPowerLoss);
  job.parallelism = GetParam().second;
  const Status status = job.StartProcess();
  ASSERT_TRUE(status.ok()) << status.ToString();
  ModelRows after;
  for (const ModelRows& rows : job.Rows()) after.insert(rows.begin(), rows.end());
  EXPECT_EQ(after, all);
  ASSERT_TRUE(job.Checkpoint().ok());
  EXPECT_EQ(job.coordinator->LastCompleted()->full, GetParam().first != GetParam().second);
}

INSTANTIATE_TEST_SUITE_P(Parallelisms, Rescale,
                         testing::Values(std::pair(1, 2), std::pair(2, 1), std::pair(2, 3),
                                         std::pair(3, 2), std::pair(2, 2), std::pair(5, 8),
                                         std::pair(8, 1)));

RestoreTarget Target(std::string id, std::string kind, bool keyed, int max_parallelism) {
  RestoreTarget target;
  target.operator_id = std::move(id);
  target.name = "Now";
  target.kind = std::move(kind);
  target.keyed = keyed;
  target.max_parallelism = max_parallelism;
  return target;
}

class RestoreMatchTest : public SnapshotWriterTest {
 protected:
  void SetUp() override {
    SnapshotWriterTest::SetUp();
    job.tables[0]->Put(1, "x");
    Checkpoint();
    targets = {Target("sum", "reduce", true, 8), Target("source", "source", false, 8)};
  }
  Result<std::unique_ptr<RestorePlan>> Make(bool allow_dropped = false) {
    return RestorePlan::Make(&job.env, manifest, job.JobDirectory(), targets, allow_dropped);
  }
  void ExpectRefused(const std::vector<std::string>& words) {
    const auto plan = Make();
    ASSERT_FALSE(plan.ok());
    EXPECT_EQ(plan.status().code(), StatusCode::kInvalidArgument);
    for (const std::string& word : words) {
      EXPECT_NE(plan.status().message().find(word), std::string::npos)
          << word << " in " << plan.status().ToString();
    }
  }

  std::vector<RestoreTarget> targets;
};

TEST_F(RestoreMatchTest, AcceptsTheSameGraphAndNewOperators) {
  targets.push_back(Target("new", "map", false, 8));
  const auto plan = Make();
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  EXPECT_TRUE((*plan)->Has("sum"));
  EXPECT_FALSE((*plan)->Has("new"));
  EXPECT_TRUE((*plan)->SplitsOf("new").empty());
  EXPECT_TRUE((*plan)->KeyedStateFor("new", 0, 1)->subtasks.empty());
  EXPECT_TRUE((*plan)->KeyedStateFor("sum", 0, 1)->same_parallelism);
  (*plan)->ForgetIds();
  EXPECT_FALSE((*plan)->KeyedStateFor("sum", 0, 1)->same_parallelism);
  EXPECT_FALSE((*plan)->SameParallelism("sum", 1));
}

TEST_F(RestoreMatchTest, HasNoStateForOperatorsThatAreNewOrSubtasksThatCannotBe) {
  targets.push_back(Target("new", "map", false, 8));
  const auto plan = Make();
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  const auto none = (*plan)->OperatorStateFor("new", 0, 1);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(none->Encode(), OperatorState().Encode());
  EXPECT_EQ((*plan)->KeyedStateFor("sum", 1, 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ((*plan)->KeyedStateFor("sum", -1, 1).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE((*plan)->KeyedStateFor("sum", 7, 8).ok());
  EXPECT_EQ((*plan)->KeyedStateFor("sum", 8, 9).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(RestoreMatchTest, RefusesAMissingOperatorUnlessItMayBeDropped) {
  targets[0].operator_id = "renamed";
  ExpectRefused({"'Sum' (uid sum)", "'Now' (uid renamed)", "ignore-unclaimed-state"});
  const auto plan = Make(/*allow_dropped=*/true);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ((*plan)->dropped(), std::vector<std::string>({"'Sum' (uid sum)"}));
}

TEST_F(RestoreMatchTest, RefusesAnotherKindNamingBoth) {
  targets[0].kind = "window";
  ExpectRefused({"kind window", "kind reduce", "(uid sum)"});
  EXPECT_FALSE(Make(/*allow_dropped=*/true).ok()) << "state never goes to another kind";
}

TEST_F(RestoreMatchTest, RefusesAnotherMaxParallelismNamingBoth) {
  targets[0].max_parallelism = 128;
  ExpectRefused({"max parallelism 128", "max parallelism 8", "Set it to 8"});
}

TEST_F(RestoreMatchTest, RefusesKeyedForNotKeyed) {
  targets[0].keyed = false;
  ExpectRefused({"not keyed", "keyed state"});
}

TEST_F(RestoreMatchTest, DamageShowsWhenABlockIsReadNamingFileAndOffset) {
  const std::string path = job.JobDirectory() + "/" + manifest.files[0].name;
  ASSERT_TRUE(job.env.sim_files().FlipBit(path, 8 * 100).ok());
  const auto plan = Make();
  ASSERT_TRUE(plan.ok());
  auto state = (*plan)->KeyedStateFor("sum", 0, 1);
  ASSERT_TRUE(state.ok());
  const auto read = state->subtasks[0].tables[0]->ReadPartition(0);
  ASSERT_EQ(read.status().code(), StatusCode::kCorruption);
  EXPECT_NE(read.status().message().find(path), std::string::npos);
  EXPECT_NE(read.status().message().find("offset 48"), std::string::npos)
      << read.status().ToString();
}

TEST_F(RestoreMatchTest, AFileThatIsGoneWhenABlockIsReadIsDamage) {
  const auto plan = Make();
  ASSERT_TRUE(plan.ok());
  auto state = (*plan)->KeyedStateFor("sum", 0, 1);
  ASSERT_TRUE(state.ok());
  const std::string path = job.JobDirectory() + "/" + manifest.files[0].name;
  ASSERT_TRUE(job.env.files().Remove(path).ok());
  const auto read = state->subtasks[0].tables[0]->ReadPartition(0);
  EXPECT_EQ(read.status().code(), StatusCode::kCorruption);
  EXPECT_NE(read.status().message().find("missing"), std::string::npos);
}

WrittenSnapshot SourceTask(int task, int subtask, const std::string& split, int64_t bytes) {
  WrittenSnapshot result;
  result.snapshot.task = task;
  OperatorSnapshot& op = result.snapshot.operators.emplace_back();
  op.operator_id = "source";
  op.subtask_index = subtask;
  op.parallelism = 2;
  SplitSnapshot& progress = op.splits.emplace_back();
  progress.id = split;
  op.registry = {
      {.name = "s", .fingerprint = "f", .kind = TableKind::kRows, .bytes = bytes, .rows = 1}};
  PartitionRef ref;
  ref.whole = true;
  SubtaskManifest part;
  part.index = subtask;
  part.tables.resize(1);
  part.tables[0].partitions = {{ref}};
  result.written.parts = {{.operator_id = "source", .subtask = part}};
  FileManifest file;
  file.name = "data-" + std::to_string(task);
  result.written.files = {file};
  return result;
}

TEST(AssembleManifest, DoesNotDependOnTheOrderInWhichTasksFinish) {
  std::string bytes[2];
  for (int order = 0; order < 2; ++order) {
    std::vector<WrittenSnapshot> tasks;
    tasks.push_back(SourceTask(order, order, order == 0 ? "b" : "a", 10));
    tasks.push_back(SourceTask(1 - order, 1 - order, order == 0 ? "a" : "b", 10));
    Manifest manifest;
    ASSERT_TRUE(AssembleManifest(tasks, &manifest).ok());
    ASSERT_EQ(manifest.operators.size(), 1u);
    const OperatorManifest& op = manifest.operators[0];
    EXPECT_EQ(op.subtasks[0].index, 0);
    EXPECT_EQ(op.splits[0].id, "a");
    EXPECT_EQ(op.registry.size(), 1u);
    EXPECT_EQ(op.registry[0].bytes, 20);
    EXPECT_EQ(manifest.files[op.subtasks[1].tables[0].partitions[0][0].file].name, "data-1");
    bytes[order] = SerializeManifest(manifest);
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST(AssembleManifest, RefusesASplitReadTwiceAndASubtaskTwice) {
  std::vector<WrittenSnapshot> tasks;
  tasks.push_back(SourceTask(0, 0, "a", 1));
  tasks.push_back(SourceTask(1, 1, "a", 1));
  Manifest manifest;
  EXPECT_EQ(AssembleManifest(tasks, &manifest).code(), StatusCode::kInternal);
  tasks[1] = SourceTask(1, 0, "b", 1);
  manifest = Manifest();
  EXPECT_EQ(AssembleManifest(tasks, &manifest).code(), StatusCode::kInternal);
}

TEST(AssembleManifest, ListsAFileOfTwoTasksOnceAndRefusesTwoOfOneName) {
  std::vector<WrittenSnapshot> tasks;
  tasks.push_back(SourceTask(0, 0, "a", 1));
  tasks.push_back(SourceTask(1, 1, "b", 1));
  tasks[1].written.files = tasks[0].written.files;
  Manifest manifest;
  ASSERT_TRUE(AssembleManifest(tasks, &manifest).ok());
  EXPECT_EQ(manifest.files.size(), 1u);
  tasks[1].written.files[0].size_bytes = 7;
  manifest = Manifest();
  EXPECT_EQ(AssembleManifest(tasks, &manifest).code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace headrace
