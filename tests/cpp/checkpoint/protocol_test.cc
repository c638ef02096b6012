#include "headrace/checkpoint/protocol.h"

#include <gtest/gtest.h>

#include <limits>

namespace headrace {
namespace {

CheckpointOptions Every(int64_t interval_ms, int64_t min_pause_ms = 0) {
  CheckpointOptions options;
  options.interval_ms = interval_ms;
  options.min_pause_ms = min_pause_ms;
  return options;
}

TEST(ShouldTrigger, CountsTheIntervalFromTheLastTriggerNotFromItsEnd) {
  TriggerFacts facts{.now_ms = 1099, .last_trigger_ms = 1000, .last_end_ms = 1090};
  EXPECT_FALSE(ShouldTrigger(Every(100), facts));
  facts.now_ms = 1100;
  EXPECT_TRUE(ShouldTrigger(Every(100), facts));
}

TEST(ShouldTrigger, WaitsForTheMinimumPauseAfterTheLastEnd) {
  TriggerFacts facts{.now_ms = 1129, .last_trigger_ms = 1000, .last_end_ms = 1080};
  EXPECT_FALSE(ShouldTrigger(Every(100, 50), facts));
  facts.now_ms = 1130;
  EXPECT_TRUE(ShouldTrigger(Every(100, 50), facts));
}

TEST(ShouldTrigger, NeverTriggersByItselfWithoutAnInterval) {
  const TriggerFacts facts{.now_ms = std::numeric_limits<int64_t>::max() / 2};
  EXPECT_FALSE(ShouldTrigger(Every(-1), facts));
}

TEST(ShouldTrigger, TriggersAtOnceWithAnIntervalOfZero) {
  EXPECT_TRUE(ShouldTrigger(Every(0), {.now_ms = 1000, .last_trigger_ms = 1000}));
}

TEST(ShouldTrigger, TakesARequestedOneAtOnceWhateverIntervalAndPauseSay) {
  const TriggerFacts facts{
      .now_ms = 1001, .last_trigger_ms = 1000, .last_end_ms = 1001, .requested = true};
  EXPECT_TRUE(ShouldTrigger(Every(100, 50), facts));
  EXPECT_TRUE(ShouldTrigger(Every(-1), facts));
}

TEST(ShouldTrigger, HoldsBackEvenARequestedOneWhilePendingWritingOrStopped) {
  TriggerFacts facts{.now_ms = 5000, .last_trigger_ms = 1000, .requested = true};
  ASSERT_TRUE(ShouldTrigger(Every(100), facts));
  facts.pending = true;
  EXPECT_FALSE(ShouldTrigger(Every(100), facts));
  facts.pending = false;
  facts.writing = true;
  EXPECT_FALSE(ShouldTrigger(Every(100), facts));
  facts.writing = false;
  facts.stopped = true;
  EXPECT_FALSE(ShouldTrigger(Every(100), facts));
}

TEST(TimedOut, AtTheTimeoutAndNotBefore) {
  CheckpointOptions options;
  options.timeout_ms = 10;
  EXPECT_FALSE(TimedOut(options, 100, 109));
  EXPECT_TRUE(TimedOut(options, 100, 110));
  options.timeout_ms = 0;
  EXPECT_TRUE(TimedOut(options, 100, 100));
  options.timeout_ms = -1;
  EXPECT_FALSE(TimedOut(options, 100, 110));
}

TEST(OnCheckpointFailure, FirstFailureFailsTheJobByDefault) {
  const FailureDecision decision = OnCheckpointFailure({});
  EXPECT_TRUE(decision.counts);
  EXPECT_TRUE(decision.fail_job);
}

TEST(OnCheckpointFailure, ToleratesAsManyInARowAsConfigured) {
  EXPECT_FALSE(OnCheckpointFailure({.earlier_failures = 0, .tolerable = 2}).fail_job);
  EXPECT_FALSE(OnCheckpointFailure({.earlier_failures = 1, .tolerable = 2}).fail_job);
  EXPECT_TRUE(OnCheckpointFailure({.earlier_failures = 2, .tolerable = 2}).fail_job);
}

TEST(OnCheckpointFailure, NeverFailsTheJobForASavepointOrACancel) {
  for (const FailureFacts& facts : {FailureFacts{.earlier_failures = 9, .savepoint = true},
                                    FailureFacts{.earlier_failures = 9, .cancelled = true}}) {
    const FailureDecision decision = OnCheckpointFailure(facts);
    EXPECT_FALSE(decision.counts);
    EXPECT_FALSE(decision.fail_job);
  }
}

TEST(OnCheckpointFailure, AlwaysFailsTheJobWhenANewerRunTookOver) {
  EXPECT_TRUE(OnCheckpointFailure({.tolerable = 1000, .fenced = true}).fail_job);
}

TEST(OnCheckpointFailure, AlwaysFailsTheJobWhenTheCheckpointIsDecided) {
  EXPECT_TRUE(OnCheckpointFailure({.tolerable = 1000, .decided = true}).fail_job);
}

TEST(AckBook, IsCompleteWhenEverySnapshotIsWritten) {
  AckBook acks(2);
  EXPECT_TRUE(acks.Deliver(1));
  EXPECT_EQ(acks.Missing(), std::vector<int>({0}));
  acks.MarkWritten(1);
  EXPECT_FALSE(acks.complete());
  EXPECT_TRUE(acks.Deliver(0));
  EXPECT_TRUE(acks.Missing().empty());
  EXPECT_FALSE(acks.complete());
  acks.MarkWritten(0);
  EXPECT_TRUE(acks.complete());
  EXPECT_EQ(acks.written(), 2);
}

TEST(AckBook, RefusesSecondSnapshotsAndUnknownTasks) {
  AckBook acks(2);
  EXPECT_TRUE(acks.Deliver(0));
  EXPECT_FALSE(acks.Deliver(0));
  acks.MarkWritten(0);
  EXPECT_FALSE(acks.Deliver(0));
  EXPECT_FALSE(acks.Deliver(2));
  EXPECT_FALSE(acks.Deliver(-1));
}

TEST(WantsWhole, WithoutABase) { EXPECT_TRUE(WantsWhole({})); }

TEST(WantsWhole, WhenDeltasExceedHalfTheBase) {
  ChainFacts facts{.has_base = true, .base_raw_bytes = 100, .delta_raw_bytes = 50, .deltas = 1};
  EXPECT_FALSE(WantsWhole(facts));
  facts.delta_raw_bytes = 51;
  EXPECT_TRUE(WantsWhole(facts));
}

TEST(WantsWhole, AfterSixteenDeltasHoweverSmall) {
  ChainFacts facts{
      .has_base = true, .base_raw_bytes = 1 << 30, .delta_raw_bytes = 15, .deltas = 15};
  EXPECT_FALSE(WantsWhole(facts));
  facts.deltas = 16;
  EXPECT_TRUE(WantsWhole(facts));
}

TEST(ParseStoredName, UndoesEveryNameWeWrite) {
  const StoredName manifest = ParseStoredName(ManifestName(42));
  EXPECT_EQ(manifest.kind, StoredName::Kind::kManifest);
  EXPECT_EQ(manifest.checkpoint, 42u);

  const StoredName temporary = ParseStoredName(ManifestTemporaryName(42, 7, 3));
  EXPECT_EQ(temporary.kind, StoredName::Kind::kManifestTemporary);
  EXPECT_EQ(temporary.checkpoint, 42u);
  EXPECT_EQ(temporary.run, 7u);

  const StoredName data = ParseStoredName(DataName(7, 42, 1, 9));
  EXPECT_EQ(data.kind, StoredName::Kind::kData);
  EXPECT_EQ(data.checkpoint, 42u);
  EXPECT_EQ(data.run, 7u);

  const StoredName marker = ParseStoredName(RunMarkerName(0));
  EXPECT_EQ(marker.kind, StoredName::Kind::kRunMarker);
  EXPECT_EQ(marker.run, 0u);
}

class ForeignName : public testing::TestWithParam<const char*> {};

TEST_P(ForeignName, IsNotTakenForOurs) {
  EXPECT_EQ(ParseStoredName(GetParam()).kind, StoredName::Kind::kForeign);
}

// One letter off, prefixes ("chk-1" must not match "chk-11"), numbers as nobody prints them.
INSTANTIATE_TEST_SUITE_P(Names, ForeignName,
                         testing::Values("", "LOCK", "notes.txt", "chk-", "chk-1", "chk-.manifest",
                                         "chk-1.manifest2", "chk-01.manifest", "chk--1.manifest",
                                         "chk-+1.manifest", "chk-1.manifest ", " chk-1.manifest",
                                         "CHK-1.manifest", "xchk-1.manifest",
                                         "chk-18446744073709551616.manifest", "chk-1-2.tmp",
                                         "chk-1-2-3.tmp2", "data-1-2-3.hrs", "data-1-2-3-4.hrs.bak",
                                         "data-1-2-3-4", "data-1-2-3-04.hrs", "data-1-2--3-4.hrs",
                                         "data-a-2-3-4.hrs", "run-", "run-1a", "run-01", "run-1 "));

KnownManifest Known(CheckpointId id, std::set<std::string> files, bool usable = true) {
  return {.id = id, .usable = usable, .files = std::move(files)};
}

TEST(DecideCleanUp, DeletesNothingUntilTwoCheckpointsAreComplete) {
  const std::vector<std::string> names = {DataName(1, 1, 0, 1), DataName(1, 1, 0, 2),
                                          ManifestName(1)};
  const CleanUp clean_up =
      DecideCleanUp(names, {Known(1, {DataName(1, 1, 0, 1)})}, {}, /*our_run=*/1, /*retained=*/1);
  EXPECT_TRUE(clean_up.manifests.empty());
  EXPECT_TRUE(clean_up.data.empty());
}

TEST(DecideCleanUp, KeepsOneOlderUntilTwoNewerAreComplete) {
  const std::string one = DataName(1, 1, 0, 1);
  const std::string two = DataName(1, 2, 0, 2);
  const std::string three = DataName(1, 3, 0, 3);
  std::vector<std::string> names = {ManifestName(1), ManifestName(2), one, two};
  std::vector<KnownManifest> known = {Known(1, {one}), Known(2, {two})};
  EXPECT_TRUE(DecideCleanUp(names, known, {}, 1, 1).manifests.empty());
  EXPECT_TRUE(DecideCleanUp(names, known, {}, 1, 1).data.empty());

  names.insert(names.end(), {ManifestName(3), three});
  known.push_back(Known(3, {three}));
  const CleanUp clean_up = DecideCleanUp(names, known, {}, 1, 1);
  EXPECT_EQ(clean_up.manifests, std::vector<std::string>({ManifestName(1)}));
  EXPECT_EQ(clean_up.data, std::vector<std::string>({one}));
}

TEST(DecideCleanUp, CountsOnlyUsableOnesAsRetained) {
  const std::vector<std::string> names = {ManifestName(1), ManifestName(2), ManifestName(3)};
  const std::vector<KnownManifest> known = {Known(1, {}), Known(2, {}, /*usable=*/false),
                                            Known(3, {})};
  EXPECT_TRUE(DecideCleanUp(names, known, {}, 1, 2).manifests.empty());
}

TEST(DecideCleanUp, KeepsAsManyAsConfigured) {
  std::vector<std::string> names;
  std::vector<KnownManifest> known;
  for (CheckpointId id = 1; id <= 6; ++id) {
    names.push_back(ManifestName(id));
    known.push_back(Known(id, {}));
  }
  EXPECT_EQ(DecideCleanUp(names, known, {}, 1, 1).manifests.size(), 4u);
  EXPECT_EQ(DecideCleanUp(names, known, {}, 1, 2).manifests.size(), 4u);
  EXPECT_EQ(DecideCleanUp(names, known, {}, 1, 4).manifests.size(), 2u);
  EXPECT_EQ(DecideCleanUp(names, known, {}, 1, 9).manifests.size(), 0u);
}

TEST(DecideCleanUp, KeepsOldFilesThatAKeptManifestStillNames) {
  const std::string base = DataName(1, 1, 0, 1);
  const std::vector<std::string> names = {base, ManifestName(1), ManifestName(2), ManifestName(3)};
  const std::vector<KnownManifest> known = {Known(1, {base}), Known(2, {}), Known(3, {base})};
  const CleanUp clean_up = DecideCleanUp(names, known, {}, 1, 1);
  EXPECT_EQ(clean_up.manifests, std::vector<std::string>({ManifestName(1)}));
  EXPECT_TRUE(clean_up.data.empty());
}

TEST(DecideCleanUp, NeverTouchesForeignFilesOrThoseOfANewerRun) {
  const std::vector<std::string> names = {
      "LOCK", "notes.txt", "chk-1.backup", DataName(3, 1, 0, 1), RunMarkerName(3), "part-1-2.csv"};
  const std::vector<KnownManifest> known = {Known(7, {}), Known(8, {}), Known(9, {})};
  const CleanUp clean_up = DecideCleanUp(names, known, {}, /*our_run=*/2, 1);
  EXPECT_TRUE(clean_up.manifests.empty());
  EXPECT_TRUE(clean_up.data.empty());
}

TEST(DecideCleanUp, DeletesOrphansOfDeadRunsOnceTwoCheckpointsOutlivedThem) {
  const std::string orphan = DataName(1, 5, 0, 1);
  std::vector<std::string> names = {orphan};
  std::vector<KnownManifest> known = {Known(4, {}), Known(6, {})};
  EXPECT_TRUE(DecideCleanUp(names, known, {}, 2, 1).data.empty());
  known.push_back(Known(7, {}));
  EXPECT_EQ(DecideCleanUp(names, known, {}, 2, 1).data, names);
  // One as old as the second newest checkpoint waits for the next.
  EXPECT_TRUE(DecideCleanUp({DataName(1, 6, 0, 1)}, known, {}, 2, 1).data.empty());
}

TEST(DecideCleanUp, NeverDeletesFilesOfTheCheckpointUnderWay) {
  const std::vector<std::string> names = {DataName(2, 8, 0, 1), DataName(2, 9, 0, 2)};
  const std::vector<KnownManifest> known = {Known(6, {}), Known(7, {}), Known(8, {})};
  EXPECT_TRUE(DecideCleanUp(names, known, {}, 2, 1).data.empty());
}

TEST(DecideCleanUp, DeletesAManifestInDoubtOnlyAfterTwoCompleteOnes) {
  // Checkpoint 2 was abandoned after its rename: it does not count as complete, yet may survive.
  const std::string two = DataName(1, 2, 0, 1);
  std::vector<std::string> names = {ManifestName(1), ManifestName(2), two, ManifestName(3)};
  std::vector<KnownManifest> known = {Known(1, {}), Known(2, {two}), Known(3, {})};
  CleanUp clean_up = DecideCleanUp(names, known, {2}, 1, 1);
  EXPECT_TRUE(clean_up.manifests.empty());
  EXPECT_TRUE(clean_up.data.empty());

  names.push_back(ManifestName(4));
  known.push_back(Known(4, {}));
  clean_up = DecideCleanUp(names, known, {2}, 1, 1);
  EXPECT_EQ(clean_up.manifests, std::vector<std::string>({ManifestName(1), ManifestName(2)}));
  EXPECT_EQ(clean_up.data, std::vector<std::string>({two}));
}

TEST(DecideCleanUp, KeepsDamagedManifestsThatAreNewerThanTheOldestKept) {
  const std::vector<std::string> names = {ManifestName(1), ManifestName(3), ManifestName(4),
                                          ManifestName(5)};
  const std::vector<KnownManifest> known = {Known(1, {}, false), Known(3, {}), Known(4, {}, false),
                                            Known(5, {})};
  EXPECT_EQ(DecideCleanUp(names, known, {}, 1, 1).manifests,
            std::vector<std::string>({ManifestName(1)}));
}

// Whatever the history, no file of a kept manifest goes and the newest two complete ones stay.
TEST(DecideCleanUp, KeepsEveryFileOfTheTwoNewestForAnyHistory) {
  uint64_t seed = 1;
  const auto random = [&seed](uint64_t n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % n;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> names;
    std::vector<KnownManifest> known;
    std::set<CheckpointId> abandoned;
    const uint64_t last = 1 + random(8);
    for (uint64_t id = 1; id <= last; ++id) {
      names.push_back(DataName(1 + random(2), id, 0, id));
      if (random(5) == 0) {
        abandoned.insert(id);
      } else {
        names.push_back(ManifestName(id));
        KnownManifest manifest = Known(id, {}, random(5) != 0);
        for (const std::string& name : names) {
          if (ParseStoredName(name).kind == StoredName::Kind::kData && random(2) == 0) {
            manifest.files.insert(name);
          }
        }
        known.push_back(std::move(manifest));
      }
    }
    const int retained = static_cast<int>(1 + random(4));
    const CleanUp clean_up = DecideCleanUp(names, known, abandoned, 2, retained);
    const std::set<std::string> gone_data(clean_up.data.begin(), clean_up.data.end());
    const std::set<std::string> gone(clean_up.manifests.begin(), clean_up.manifests.end());
    int kept_usable = 0;
    for (auto manifest = known.rbegin(); manifest != known.rend(); ++manifest) {
      if (gone.contains(ManifestName(manifest->id))) continue;
      if (manifest->usable) ++kept_usable;
      for (const std::string& file : manifest->files) {
        EXPECT_FALSE(gone_data.contains(file)) << "round " << round << ": " << file;
      }
    }
    int usable = 0;
    for (const KnownManifest& manifest : known) usable += manifest.usable ? 1 : 0;
    EXPECT_EQ(kept_usable, std::min(usable, std::max(retained, 2))) << "round " << round;
  }
}

LatestCandidate Candidate(CheckpointId id, Status status = Status::Ok()) {
  return {.id = id, .path = "/d/" + ManifestName(id), .status = std::move(status)};
}

TEST(DecideLatest, StartsFreshOnlyWhenThereIsNothing) {
  EXPECT_EQ(DecideLatest({}, false).kind, LatestDecision::Kind::kFreshStart);
  EXPECT_EQ(DecideLatest({}, true).kind, LatestDecision::Kind::kFreshStart);
}

TEST(DecideLatest, TakesTheHighestIdInAnyOrder) {
  const LatestDecision decision = DecideLatest({Candidate(9), Candidate(11), Candidate(10)}, false);
  ASSERT_EQ(decision.kind, LatestDecision::Kind::kUse);
  EXPECT_EQ(decision.index, 1u);
  EXPECT_TRUE(decision.warning.empty());
}

TEST(DecideLatest, RefusesADamagedNewestAndNamesTheNewestWholeOne) {
  const LatestDecision decision = DecideLatest(
      {Candidate(1), Candidate(2), Candidate(3, Status::Corruption("file x, offset 7: torn"))},
      false);
  ASSERT_EQ(decision.kind, LatestDecision::Kind::kRefuse);
  EXPECT_EQ(decision.refusal.code(), StatusCode::kCorruption);
  const std::string& message = decision.refusal.message();
  EXPECT_NE(message.find("checkpoint 3"), std::string::npos) << message;
  EXPECT_NE(message.find("file x, offset 7: torn"), std::string::npos) << message;
  EXPECT_NE(message.find("/d/chk-2.manifest"), std::string::npos) << message;
  EXPECT_NE(message.find("allow-older"), std::string::npos) << message;
}

TEST(DecideLatest, FallsBackWhenAllowedAndSaysSo) {
  const LatestDecision decision = DecideLatest(
      {Candidate(1), Candidate(2), Candidate(3, Status::Corruption("file x, offset 7: torn"))},
      true);
  ASSERT_EQ(decision.kind, LatestDecision::Kind::kUse);
  EXPECT_EQ(decision.index, 1u);
  EXPECT_NE(decision.warning.find("file x, offset 7"), std::string::npos);
  EXPECT_NE(decision.warning.find("checkpoint 2"), std::string::npos);
}

TEST(DecideLatest, NeverStartsFreshWhenNoneIsWhole) {
  const std::vector<LatestCandidate> candidates = {Candidate(1, Status::Corruption("a")),
                                                   Candidate(2, Status::Unimplemented("newer"))};
  for (const bool allow_older : {false, true}) {
    const LatestDecision decision = DecideLatest(candidates, allow_older);
    EXPECT_EQ(decision.kind, LatestDecision::Kind::kRefuse);
    EXPECT_EQ(decision.refusal.code(), StatusCode::kUnimplemented);
  }
}

TEST(DecideLatest, DamagedOlderOnesDoNotMatter) {
  const LatestDecision decision =
      DecideLatest({Candidate(1, Status::Corruption("a")), Candidate(2)}, false);
  ASSERT_EQ(decision.kind, LatestDecision::Kind::kUse);
  EXPECT_EQ(decision.index, 1u);
}

}  // namespace
}  // namespace headrace
