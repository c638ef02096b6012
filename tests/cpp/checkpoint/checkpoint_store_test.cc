#include "headrace/checkpoint/checkpoint_store.h"

#include <gtest/gtest.h>

#include "checkpoint/model_job.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/checkpoint/verification.h"

namespace headrace {
namespace {

class CheckpointStoreTest : public testing::Test {
 protected:
  void Start() {
    const Status status = job.StartProcess();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Checkpoint(int changes) {
    job.Work(changes);
    const Status status = job.Checkpoint();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  std::vector<std::string> Names() {
    const auto names = job.env.files().List(directory);
    EXPECT_TRUE(names.ok());
    return *names;
  }
  std::vector<std::string> NamesOf(StoredName::Kind kind) {
    std::vector<std::string> found;
    for (const std::string& name : Names()) {
      if (ParseStoredName(name).kind == kind) found.push_back(name);
    }
    return found;
  }
  void Write(const std::string& path, const std::string& content) {
    if (const auto there = job.env.files().Stat(path); there.ok() && there->exists) {
      ASSERT_TRUE(job.env.files().Remove(path).ok());
    }
    auto file = job.env.files().Create(path);
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    ASSERT_TRUE((*file)->Append(content).ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
    ASSERT_TRUE(job.env.files().SyncDirectory(path.substr(0, path.rfind('/'))).ok());
  }
  std::string Read(const std::string& path) {
    const auto bytes = job.env.files().ReadAll(path);
    EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
    return bytes.ok() ? *bytes : "";
  }
  Result<std::unique_ptr<CheckpointStore>> OpenAnother() {
    return CheckpointStore::Open(&job.env, job.options);
  }

  ModelJob job{1};
  std::string directory = "/state/" + [] {
    CheckpointStoreOptions options;
    SimEnv env(1);
    options.directory = "/state";
    options.job_key = "model";
    return (*CheckpointStore::Open(&env, options))->job_directory().substr(7);
  }();
};

TEST_F(CheckpointStoreTest, KeepsTheLayoutItPromises) {
  Start();
  Checkpoint(100);
  Checkpoint(3);
  EXPECT_EQ(job.JobDirectory(), directory);
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest),
            std::vector<std::string>({"chk-1.manifest", "chk-2.manifest"}));
  EXPECT_EQ(NamesOf(StoredName::Kind::kRunMarker), std::vector<std::string>({"run-1"}));
  EXPECT_EQ(NamesOf(StoredName::Kind::kForeign), std::vector<std::string>({"LOCK"}));
  EXPECT_TRUE(NamesOf(StoredName::Kind::kManifestTemporary).empty());
  const auto entries = job.store->List();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[1].id, 2u);
  EXPECT_TRUE((*entries)[1].status.ok());
}

TEST_F(CheckpointStoreTest, RefusesADirectoryInUseAndFreesItInTheEnd) {
  Start();
  const auto second = OpenAnother();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find(directory), std::string::npos);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos);
  job.StopProcess();
  EXPECT_TRUE(OpenAnother().ok());
}

TEST_F(CheckpointStoreTest, KeepsTheLockWhileBackgroundWorkSharesTheStore) {
  Start();
  std::shared_ptr<CheckpointStore> shared = job.store->Share();
  job.StopProcess();
  EXPECT_FALSE(OpenAnother().ok());
  shared.reset();
  EXPECT_TRUE(OpenAnother().ok());
}

TEST_F(CheckpointStoreTest, ACrashFreesTheLock) {
  Start();
  job.Crash(CrashKind::kProcessKill);
  EXPECT_TRUE(OpenAnother().ok());
}

TEST_F(CheckpointStoreTest, RunNumbersGrowAlsoWhenAllElseIsLost) {
  for (uint64_t run = 1; run <= 4; ++run) {
    Start();
    EXPECT_EQ(job.store->run_id(), run);
    job.Crash(CrashKind::kPowerLoss);
  }
  EXPECT_EQ(NamesOf(StoredName::Kind::kRunMarker).size(), 1u);
}

TEST_F(CheckpointStoreTest, NeverUsesANameTwice) {
  Start();
  std::set<std::string> names;
  for (int run = 0; run < 3; ++run) {
    for (int i = 0; i < 10; ++i) {
      const std::string name = job.store->DataFileName(7, 0);
      EXPECT_TRUE(names.insert(name).second) << name;
      EXPECT_EQ(ParseStoredName(name).kind, StoredName::Kind::kData);
      EXPECT_EQ(ParseStoredName(name).checkpoint, 7u);
    }
    Start();
  }
}

TEST_F(CheckpointStoreTest, IdsGoOnBehindEverythingThatWasEverNamed) {
  Start();
  Checkpoint(10);
  EXPECT_EQ(job.store->next_checkpoint_id(), 2u);
  (void)job.store->DataFileName(5, 0);
  EXPECT_EQ(job.store->next_checkpoint_id(), 6u);
  Write(directory + "/" + DataName(1, 9, 0, 99), "an orphan");
  Start();
  EXPECT_EQ(job.store->next_checkpoint_id(), 10u);
  Checkpoint(3);
  EXPECT_EQ(job.last_id, 10u);
}

TEST_F(CheckpointStoreTest, NeverTouchesForeignFiles) {
  Start();
  const std::vector<std::string> foreign = {"notes.txt", "chk-1.manifest.bak", "data-1-1-0-1.csv"};
  for (const std::string& name : foreign) Write(directory + "/" + name, name);
  const std::string newer_run = DataName(99, 1, 0, 1);
  for (int i = 0; i < 6; ++i) Checkpoint(100);
  Write(directory + "/" + newer_run, "of a run that is not ours");
  for (int i = 0; i < 3; ++i) Checkpoint(100);
  for (const std::string& name : foreign) EXPECT_EQ(Read(directory + "/" + name), name);
  EXPECT_EQ(Read(directory + "/" + newer_run), "of a run that is not ours");
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest).size(), 2u);
}

TEST_F(CheckpointStoreTest, AnOldRunCannotCommitOnceANewerOneHasBegun) {
  Start();
  Checkpoint(10);
  Write(directory + "/" + RunMarkerName(2), "");
  job.Work(5);
  const Status status = job.Checkpoint();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
  EXPECT_NE(status.message().find("run 2"), std::string::npos);
  EXPECT_FALSE(job.store->Decided(2));
}

TEST_F(CheckpointStoreTest, ACommitThatIsNoLongerWantedChangesNothing) {
  Start();
  const std::vector<std::string> before = Names();
  Manifest manifest;
  manifest.job_key = job.options.job_key;
  manifest.id = 1;
  manifest.run_id = job.store->run_id();
  const Status status = job.store->Commit(manifest, [] { return false; });
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  EXPECT_EQ(Names(), before);
  EXPECT_TRUE(job.store->Commit(manifest, [] { return true; }).ok());
}

TEST_F(CheckpointStoreTest, HoldsOnlyItsOwnManifests) {
  Start();
  Checkpoint(10);
  Manifest manifest = *job.coordinator->LastCompleted();
  EXPECT_TRUE(job.store->Holds(manifest));
  manifest.created_ms += 1;
  EXPECT_FALSE(job.store->Holds(manifest));
  manifest.id = 77;
  EXPECT_FALSE(job.store->Holds(manifest));
}

TEST_F(CheckpointStoreTest, ParentDigestsChainTheManifests) {
  Start();
  Checkpoint(10);
  const Manifest first = *job.coordinator->LastCompleted();
  EXPECT_EQ(first.parent_digest, Digest128());
  Checkpoint(10);
  EXPECT_EQ(job.coordinator->LastCompleted()->parent_digest, Hash128(SerializeManifest(first)));
  const Manifest second = *job.coordinator->LastCompleted();
  Start();
  Checkpoint(10);
  EXPECT_EQ(job.coordinator->LastCompleted()->parent_digest, Hash128(SerializeManifest(second)));
}

TEST_F(CheckpointStoreTest, RefusesADamagedNewestAndNamesTheNewestWholeOne) {
  Start();
  Checkpoint(100);
  Checkpoint(100);
  job.StopProcess();
  ASSERT_TRUE(job.env.sim_files().FlipBit(directory + "/chk-2.manifest", 999).ok());
  const Status status = job.StartProcess();
  ASSERT_EQ(status.code(), StatusCode::kCorruption) << status.ToString();
  EXPECT_NE(status.message().find(directory + "/chk-2.manifest"), std::string::npos);
  EXPECT_NE(status.message().find("offset"), std::string::npos);
  EXPECT_NE(status.message().find(directory + "/chk-1.manifest"), std::string::npos);
  // The lock is free again: nothing of the refused start hangs around.
  job.StopProcess();
  job.allow_older = true;
  Start();
  EXPECT_EQ(job.restored, 1u);
  EXPECT_NE(job.warning.find("checkpoint 1"), std::string::npos);
  EXPECT_EQ(job.Rows(), job.expected.at(1).rows);
  // Goes on behind the damaged one, which is neither overwritten nor counted.
  Checkpoint(3);
  EXPECT_EQ(job.last_id, 3u);
}

TEST_F(CheckpointStoreTest, AManifestThatOneReadOfTwoFoundDamagedIsUsedOrRefused) {
  Start();
  Checkpoint(100);
  Checkpoint(100);
  job.StopProcess();
  int used = 0;
  for (int attempt = 0; attempt < 200; ++attempt) {
    auto store = OpenAnother();
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    FaultPlan faults;
    faults[FsCall::kRead].bit_flip = 0.3;
    job.env.sim_files().set_faults(faults);
    const auto latest = (*store)->LoadLatest(false, nullptr);
    job.env.sim_files().set_faults(FaultPlan());
    if (latest.ok()) {
      ++used;
      ASSERT_EQ((*latest)->id, 2u);
      EXPECT_TRUE((*store)->Holds(**latest));
    } else {
      ASSERT_EQ(latest.status().code(), StatusCode::kCorruption) << latest.status().ToString();
    }
  }
  EXPECT_GT(used, 0);
}

TEST_F(CheckpointStoreTest, RefusesTheCheckpointOfAnotherJob) {
  Start();
  Checkpoint(10);
  Manifest manifest = *job.coordinator->LastCompleted();
  job.StopProcess();
  manifest.job_key = "another";
  Write(directory + "/chk-1.manifest", SerializeManifest(manifest));
  const Status status = job.StartProcess();
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
  EXPECT_NE(status.message().find("'another'"), std::string::npos);
}

TEST_F(CheckpointStoreTest, RefusesFilesSwappedBetweenCheckpoints) {
  Start();
  Checkpoint(100);
  Checkpoint(100);
  const Manifest manifest = *job.coordinator->LastCompleted();
  job.StopProcess();
  std::string other;
  for (const FileManifest& file : manifest.files) {
    if (file.checkpoint == 1) other = file.name;
  }
  ASSERT_FALSE(other.empty());
  const std::string target = directory + "/" + manifest.files[0].name;
  Write(target, Read(directory + "/" + other));
  const Status status = job.StartProcess();
  ASSERT_EQ(status.code(), StatusCode::kCorruption) << status.ToString();
  EXPECT_NE(status.message().find(target), std::string::npos) << status.ToString();
}

// Every byte of every file of a checkpoint, every length: refused before anything runs, naming the
// file.
TEST_F(CheckpointStoreTest, FindsEveryDamagedByteAndEveryTruncation) {
  job.options.compression.codec = CodecId::kLz4;
  Start();
  Checkpoint(25);
  const Manifest manifest = *job.coordinator->LastCompleted();
  std::vector<std::string> paths = {directory + "/chk-1.manifest"};
  for (const FileManifest& file : manifest.files) paths.push_back(directory + "/" + file.name);
  ASSERT_GE(paths.size(), 3u);
  int checked = 0;
  for (const std::string& path : paths) {
    const std::string good = Read(path);
    const auto expect_refused = [&](const std::string& bytes, size_t at) {
      ++checked;
      Write(path, bytes);
      const auto latest = job.store->LoadLatest(false, nullptr);
      ASSERT_FALSE(latest.ok()) << path << " at " << at;
      ASSERT_NE(latest.status().message().find(path), std::string::npos)
          << latest.status().ToString();
      ASSERT_NE(latest.status().message().find("offset"), std::string::npos)
          << latest.status().ToString();
      const auto report = VerifyStored(job.env.files(), directory);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      ASSERT_EQ(report->damage.size(), 1u) << path << " at " << at;
      ASSERT_EQ(report->damage[0].path, path);
      ASSERT_LE(report->damage[0].offset, at) << report->damage[0].what;
    };
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
      ASSERT_NO_FATAL_FAILURE(expect_refused(bytes, at));
    }
    for (size_t size = 0; size < good.size(); size += 1 + good.size() / 100) {
      ASSERT_NO_FATAL_FAILURE(expect_refused(good.substr(0, size), size));
    }
    ASSERT_NO_FATAL_FAILURE(expect_refused(good + "x", good.size()));
    Write(path, good);
  }
  EXPECT_GT(checked, 500);
  EXPECT_TRUE(job.store->LoadLatest(false, nullptr).ok());
}

TEST_F(CheckpointStoreTest, FindsAMissingFile) {
  Start();
  Checkpoint(25);
  const Manifest manifest = *job.coordinator->LastCompleted();
  const std::string path = directory + "/" + manifest.files[0].name;
  ASSERT_TRUE(job.env.files().Remove(path).ok());
  const auto latest = job.store->LoadLatest(true, nullptr);
  ASSERT_EQ(latest.status().code(), StatusCode::kCorruption);
  EXPECT_NE(latest.status().message().find(path), std::string::npos);
  EXPECT_EQ(LoadManifest(job.env.files(), directory, nullptr).status().code(),
            StatusCode::kCorruption);
}

TEST_F(CheckpointStoreTest, LoadsByFileByIdAndByDirectory) {
  Start();
  Checkpoint(25);
  Checkpoint(3);
  for (const auto& [path, id] : std::map<std::string, CheckpointId>{
           {directory, 2}, {directory + "/chk-1.manifest", 1}, {directory + "/chk-2", 2}}) {
    std::string found;
    const auto manifest = LoadManifest(job.env.files(), path, &found);
    ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
    EXPECT_EQ(manifest->id, id);
    EXPECT_EQ(found, directory);
  }
  EXPECT_EQ(LoadManifest(job.env.files(), "/nowhere", nullptr).status().code(),
            StatusCode::kNotFound);
  EXPECT_EQ(LoadManifest(job.env.files(), "/out", nullptr).status().code(), StatusCode::kNotFound);
}

TEST_F(CheckpointStoreTest, AManifestMayHaveAnyNameButTheNumberOfAnother) {
  Start();
  Checkpoint(25);
  FileSystem& files = job.env.files();
  const std::string content = Read(directory + "/chk-1.manifest");
  Write(directory + "/saved.manifest", content);
  EXPECT_TRUE(ReadManifestFile(files, directory + "/saved.manifest").ok());
  Write(directory + "/chk-9.manifest", content);
  const auto misnamed = ReadManifestFile(files, directory + "/chk-9.manifest");
  EXPECT_EQ(misnamed.status().code(), StatusCode::kCorruption);
  EXPECT_NE(misnamed.status().message().find("holds checkpoint 1"), std::string::npos);
  const auto missing = ReadManifestFile(files, directory + "/chk-8.manifest");
  EXPECT_EQ(missing.status().code(), StatusCode::kCorruption);
}

TEST_F(CheckpointStoreTest, AFileThatIsNothingButTheEndingIsNoManifest) {
  ASSERT_TRUE(job.env.files().MakeDirectories("/saved").ok());
  Write("/saved/.manifest", "x");
  EXPECT_EQ(LoadManifest(job.env.files(), "/saved", nullptr).status().code(),
            StatusCode::kNotFound);
}

TEST_F(CheckpointStoreTest, VerifyCountsFilesAndBytesAndReportsAllDamage) {
  Start();
  Checkpoint(100);
  auto report = VerifyStored(job.env.files(), directory);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->damage.empty());
  EXPECT_EQ(report->files, 4u);  // manifest, two data files, one part file
  EXPECT_GT(report->bytes_read, 1000u);
  EXPECT_EQ(report->bytes_read, report->bytes_on_disk);
  ASSERT_NE(report->newest_whole(), nullptr);
  EXPECT_EQ(report->newest_whole()->id, 1u);

  const Manifest manifest = *job.coordinator->LastCompleted();
  for (const FileManifest& file : manifest.files) {
    ASSERT_TRUE(job.env.sim_files().FlipBit(directory + "/" + file.name, 8 * 60).ok());
  }
  ASSERT_TRUE(job.env.sim_files().FlipBit("/out/part-1-1", 3).ok());
  report = VerifyStored(job.env.files(), directory);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->damage.size(), 3u);
  EXPECT_EQ(report->newest_whole(), nullptr);
  for (const Damage& damage : report->damage) {
    EXPECT_EQ(damage.offset > 0, damage.path.starts_with(directory)) << damage.path;
    EXPECT_EQ(damage.what.find("offset"), std::string::npos) << damage.what;
    EXPECT_EQ(damage.what.find(damage.path), std::string::npos) << damage.what;
  }
  const std::string missing = directory + "/" + manifest.files[0].name;
  ASSERT_TRUE(job.env.files().Remove(missing).ok());
  report = VerifyStored(job.env.files(), directory);
  ASSERT_TRUE(report.ok());
  for (const Damage& damage : report->damage) {
    EXPECT_EQ(damage.what == "missing", damage.path == missing) << damage.path << damage.what;
  }
  EXPECT_EQ(VerifyStored(job.env.files(), "/nowhere").status().code(), StatusCode::kNotFound);
}

TEST_F(CheckpointStoreTest, PublicationRefusesATemporaryWithOtherContent) {
  Start();
  Checkpoint(10);
  Manifest manifest = *job.coordinator->LastCompleted();
  ASSERT_TRUE(FinishPublication(job.env.files(), manifest).ok()) << "idempotent";
  ASSERT_TRUE(job.env.files().Rename("/out/part-1-1", manifest.renames[0].temporary_path).ok());
  ASSERT_TRUE(job.env.sim_files().FlipBit(manifest.renames[0].temporary_path, 3).ok());
  const Status status = FinishPublication(job.env.files(), manifest);
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_TRUE(job.Output().empty()) << "nothing is half published";
  ASSERT_TRUE(job.env.files().Remove(manifest.renames[0].temporary_path).ok());
  EXPECT_EQ(FinishPublication(job.env.files(), manifest).code(), StatusCode::kCorruption);
}

TEST_F(CheckpointStoreTest, AFullDiskFailsCheckpointsUntilThereIsSpaceAgain) {
  Start();
  Checkpoint(100);
  SimFileSystem& files = job.env.sim_files();
  files.set_capacity_bytes(files.used_bytes() + 10);
  for (int i = 0; i < 3; ++i) {
    job.Work(50);
    EXPECT_EQ(job.Checkpoint().code(), StatusCode::kResourceExhausted);
    EXPECT_FALSE(job.failed_job);
  }
  files.set_capacity_bytes(UINT64_MAX);
  for (int i = 0; i < 3; ++i) Checkpoint(1);
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest).size(), 2u);
  std::set<std::string> referenced;
  for (const std::string& name : NamesOf(StoredName::Kind::kManifest)) {
    const auto manifest = LoadManifest(job.env.files(), directory + "/" + name, nullptr);
    ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
    for (const FileManifest& file : manifest->files) referenced.insert(file.name);
  }
  for (const std::string& name : NamesOf(StoredName::Kind::kData)) {
    EXPECT_TRUE(referenced.contains(name)) << "left by a failed checkpoint: " << name;
  }
  EXPECT_TRUE(NamesOf(StoredName::Kind::kManifestTemporary).empty());
}

}  // namespace
}  // namespace headrace
