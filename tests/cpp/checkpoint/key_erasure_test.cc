#include "headrace/checkpoint/key_erasure.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "checkpoint/one_task_checkpoint.h"
#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/erased_rows.h"
#include "headrace/checkpoint/protocol.h"
#include "headrace/checkpoint/rekey.h"
#include "headrace/checkpoint/remote_key_erasure.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/stored_checkpoint.h"
#include "headrace/checkpoint/verification.h"
#include "headrace/storage/key_ring.h"
#include "state/keyed_state_model.h"
#include "testing/failpoint_actions.h"
#include "testing/memory_cold_store.h"
#include "testing/sim_env.h"
#include "testing/sim_remote_storage.h"

namespace headrace {
namespace {

using testing::KeyedModel;
using testing::ModelledState;

constexpr int kKeysMax = 150;
constexpr char kCanary[] = "CANARY";
constexpr TimestampMs kNever = 1'000'000;

struct Kind {
  bool cold = false;
  std::string key_id;
  bool remote = false;
};

// A keyed operator with state of every kind, whose rows of one key all show kCanary; the model does
// not know that key, so it is what must be left.
class KeyErasureTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    KeyRing::Process().Add("k1", *SecretKey::FromBytes(std::string(SecretKey::kBytes, '1')));
  }
  void TearDown() override { KeyRing::Process().Clear(); }

  static std::string CanaryKey() {
    ByteWriter out;
    EncodeStr("CANARY-key", &out);
    return out.Take();
  }

  CheckpointStoreOptions Options() {
    CheckpointStoreOptions options;
    options.directory = "/state";
    if (GetParam().remote) {
      options.directory = "/staging-" + std::to_string(++stagings_);
      options.transport = storage_.Connect(env_.files());
    }
    options.job_key = "job";
    options.key_id = GetParam().key_id;
    options.retained = 4;
    options.compression = {.codec = CodecId::kNone, .level = 0};
    return options;
  }

  std::unique_ptr<ModelledState> MakeState() {
    std::unique_ptr<ColdStore> cold;
    if (GetParam().cold) {
      ColdStoreOptions options;
      options.directory = "store-" + std::to_string(++stores_);
      cold = factory_.Open(nullptr, options).value();
    }
    return std::make_unique<ModelledState>(KeyGroupRange{0, 127}, std::move(cold));
  }

  static RestoreTarget Target() {
    RestoreTarget target;
    target.operator_id = target.name = "op";
    target.kind = "process";
    target.keyed = true;
    target.max_parallelism = 128;
    return target;
  }

  // The key's rows are written, changed, and from time to time all taken away, so that its id and
  // its places go to others.
  void TouchCanary(ModelledState* modelled, bool remove, int watermark) {
    KeyedState& state = modelled->state;
    const KeyId id = state.keys().LookupOrInsertEncoded(CanaryKey());
    FixedValueState* count = *state.RegisterFixed("count", "value<int64>", 8);
    RowState* rows = *state.RegisterRows("rows", "map<str, str>");
    SliceStore* slices = *state.RegisterSlices("total", "sum<int64>", 16);
    int64_t number = 0;
    std::memcpy(&number, kCanary, sizeof(kCanary));
    if (remove) {
      count->Clear(id);
      for (int i = 0; i < 5; ++i) {
        rows->Remove(id, "CANARY-ns", "CANARY-sub" + std::to_string(i));
        state.timers().Delete(TimeDomain::kEventTime, id, "CANARY-ns", kNever + i);
      }
      return;
    }
    count->Set<int64_t>(id, number);
    for (int i = 0; i < 5; ++i) {
      rows->Put(id, "CANARY-ns", "CANARY-sub" + std::to_string(i),
                "CANARY-value " + std::to_string(random_()));
      state.timers().Register(TimeDomain::kEventTime, id, "CANARY-ns", kNever + i);
    }
    SliceTable* slice = slices->FindOrCreate(watermark / 10 * 10);
    const KeyId slice_id = slice->keys().LookupOrInsertEncoded(CanaryKey());
    slice->accumulators().EnsureSize(slice->keys().size());
    *reinterpret_cast<int64_t*>(slice->accumulators().MutableRow(slice_id)) = number;
    modelled->model.slices[watermark / 10 * 10];
  }

  // Some checkpoints of a job that goes on from the newest there is.
  void RunJob(int rounds, bool with_canary) {
    auto store = CheckpointStore::Open(&env_, Options());
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    directory_ = GetParam().remote ? "/mirror" : (*store)->job_directory();
    SnapshotWriter writer(&env_, store->get());
    std::unique_ptr<ModelledState> state = MakeState();
    auto latest = (*store)->LoadLatest(false, nullptr);
    ASSERT_TRUE(latest.ok()) << latest.status().ToString();
    if (latest->has_value()) {
      auto plan = RestorePlan::Make(&env_, **latest, (*store)->job_directory(), {Target()}, false);
      ASSERT_TRUE(plan.ok()) << plan.status().ToString();
      writer.Seed(**latest, {"op"});
      ASSERT_TRUE(state->state.Restore((*plan)->KeyedStateFor("op", 0, 1).value()).ok());
      state->model = models_.at((*latest)->id);
    }
    ASSERT_TRUE(state->Open().ok());
    CheckpointCoordinator coordinator(&env_, CheckpointOptions(), store->get(), &writer, 1,
                                      (*store)->next_checkpoint_id());
    for (int round = 0; round < rounds; ++round) {
      for (int step = 0; step < (round == 0 ? 1200 : 120); ++step) {
        state->RandomStep(&random_, kKeysMax, watermark_);
        if (step % 50 == 49) state->state.Maintain();
        if (with_canary && step % 40 == 20) TouchCanary(state.get(), false, watermark_);
      }
      if (with_canary && round % 3 == 1) TouchCanary(state.get(), true, watermark_);
      watermark_ += 4;
      ASSERT_TRUE(state->Advance(watermark_));
      CheckpointId id = 0;
      ASSERT_NO_FATAL_FAILURE(
          testing::TakeCheckpoint(&env_, &coordinator, &state->state, 128, &id));
      models_[id] = state->model;
    }
    Mirror();
  }

  // What is stored remotely is looked at in a local copy.
  void Mirror() {
    if (GetParam().remote) storage_.CopyTo(env_.files(), directory_);
  }
  Result<ErasureReport> Erase(const std::string& operator_id = "", bool job_is_gone = false) {
    const KeyErasure erasure{.key = CanaryKey(), .operator_id = operator_id};
    if (!GetParam().remote) return EraseKey(&env_, directory_, erasure);
    auto erased = EraseKeyRemotely(&env_, storage_.Connect(env_.files()),
                                   "/erasing-" + std::to_string(++stagings_), erasure, job_is_gone);
    Mirror();
    return erased;
  }

  std::vector<std::string> Names() { return *env_.files().List(directory_); }
  std::vector<CheckpointId> Retained() {
    std::vector<CheckpointId> ids;
    for (const std::string& name : Names()) {
      const StoredName stored = ParseStoredName(name);
      if (stored.kind == StoredName::Kind::kManifest) ids.push_back(stored.checkpoint);
    }
    return ids;
  }

  KeyedModel Restored(CheckpointId id) {
    std::string directory;
    auto manifest = LoadManifest(env_.files(), directory_ + "/" + ManifestName(id), &directory);
    EXPECT_TRUE(manifest.ok()) << manifest.status().ToString();
    auto plan = RestorePlan::Make(&env_, *manifest, directory, {Target()}, false);
    EXPECT_TRUE(plan.ok()) << plan.status().ToString();
    std::unique_ptr<ModelledState> state = MakeState();
    const Status restored = state->state.Restore((*plan)->KeyedStateFor("op", 0, 1).value());
    EXPECT_TRUE(restored.ok()) << restored.ToString();
    EXPECT_TRUE(state->Open().ok());
    return WithoutEmptySlices(state->ReadAll(kKeysMax));
  }
  static KeyedModel WithoutEmptySlices(KeyedModel model) {
    std::erase_if(model.slices, [](const auto& slice) { return slice.second.empty(); });
    return model;
  }

  int FilesWithCanary() {
    int shown = 0;
    for (const std::string& name : Names()) {
      const std::string content = *env_.files().ReadAll(directory_ + "/" + name);
      shown += content.find(kCanary) != std::string::npos;
    }
    return shown;
  }
  // Of what is encrypted only the content tells.
  void ExpectNoCanary() {
    ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, "").ok());
    EXPECT_EQ(FilesWithCanary(), 0);
    ASSERT_TRUE(RekeyCheckpoints(&env_, directory_, GetParam().key_id).ok());
  }

  // Every checkpoint holds what it held, but for the key; `of_key`: with it.
  void ExpectOthersUnchanged() {
    const auto verified = VerifyStored(env_.files(), directory_);
    ASSERT_TRUE(verified.ok()) << verified.status().ToString();
    EXPECT_TRUE(verified->damage.empty());
    EXPECT_TRUE(verified->unreferenced.empty());
    EXPECT_EQ(verified->bytes_read, verified->bytes_on_disk);
    for (const CheckpointId id : Retained()) {
      EXPECT_EQ(Restored(id), WithoutEmptySlices(models_.at(id))) << "checkpoint " << id;
    }
  }

  // Every checkpoint holds what it held, with or without the key.
  void ExpectWholeButForTheKey() {
    ASSERT_GE(Retained().size(), 3u);
    for (const CheckpointId id : Retained()) {
      KeyedModel restored = Restored(id);
      std::erase_if(restored.timers,
                    [](const auto& timer) { return std::get<1>(timer) >= kNever; });
      for (auto& [start, sums] : restored.slices) sums.erase(CanaryKey());
      ASSERT_EQ(WithoutEmptySlices(restored), WithoutEmptySlices(models_.at(id)));
    }
  }

  // At every call, which is or is not carried out, or is later.
  void CutOffRemotely() {
    int cuts = 0;
    for (uint64_t k = 1; k <= 80; k += 1 + k / 6) {
      for (const RemoteFault fault :
           {RemoteFault::kUnavailable, RemoteFault::kDoneButLost, RemoteFault::kDoneLater}) {
        SCOPED_TRACE(std::to_string(k) + ", fault " + std::to_string(static_cast<int>(fault)));
        RunJob(4, /*with_canary=*/true);
        uint64_t calls = 0;
        storage_.set_before_call([&](RemoteCall call) {
          if (++calls == k) storage_.FailNext(call, fault);
        });
        cuts += !Erase().ok();
        storage_.set_before_call(nullptr);
        storage_.KillClients();
        ASSERT_NO_FATAL_FAILURE(ExpectWholeButForTheKey());
        storage_.SettleLate();
        Mirror();
        ASSERT_NO_FATAL_FAILURE(ExpectWholeButForTheKey());
        const auto again = Erase();
        ASSERT_TRUE(again.ok()) << again.status().ToString();
        ExpectNoCanary();
        ExpectOthersUnchanged();
      }
    }
    EXPECT_GT(cuts, 20);
  }

  SimRemoteStorage storage_{3};
  SimEnv env_{1};
  int stagings_ = 0;
  MemoryColdStoreFactory factory_;
  int stores_ = 0;
  int watermark_ = 0;
  std::mt19937 random_{7};
  std::string directory_;
  std::map<CheckpointId, KeyedModel> models_;
};

TEST_P(KeyErasureTest, KeyIsInNoFileAndAllElseIsUnchanged) {
  for (const int rounds : {3, 6, 8}) {
    SCOPED_TRACE(rounds);
    RunJob(rounds, /*with_canary=*/true);
    ASSERT_EQ(FilesWithCanary() > 0, GetParam().key_id.empty());
    const size_t retained = Retained().size();
    ASSERT_GE(retained, 3u);
    const auto report = Erase();
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_GT(report->rows, 0u);
    EXPECT_GT(report->files, 0u);
    EXPECT_EQ(Retained().size(), retained);
    ExpectNoCanary();
    ExpectOthersUnchanged();
    const auto again = Erase();
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again->rows, 0u);
    EXPECT_EQ(again->files, 0u);
    EXPECT_EQ(again->checkpoints, 0u);
    // The next job's checkpoints build on what was written anew.
    RunJob(4, /*with_canary=*/false);
    ExpectNoCanary();
    ExpectOthersUnchanged();
  }
}

TEST_P(KeyErasureTest, CutOffAtAnyCallLeavesEveryCheckpointWhole) {
  if (GetParam().remote) return CutOffRemotely();
  int cuts = 0;
  for (uint64_t k = 1; k <= 150; k += 1 + k / 3) {
    SCOPED_TRACE(k);
    RunJob(4, /*with_canary=*/true);
    {
      ScopedFailpoints points;
      points.FailAt(k, Status::IoError("disk"));
      cuts += !Erase().ok();
    }
    env_.Crash(CrashKind::kPowerLoss);
    ASSERT_NO_FATAL_FAILURE(ExpectWholeButForTheKey());
    ASSERT_TRUE(Erase().ok());
    ExpectNoCanary();
    ExpectOthersUnchanged();
  }
  EXPECT_GT(cuts, 10);
}

TEST_P(KeyErasureTest, PayloadsThatLoseNothingAreWrittenAsTheyWere) {
  RunJob(6, /*with_canary=*/true);
  size_t blocks = 0;
  for (const CheckpointId id : Retained()) {
    const Manifest manifest = *ReadManifestFile(env_.files(), directory_ + "/" + ManifestName(id));
    for (const TableManifest& table : manifest.operators[0].subtasks[0].tables) {
      for (const auto& chain : table.partitions) {
        for (const PartitionRef& ref : chain) {
          const auto reader = CheckpointFileReader::Open(
              env_.files(), directory_ + "/" + manifest.files[ref.file].name);
          ASSERT_TRUE(reader.ok()) << reader.status().ToString();
          const Block block = *(*reader)->Read({.offset = ref.offset,
                                                .block_bytes = ref.stored_bytes,
                                                .raw_bytes = ref.raw_bytes,
                                                .digest = ref.digest});
          const ErasedRows nothing{
              .kind = table.meta.kind, .row_bytes = table.meta.row_bytes, .ordinals = {}};
          EXPECT_EQ(*WithoutRows(nothing, block.payload), block.payload) << table.meta.name;
          ++blocks;
        }
      }
    }
  }
  EXPECT_GT(blocks, 20u);
}

TEST_P(KeyErasureTest, DamageUseAndUnknownOperatorsAreRefusedAndNothingChanges) {
  RunJob(3, /*with_canary=*/true);
  const auto content = [this] {
    std::map<std::string, std::string> all = storage_.content();
    std::erase_if(all, [](const auto& file) {
      return ParseStoredName(file.first).kind == StoredName::Kind::kRunMarker;
    });
    for (const std::string& name : GetParam().remote ? std::vector<std::string>() : Names()) {
      if (ParseStoredName(name).kind == StoredName::Kind::kRunMarker) continue;
      all[name] = *env_.files().ReadAll(directory_ + "/" + name);
    }
    return all;
  };
  auto before = content();
  EXPECT_EQ(Erase("nobody").status().code(), StatusCode::kNotFound);
  {
    const auto store = CheckpointStore::Open(&env_, Options());
    ASSERT_TRUE(store.ok());
    EXPECT_EQ(Erase().status().code(), StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(content(), before);
  const Manifest manifest =
      *ReadManifestFile(env_.files(), directory_ + "/" + ManifestName(Retained().front()));
  ASSERT_TRUE(env_.files().Remove(directory_ + "/" + manifest.files[0].name).ok());
  storage_.content().erase(manifest.files[0].name);
  before = content();
  EXPECT_EQ(Erase().status().code(), StatusCode::kCorruption);
  EXPECT_EQ(content(), before);
}

TEST_P(KeyErasureTest, WhoeverHasTheDirectoryErasesAndGoesOn) {
  RunJob(5, /*with_canary=*/true);
  {
    const auto store = CheckpointStore::Open(&env_, Options());
    ASSERT_TRUE(store.ok()) << store.status().ToString();
    const auto before = (*store)->LoadLatest(false, nullptr);
    ASSERT_TRUE(before.ok()) << before.status().ToString();
    const auto erased = (*store)->EraseKey({.key = CanaryKey(), .operator_id = "op"});
    ASSERT_TRUE(erased.ok()) << erased.status().ToString();
    EXPECT_GT(erased->rows, 0u);
    const auto after = (*store)->LoadLatest(false, nullptr);
    ASSERT_TRUE(after.ok()) << after.status().ToString();
    EXPECT_EQ((*after)->id, (*before)->id);
  }
  Mirror();
  ExpectNoCanary();
  ExpectOthersUnchanged();
  RunJob(4, /*with_canary=*/false);
  ExpectNoCanary();
  ExpectOthersUnchanged();
}

// Remote directories have no lock: the marker of a run says whether it may be alive.
class RemoteKeyErasureTest : public KeyErasureTest {};

TEST_P(RemoteKeyErasureTest, RunThatMayBeAliveIsRefusedAndFencedWhereItIsSaidToBeGone) {
  RunJob(3, /*with_canary=*/true);
  auto alive = CheckpointStore::Open(&env_, Options());
  ASSERT_TRUE(alive.ok()) << alive.status().ToString();
  const Status refused = Erase().status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition) << refused.ToString();
  EXPECT_NE(refused.message().find("sim://bucket/job is in use: run 2 (process "),
            std::string::npos)
      << refused.ToString();
  ASSERT_TRUE(Erase("", /*job_is_gone=*/true).ok());
  ExpectNoCanary();
  EXPECT_EQ((*alive)->LoadLatest(false, nullptr).status().code(), StatusCode::kFailedPrecondition);
  alive->reset();
  // A fenced run says nothing of the directory any more.
  RunJob(3, /*with_canary=*/true);
  ASSERT_TRUE(Erase().ok());
}

TEST_P(RemoteKeyErasureTest, RunOfAProcessThatIsGoneIsNoObstacle) {
  RunJob(3, /*with_canary=*/true);
  const auto killed = CheckpointStore::Open(&env_, Options());
  ASSERT_TRUE(killed.ok()) << killed.status().ToString();
  storage_.KillClients();
  ASSERT_TRUE(Erase().ok());
  ExpectNoCanary();
}

TEST_P(RemoteKeyErasureTest, LateManifestOfADeadRunDoesNotCountAndItsRowsGo) {
  RunJob(3, /*with_canary=*/true);
  const std::map<std::string, std::string> before = storage_.content();
  const std::string late = ManifestName(Retained().back());
  storage_.content().erase(late);
  ASSERT_TRUE(Erase().ok());
  storage_.content()[late] = before.at(late);
  const auto store = CheckpointStore::Open(&env_, Options());
  ASSERT_TRUE(store.ok()) << store.status().ToString();
  const auto latest = (*store)->LoadLatest(false, nullptr);
  ASSERT_TRUE(latest.ok()) << latest.status().ToString();
  EXPECT_LT((*latest)->id, ParseStoredName(late).checkpoint);
  ASSERT_TRUE((*store)->EraseKey({.key = CanaryKey(), .operator_id = ""}).ok());
  EXPECT_FALSE(storage_.content().contains(late));
}

TEST_P(RemoteKeyErasureTest, ReplacementThatComesLateIsSeenBeforeItsFilesGo) {
  RunJob(4, /*with_canary=*/true);
  int replaced = 0;
  storage_.set_before_call([&](RemoteCall call) {
    // The first two are of the marker.
    if (call == RemoteCall::kReplace && ++replaced == 3) {
      storage_.FailNext(call, RemoteFault::kDoneLater);
    }
  });
  ASSERT_EQ(Erase().status().code(), StatusCode::kIoError);
  replaced = 0;
  storage_.set_before_call([&](RemoteCall call) {
    // Behind all replacements, before the first manifest is read back.
    if (call == RemoteCall::kRead && replaced >= 3) storage_.SettleLate();
    replaced += call == RemoteCall::kReplace;
  });
  const auto meanwhile = Erase();
  EXPECT_EQ(meanwhile.status().code(), StatusCode::kFailedPrecondition)
      << meanwhile.status().ToString();
  storage_.set_before_call(nullptr);
  ASSERT_NO_FATAL_FAILURE(ExpectWholeButForTheKey());
  ASSERT_TRUE(Erase().ok());
  ExpectNoCanary();
  ExpectOthersUnchanged();
}

std::string NameOf(const ::testing::TestParamInfo<Kind>& info) {
  return std::string(info.param.remote ? "remote_" : "") + (info.param.cold ? "cold" : "memory") +
         (info.param.key_id.empty() ? "_plain" : "_encrypted");
}

INSTANTIATE_TEST_SUITE_P(Kinds, KeyErasureTest,
                         ::testing::Values(Kind{false, ""}, Kind{true, ""}, Kind{false, "k1"},
                                           Kind{true, "k1"}, Kind{false, "", true},
                                           Kind{true, "k1", true}),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Kinds, RemoteKeyErasureTest,
                         ::testing::Values(Kind{false, "", true}, Kind{false, "k1", true}), NameOf);

}  // namespace
}  // namespace headrace
