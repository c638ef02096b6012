#include "headrace/checkpoint/remote_directory.h"

#include <gtest/gtest.h>

#include "checkpoint/model_job.h"
#include "headrace/checkpoint/protocol.h"
#include "testing/sim_remote_storage.h"

namespace headrace {
namespace {

// One process of the model job, with a staging directory of its own each time it starts.
struct Process {
  explicit Process(SimRemoteStorage* storage, uint64_t seed = 1) : storage(storage), job(seed) {}

  Status Start() {
    job.options.directory = "/staging-" + std::to_string(++starts);
    job.options.transport = storage->Connect(job.env.files());
    return job.StartProcess();
  }
  Status Checkpoint(int changes) {
    job.Work(changes);
    return job.Checkpoint();
  }

  SimRemoteStorage* storage;
  ModelJob job;
  int starts = 0;
};

class RemoteDirectoryTest : public testing::Test {
 protected:
  void Start() {
    const Status status = process.Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Checkpoint(int changes) {
    const Status status = process.Checkpoint(changes);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void ExpectRestored(CheckpointId id) {
    EXPECT_EQ(job.restored, id);
    EXPECT_EQ(job.Rows(), job.expected.at(id).rows);
    EXPECT_EQ(job.Output(), job.expected.at(id).published);
  }
  std::vector<std::string> NamesOf(StoredName::Kind kind) {
    std::vector<std::string> found;
    for (const std::string& name : storage.Names()) {
      if (ParseStoredName(name).kind == kind) found.push_back(name);
    }
    return found;
  }
  std::string NewestDataFile() {
    std::string newest;
    CheckpointId id = 0;
    for (const std::string& name : NamesOf(StoredName::Kind::kData)) {
      if (ParseStoredName(name).checkpoint < id) continue;
      newest = name;
      id = ParseStoredName(name).checkpoint;
    }
    return newest;
  }

  SimRemoteStorage storage{7};
  Process process{&storage};
  ModelJob& job = process.job;
};

TEST_F(RemoteDirectoryTest, HoldsTheLayoutOfALocalDirectoryWithoutLockAndTemporaries) {
  Start();
  Checkpoint(100);
  Checkpoint(3);
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest),
            std::vector<std::string>({"chk-1.manifest", "chk-2.manifest"}));
  EXPECT_EQ(NamesOf(StoredName::Kind::kRunMarker), std::vector<std::string>({"run-1"}));
  EXPECT_TRUE(NamesOf(StoredName::Kind::kForeign).empty());
  const auto entries = job.store->List();
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_EQ((*entries)[1].manifest_path, "sim://bucket/job/chk-2.manifest");
  EXPECT_TRUE((*entries)[1].status.ok());
}

TEST_F(RemoteDirectoryTest, KeepsNothingInStagingThatIsUploaded) {
  Start();
  Checkpoint(100);
  Checkpoint(3);
  const auto staged = job.env.files().List(job.JobDirectory());
  ASSERT_TRUE(staged.ok());
  EXPECT_EQ(*staged, std::vector<std::string>({"LOCK"}));
}

TEST_F(RemoteDirectoryTest, AProcessOnAnEmptyDiskResumesFromTheNewest) {
  Start();
  Checkpoint(100);
  Checkpoint(30);
  job.Work(10);
  job.Crash(CrashKind::kPowerLoss);
  Start();
  ExpectRestored(2);
  Checkpoint(10);
  EXPECT_EQ(job.last_id, 3u);
}

TEST_F(RemoteDirectoryTest, ANewAttemptOfTheSameProcessResumesFromTheNewest) {
  Start();
  Checkpoint(100);
  Checkpoint(30);
  job.Work(10);
  const Status status = job.StartAttempt();
  ASSERT_TRUE(status.ok()) << status.ToString();
  ExpectRestored(2);
  Checkpoint(10);
}

TEST_F(RemoteDirectoryTest, ADecisionWhoseAnswerGotLostIsReadBack) {
  Start();
  storage.FailNext(RemoteCall::kCreate, RemoteFault::kDoneButLost);
  Checkpoint(100);
  EXPECT_TRUE(job.store->Decided(1));
  EXPECT_EQ(job.Output(), job.expected.at(1).published);
}

TEST_F(RemoteDirectoryTest, AStorageThatDoesNotAnswerFailsTheCheckpointAndTheNextOneWorks) {
  for (const RemoteCall call : {RemoteCall::kUpload, RemoteCall::kCreate, RemoteCall::kFind}) {
    SCOPED_TRACE(static_cast<int>(call));
    Start();
    Checkpoint(50);
    const std::set<std::string> published = job.Output();
    const std::vector<std::string> manifests = NamesOf(StoredName::Kind::kManifest);
    storage.FailNext(call, RemoteFault::kUnavailable);
    const Status status = process.Checkpoint(20);
    EXPECT_EQ(status.code(), StatusCode::kIoError) << status.ToString();
    EXPECT_NE(status.message().find("sim://bucket/job"), std::string::npos);
    EXPECT_EQ(NamesOf(StoredName::Kind::kManifest), manifests);
    EXPECT_EQ(job.Output(), published);
    Checkpoint(5);
    EXPECT_EQ(job.Output(), job.expected.at(job.last_id).published);
  }
}

TEST_F(RemoteDirectoryTest, AManifestThatArrivesAfterItsFailureIsResumedFromOrSuperseded) {
  for (const bool arrives : {false, true}) {
    SCOPED_TRACE(arrives);
    Start();
    Checkpoint(50);
    const CheckpointId before = job.last_id;
    storage.FailNext(RemoteCall::kCreate, RemoteFault::kDoneLater);
    EXPECT_FALSE(process.Checkpoint(20).ok());
    const CheckpointId doubtful = job.last_id;
    EXPECT_FALSE(job.store->Decided(doubtful));
    if (arrives) storage.SettleLate();
    job.Crash(CrashKind::kProcessKill);
    Start();
    ExpectRestored(arrives ? doubtful : before);
    Checkpoint(5);
    storage.SettleLate();
    job.Crash(CrashKind::kProcessKill);
    Start();
    // What came from the dead run in the end has a smaller number than what followed.
    EXPECT_GT(job.restored, doubtful);
    Checkpoint(5);
  }
}

TEST_F(RemoteDirectoryTest, ALateManifestOfADeadRunIsNotPreferredToItsSuccessors) {
  Start();
  Checkpoint(50);
  Manifest late = *job.coordinator->LastCompleted();
  job.Crash(CrashKind::kProcessKill);
  Start();
  Checkpoint(5);
  Checkpoint(5);
  job.Crash(CrashKind::kProcessKill);
  late.id = 9;
  storage.content()["chk-9.manifest"] = SerializeManifest(late);
  Start();
  ExpectRestored(3);
}

TEST_F(RemoteDirectoryTest, AnUploadThatBreaksOffLeavesWholeFilesThatAreCleanedUp) {
  Start();
  Checkpoint(100);
  storage.FailNext(RemoteCall::kUpload, RemoteFault::kDoneButLost);
  EXPECT_FALSE(process.Checkpoint(100).ok());
  const CheckpointId broken = job.last_id;
  const auto of_broken = [&] {
    int count = 0;
    for (const std::string& name : NamesOf(StoredName::Kind::kData)) {
      count += ParseStoredName(name).checkpoint == broken ? 1 : 0;
    }
    return count;
  };
  EXPECT_EQ(of_broken(), 1);
  for (int i = 0; i < 4; ++i) Checkpoint(100);
  EXPECT_EQ(of_broken(), 0);
}

TEST_F(RemoteDirectoryTest, AListingThatLagsHidesNoCheckpointAndNoRun) {
  storage.set_list_lag(12);
  uint64_t run = 0;
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    Start();
    EXPECT_GT(job.store->run_id(), run);
    run = job.store->run_id();
    if (round > 0) ExpectRestored(job.last_id);
    Checkpoint(20);
    Checkpoint(20);
    job.Crash(CrashKind::kProcessKill);
  }
}

TEST_F(RemoteDirectoryTest, TheNumbersOfFailedCheckpointsHideNoLaterOne) {
  Start();
  Checkpoint(20);
  storage.set_list_lag(1000);
  for (int i = 0; i < 40; ++i) {
    storage.FailNext(RemoteCall::kUpload, RemoteFault::kUnavailable);
    EXPECT_FALSE(process.Checkpoint(5).ok());
  }
  Checkpoint(20);
  for (int restart = 0; restart < 5; ++restart) {
    job.Crash(CrashKind::kProcessKill);
    Start();
    ExpectRestored(42);
  }
}

TEST_F(RemoteDirectoryTest, AClaimWhoseAnswerGotLostIsOurs) {
  storage.FailNext(RemoteCall::kCreate, RemoteFault::kDoneButLost);
  Start();
  EXPECT_EQ(job.store->run_id(), 1u);
  Checkpoint(5);
}

TEST_F(RemoteDirectoryTest, ASecondProcessTakesOverAndTheFirstPublishesNothingMore) {
  Start();
  Checkpoint(100);
  const std::set<std::string> published = job.Output();
  Process second(&storage, 2);
  // Its output directory is another machine's: there is nothing to complete there.
  storage.content().erase("chk-1.manifest");
  ASSERT_TRUE(second.Start().ok());
  const Status status = process.Checkpoint(5);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
  EXPECT_NE(status.message().find("run 2"), std::string::npos) << status.ToString();
  EXPECT_TRUE(job.failed_job);
  EXPECT_EQ(job.Output(), published);
  // Nor does it resume.
  EXPECT_EQ(job.StartAttempt().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(second.Checkpoint(5).ok());
}

TEST_F(RemoteDirectoryTest, ASuccessorThatComesBetweenCheckAndDecisionFencesToo) {
  Start();
  const std::set<std::string> published = job.Output();
  Process second(&storage, 2);
  bool started = false;
  storage.set_before_call([&](RemoteCall call) {
    if (started || call != RemoteCall::kCreate) return;
    started = true;
    const Status status = second.Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
  });
  const Status status = process.Checkpoint(50);
  ASSERT_TRUE(started);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition) << status.ToString();
  EXPECT_FALSE(job.store->Decided(1));
  EXPECT_EQ(job.Output(), published);
  EXPECT_EQ(second.job.restored, 0u);
  // What the first one left there does not stop the second.
  EXPECT_TRUE(second.Checkpoint(5).ok());
  second.job.Crash(CrashKind::kProcessKill);
  ASSERT_TRUE(second.Start().ok());
  EXPECT_EQ(second.job.restored, 2u);
  EXPECT_EQ(second.job.Rows(), second.job.expected.at(2).rows);
}

TEST_F(RemoteDirectoryTest, DamageIsRefusedByItsRemoteName) {
  Start();
  Checkpoint(100);
  Checkpoint(100);
  job.StopProcess();
  const std::string data = NewestDataFile();
  for (const std::string& name : {data, std::string("chk-2.manifest")}) {
    const std::string good = storage.content().at(name);
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 4);
    for (const std::string& bad : {flipped, good.substr(0, good.size() - 1), good + "x"}) {
      storage.content()[name] = bad;
      const Status status = process.Start();
      ASSERT_EQ(status.code(), StatusCode::kCorruption) << status.ToString();
      EXPECT_NE(status.message().find("sim://bucket/job/" + name), std::string::npos)
          << status.ToString();
      EXPECT_NE(status.message().find(", offset "), std::string::npos) << status.ToString();
      EXPECT_NE(status.message().find("sim://bucket/job/chk-1.manifest"), std::string::npos);
      EXPECT_EQ(status.message().find("/staging"), std::string::npos) << status.ToString();
    }
    storage.content()[name] = good;
  }
  storage.content().erase(data);
  const Status missing = process.Start();
  ASSERT_EQ(missing.code(), StatusCode::kCorruption) << missing.ToString();
  EXPECT_NE(missing.message().find("sim://bucket/job/" + data + ", offset 0: missing"),
            std::string::npos)
      << missing.ToString();
  job.allow_older = true;
  job.StopProcess();
  ASSERT_TRUE(process.Start().ok());
  EXPECT_EQ(job.restored, 1u);
  EXPECT_EQ(job.warning.find("/staging"), std::string::npos) << job.warning;
}

TEST_F(RemoteDirectoryTest, KeepsWhatIsRetainedAndDeletesTheRestOfOurNames) {
  storage.content()["notes.txt"] = "not ours";
  Start();
  for (int i = 0; i < 8; ++i) Checkpoint(100);
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest),
            std::vector<std::string>({"chk-7.manifest", "chk-8.manifest"}));
  std::set<std::string> referenced;
  for (const CheckpointId id : {7u, 8u}) {
    const auto manifest = ParseManifest(storage.content().at(ManifestName(id)), ManifestName(id));
    ASSERT_TRUE(manifest.ok());
    for (const FileManifest& file : manifest->files) referenced.insert(file.name);
  }
  const std::vector<std::string> data = NamesOf(StoredName::Kind::kData);
  EXPECT_EQ(std::set<std::string>(data.begin(), data.end()), referenced);
  EXPECT_EQ(storage.content().at("notes.txt"), "not ours");
}

TEST_F(RemoteDirectoryTest, AnUploadThatIsNoLongerWantedDecidesNothing) {
  Start();
  Checkpoint(20);
  job.Work(50);
  job.coordinator->RequestNow(false);
  storage.set_before_call([&](RemoteCall call) {
    if (call == RemoteCall::kUpload) job.coordinator->Shutdown();
  });
  const Status status = job.Checkpoint();
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(job.store->Decided(2));
  EXPECT_EQ(NamesOf(StoredName::Kind::kManifest), std::vector<std::string>({"chk-1.manifest"}));
}

// Whatever the storage does, a restart finds a checkpoint that was decided, or one that was in
// doubt and nothing came after; and once the storage works again everything goes on.
TEST_F(RemoteDirectoryTest, AnyFaultsLeaveACheckpointToResumeFrom) {
  uint64_t faults = 0;
  int failed = 0;
  int restarts = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    SimRemoteStorage bad(seed);
    Process any(&bad, seed);
    ASSERT_TRUE(any.Start().ok());
    SimRandom random(seed);
    bad.set_list_lag(random.Below(8));
    bad.set_fault_probability(0.02 * static_cast<double>(random.Below(6)));
    CheckpointId decided = 0;
    for (int step = 0; step < 25; ++step) {
      if (random.Below(6) == 0) {
        any.job.Crash(random.Below(2) == 0 ? CrashKind::kProcessKill : CrashKind::kPowerLoss);
        Status status;
        for (int tries = 0; tries < 300; ++tries) {
          status = any.Start();
          if (status.ok()) break;
          ASSERT_EQ(status.code(), StatusCode::kIoError) << status.ToString();
        }
        ASSERT_TRUE(status.ok()) << status.ToString();
        ++restarts;
        ASSERT_GE(any.job.restored, decided);
        if (any.job.restored > 0) {
          ASSERT_EQ(any.job.Rows(), any.job.expected.at(any.job.restored).rows);
          ASSERT_EQ(any.job.Output(), any.job.expected.at(any.job.restored).published);
        }
        decided = any.job.restored;
        continue;
      }
      const Status status = any.Checkpoint(10);
      if (status.ok()) {
        decided = any.job.last_id;
        ASSERT_EQ(any.job.Output(), any.job.expected.at(decided).published);
      } else {
        ++failed;
        ASSERT_TRUE(status.code() == StatusCode::kIoError ||
                    status.code() == StatusCode::kAlreadyExists)
            << status.ToString();
      }
    }
    bad.set_fault_probability(0);
    bad.SettleLate();
    ASSERT_TRUE(any.Start().ok());
    ASSERT_GE(any.job.restored, decided);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(any.Checkpoint(10).ok()) << i;
    faults += bad.faults();
  }
  EXPECT_GT(faults, 1000u);
  EXPECT_GT(failed, 300);
  EXPECT_GT(restarts, 300);
}

}  // namespace
}  // namespace headrace
