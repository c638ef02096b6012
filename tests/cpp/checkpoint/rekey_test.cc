#include "headrace/checkpoint/rekey.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "checkpoint/one_task_checkpoint.h"
#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/storage/key_ring.h"
#include "testing/failpoint_actions.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

constexpr int kGroups = 16;
constexpr char kText[] = "canary-text";

// Checkpoints of one keyed operator with one state, some of them incremental.
class RekeyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* id : {"k1", "k2"}) {
      KeyRing::Process().Add(id, *SecretKey::FromBytes(std::string(SecretKey::kBytes, id[1])));
    }
  }
  void TearDown() override { KeyRing::Process().Clear(); }

  CheckpointStoreOptions Options(const std::string& key_id) {
    CheckpointStoreOptions options;
    options.directory = "/state";
    options.job_key = "job";
    options.key_id = key_id;
    return options;
  }

  void RunJob(const std::string& key_id) {
    auto store = CheckpointStore::Open(&env_, Options(key_id));
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    directory_ = (*store)->job_directory();
    SnapshotWriter writer(&env_, store->get());
    KeyedState state({0, kGroups - 1}, kGroups, int64_t{1} << 30);
    CheckpointCoordinator coordinator(&env_, CheckpointOptions(), store->get(), &writer, 1, 1);
    RowState* rows = *state.RegisterRows("text", "value<str>");
    for (int round = 0; round < 3; ++round) {
      for (int64_t key = 0; key < (round == 0 ? 3000 : 5); ++key) {
        rows->Put(state.keys().LookupOrInsertInt(key), "", "",
                  kText + std::to_string(round) + std::to_string(key));
      }
      CheckpointId id = 0;
      ASSERT_NO_FATAL_FAILURE(testing::TakeCheckpoint(&env_, &coordinator, &state, kGroups, &id));
    }
  }

  std::map<int64_t, std::string> ReadState() {
    std::string directory;
    auto manifest = LoadManifest(env_.files(), directory_, &directory);
    EXPECT_TRUE(manifest.ok()) << manifest.status().ToString();
    if (!manifest.ok()) return {};
    const Status whole = CheckFilesWhole(env_.files(), *manifest, directory);
    EXPECT_TRUE(whole.ok()) << whole.ToString();
    RestoreTarget target;
    target.operator_id = target.name = "op";
    target.kind = "process";
    target.keyed = true;
    target.max_parallelism = kGroups;
    auto plan = RestorePlan::Make(&env_, *manifest, directory, {target}, false);
    EXPECT_TRUE(plan.ok()) << plan.status().ToString();
    KeyedState state({0, kGroups - 1}, kGroups, int64_t{1} << 30);
    auto stored = (*plan)->KeyedStateFor("op", 0, 1);
    EXPECT_TRUE(stored.ok()) << stored.status().ToString();
    const Status restored = state.Restore(std::move(stored).value());
    EXPECT_TRUE(restored.ok()) << restored.ToString();
    RowState* rows = *state.RegisterRows("text", "value<str>");
    std::map<int64_t, std::string> read;
    for (int64_t key = 0; key < 3000; ++key) {
      std::string_view value;
      if (rows->Get(state.keys().LookupOrInsertInt(key), "", "", &value)) read[key] = value;
    }
    return read;
  }

  std::vector<std::string> Names() { return *env_.files().List(directory_); }

  // Files that show the text of the state.
  int FilesInTheClear() {
    int shown = 0;
    for (const std::string& name : Names()) {
      shown += env_.files().ReadAll(directory_ + "/" + name)->find(kText) != std::string::npos;
    }
    return shown;
  }

  SimEnv env_{1};
  std::string directory_;
};

TEST_F(RekeyTest, EveryCheckpointIsUnderTheNewKeyAndHoldsTheSame) {
  RunJob("k1");
  const auto before = ReadState();
  ASSERT_EQ(before.size(), 3000u);
  ASSERT_EQ(FilesInTheClear(), 0);
  const auto report = RekeyCheckpoints(&env_, directory_, "k2");
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->checkpoints, 2u);
  EXPECT_EQ(report->files, 3u);
  KeyRing::Process().Clear();
  KeyRing::Process().Add("k2", *SecretKey::FromBytes(std::string(SecretKey::kBytes, '2')));
  EXPECT_EQ(ReadState(), before);
  std::string directory;
  const Manifest manifest = *LoadManifest(env_.files(), directory_, &directory);
  EXPECT_EQ(manifest.key_id, "k2");
  for (const FileManifest& file : manifest.files) {
    EXPECT_EQ(file.key_id, "k2");
    EXPECT_EQ((*CheckpointFileReader::Open(env_.files(), directory_ + "/" + file.name))->key_id(),
              "k2");
  }
  // Under that key already.
  EXPECT_EQ(RekeyCheckpoints(&env_, directory_, "k2")->files, 0u);
}

TEST_F(RekeyTest, CheckpointsInTheClearAreEncryptedAndBack) {
  RunJob("");
  const auto before = ReadState();
  ASSERT_GT(FilesInTheClear(), 0);
  ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, "k1").ok());
  EXPECT_EQ(FilesInTheClear(), 0);
  EXPECT_EQ(ReadState(), before);
  ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, "").ok());
  EXPECT_GT(FilesInTheClear(), 0);
  KeyRing::Process().Clear();
  EXPECT_EQ(ReadState(), before);
}

TEST_F(RekeyTest, CutOffAtAnyCallLeavesEveryCheckpointWhole) {
  RunJob("k1");
  const auto before = ReadState();
  int cuts = 0;
  for (uint64_t k = 1; k <= 60; ++k) {
    SCOPED_TRACE(k);
    // All the way there, and back until it is cut off.
    ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, "k2").ok());
    {
      ScopedFailpoints points;
      points.FailAt(k, Status::IoError("disk"));
      cuts += !RekeyCheckpoints(&env_, directory_, "k1").ok();
    }
    env_.Crash(CrashKind::kPowerLoss);
    ASSERT_EQ(ReadState(), before);
  }
  EXPECT_GT(cuts, 40);
  ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, "k2").ok());
  EXPECT_EQ(ReadState(), before);
}

TEST_F(RekeyTest, DirectoryInUseAndMissingKeysAreRefused) {
  RunJob("k1");
  EXPECT_TRUE(IsKeyProblem(RekeyCheckpoints(&env_, directory_, "k9").status()));
  EXPECT_EQ(RekeyCheckpoints(&env_, directory_, "not an id").status().code(),
            StatusCode::kInvalidArgument);
  const auto store = CheckpointStore::Open(&env_, Options("k1"));
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(RekeyCheckpoints(&env_, directory_, "k2").status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_F(RekeyTest, JobThatLacksAKeyIsRefusedAndDeletesNothing) {
  RunJob("k1");
  const auto names = Names();
  KeyRing::Process().Clear();
  KeyRing::Process().Add("k2", *SecretKey::FromBytes(std::string(SecretKey::kBytes, '2')));
  const auto store = CheckpointStore::Open(&env_, Options("k2"));
  ASSERT_FALSE(store.ok());
  EXPECT_TRUE(IsKeyProblem(store.status())) << store.status().ToString();
  EXPECT_NE(store.status().message().find("'k1'"), std::string::npos) << store.status().message();
  EXPECT_EQ(Names(), names);
}

}  // namespace
}  // namespace headrace
