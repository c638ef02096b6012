#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/state_difference.h"
#include "headrace/checkpoint/state_reader.h"
#include "headrace/storage/key_ring.h"
#include "testing/sim_env.h"

// The real keyed state through the real checkpoint, on simulated files.

namespace headrace {
namespace {

constexpr int kGroups = 16;
constexpr int64_t kBudget = int64_t{1} << 30;

// One attempt of a keyed operator that counts and remembers a text for each key.
class Attempt {
 public:
  Attempt(SimEnv* env, int parallelism, uint32_t partition_bytes = PagedTable::kPartitionBytes,
          CheckpointStoreOptions options = {})
      : env_(env), parallelism_(parallelism) {
    options.directory = "/state";
    options.job_key = "keyed";
    auto opened = CheckpointStore::Open(env, options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(opened).value();
    writer_ = std::make_unique<SnapshotWriter>(env, store_.get());
    for (int i = 0; i < parallelism; ++i) {
      Subtask& subtask = subtasks_.emplace_back();
      subtask.state =
          std::make_unique<KeyedState>(KeyGroupRangeOf(i, parallelism, kGroups), kGroups, kBudget);
      subtask.state->SetPartitionBytes(partition_bytes);
    }
    Restore();
    for (Subtask& subtask : subtasks_) {
      auto counts = subtask.state->RegisterFixed("count", "value<int64>", 8);
      auto texts = subtask.state->RegisterRows("text", "value<str>");
      EXPECT_TRUE(counts.ok() && texts.ok());
      subtask.counts = *counts;
      subtask.texts = *texts;
    }
    coordinator_ = std::make_unique<CheckpointCoordinator>(env, CheckpointOptions(), store_.get(),
                                                           writer_.get(), parallelism, 1);
  }

  void Add(int64_t key) {
    Subtask& subtask = SubtaskOf(key);
    const KeyId id = subtask.state->keys().LookupOrInsertInt(key);
    const int64_t count = subtask.counts->Has(id) ? subtask.counts->Get<int64_t>(id) : 0;
    subtask.counts->Set<int64_t>(id, count + 1);
    subtask.texts->Put(id, "", "", "text " + std::to_string(key) + " " + std::to_string(count + 1));
  }
  void Remove(int64_t key) {
    Subtask& subtask = SubtaskOf(key);
    const KeyId id = subtask.state->keys().LookupOrInsertInt(key);
    subtask.counts->Clear(id);
    subtask.texts->Clear(id, "");
  }
  int64_t Count(int64_t key) {
    Subtask& subtask = SubtaskOf(key);
    const KeyId id = subtask.state->keys().LookupOrInsertInt(key);
    if (!subtask.counts->Has(id)) return 0;
    std::string_view text;
    const int64_t count = subtask.counts->Get<int64_t>(id);
    EXPECT_TRUE(subtask.texts->Get(id, "", "", &text));
    EXPECT_EQ(text, "text " + std::to_string(key) + " " + std::to_string(count));
    return count;
  }

  void Checkpoint() {
    coordinator_->RequestNow(false);
    const auto triggered = coordinator_->Tick();
    ASSERT_EQ(triggered.size(), 1u);
    for (int i = 0; i < parallelism_; ++i) {
      TaskSnapshot snapshot;
      snapshot.task = i;
      OperatorSnapshot& op = snapshot.operators.emplace_back();
      op.operator_id = op.name = "counter";
      op.kind = "process";
      op.subtask_index = i;
      op.parallelism = parallelism_;
      op.max_parallelism = kGroups;
      KeyedState& state = *subtasks_[static_cast<size_t>(i)].state;
      op.key_groups = state.range();
      op.registry = state.Registry();
      op.keyed = state.Snapshot();
      coordinator_->OnSnapshot(triggered[0].id, std::move(snapshot));
    }
    env_->RunAllBackground();
    const auto done = coordinator_->Tick();
    ASSERT_EQ(done.size(), 1u);
    ASSERT_EQ(done[0].kind, CheckpointCoordinator::Event::Kind::kCompleted)
        << done[0].status.ToString();
    for (Subtask& subtask : subtasks_) subtask.state->OnCheckpointComplete();
  }
  KeyedState& state(int subtask) { return *subtasks_[static_cast<size_t>(subtask)].state; }
  CheckpointRecord last_record() const { return coordinator_->History().back(); }
  Manifest last_manifest() const { return *coordinator_->LastCompleted(); }
  const std::string& directory() const { return store_->job_directory(); }

 private:
  struct Subtask {
    std::unique_ptr<KeyedState> state;
    FixedValueState* counts = nullptr;
    RowState* texts = nullptr;
  };

  Subtask& SubtaskOf(int64_t key) {
    // The group does not depend on the subtask; a throw-away dictionary tells it.
    KeyDictionary dictionary(kGroups);
    const int group = dictionary.KeyGroupOf(dictionary.LookupOrInsertInt(key));
    return subtasks_[static_cast<size_t>(SubtaskOfKeyGroup(group, parallelism_, kGroups))];
  }

  void Restore() {
    auto latest = store_->LoadLatest(false, nullptr);
    ASSERT_TRUE(latest.ok()) << latest.status().ToString();
    if (!latest->has_value()) return;
    RestoreTarget target;
    target.operator_id = target.name = "counter";
    target.kind = "process";
    target.keyed = true;
    target.parallelism = parallelism_;
    target.max_parallelism = kGroups;
    const Manifest manifest = **latest;
    auto plan = RestorePlan::Make(env_, manifest, store_->job_directory(), {target}, false);
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    if ((*plan)->SameParallelism("counter", parallelism_)) writer_->Seed(manifest, {"counter"});
    for (int i = 0; i < parallelism_; ++i) {
      auto stored = (*plan)->KeyedStateFor("counter", i, parallelism_);
      ASSERT_TRUE(stored.ok()) << stored.status().ToString();
      const Status restored =
          subtasks_[static_cast<size_t>(i)].state->Restore(std::move(stored).value());
      ASSERT_TRUE(restored.ok()) << restored.ToString();
    }
  }

  SimEnv* env_;
  const int parallelism_;
  std::unique_ptr<CheckpointStore> store_;
  std::unique_ptr<SnapshotWriter> writer_;
  std::vector<Subtask> subtasks_;
  std::unique_ptr<CheckpointCoordinator> coordinator_;
};

int64_t KeyOf(const StateRow& row) {
  int64_t key = 0;
  ByteReader in(row.key.substr(1));
  EXPECT_TRUE(in.ZigZag(&key).ok());
  EXPECT_EQ(KeyGroupOf(row.key, kGroups), row.key_group);
  return key;
}

// What a reader without a job finds in the newest checkpoint.
std::map<int64_t, int64_t> ReadCounts(SimEnv* env, const std::string& directory) {
  std::map<int64_t, int64_t> counts;
  auto reader = StateReader::Open(env, directory);
  EXPECT_TRUE(reader.ok()) << reader.status().ToString();
  if (!reader.ok()) return counts;
  std::vector<StateRow> rows;
  auto cursor = (*reader)->Rows("counter", "count");
  EXPECT_TRUE(cursor.ok()) << cursor.status().ToString();
  for (auto more = (*cursor)->Next(&rows); *more; more = (*cursor)->Next(&rows)) {
    for (const StateRow& row : rows) {
      int64_t count = 0;
      EXPECT_EQ(row.value.size(), sizeof(count));
      std::memcpy(&count, row.value.data(), sizeof(count));
      EXPECT_TRUE(counts.emplace(KeyOf(row), count).second);
    }
  }
  size_t texts = 0;
  cursor = (*reader)->Rows("counter", "text");
  for (auto more = (*cursor)->Next(&rows); *more; more = (*cursor)->Next(&rows)) {
    for (const StateRow& row : rows) {
      const int64_t key = KeyOf(row);
      EXPECT_EQ(row.value, "text " + std::to_string(key) + " " + std::to_string(counts[key]));
      ++texts;
    }
  }
  EXPECT_EQ(texts, counts.size());
  return counts;
}

// Restarts at these parallelisms one after the other, with a power cut and a few incremental
// checkpoints between.
class KeyedStateCheckpoint : public testing::TestWithParam<std::vector<int>> {};

TEST_P(KeyedStateCheckpoint, NothingIsLostOverIncrementsRestartsAndRescaling) {
  SimEnv env(1);
  std::map<int64_t, int64_t> expected;
  int former = 0;
  for (const int parallelism : GetParam()) {
    {
      Attempt attempt(&env, parallelism);
      ASSERT_FALSE(HasFatalFailure());
      for (const auto& [key, count] : expected) ASSERT_EQ(attempt.Count(key), count) << key;
      for (int round = 0; round < 3; ++round) {
        const uint64_t changes = round == 0 && parallelism != former ? 3000 : 20;
        for (uint64_t i = 0; i < changes; ++i) {
          const auto key = static_cast<int64_t>(env.scheduling().Below(2000));
          if (env.scheduling().Below(6) == 0) {
            attempt.Remove(key);
            expected[key] = 0;
          } else {
            attempt.Add(key);
            ++expected[key];
          }
        }
        ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
        std::map<int64_t, int64_t> live = expected;
        std::erase_if(live, [](const auto& entry) { return entry.second == 0; });
        ASSERT_EQ(ReadCounts(&env, attempt.directory()), live);
        if (round == 0) {
          EXPECT_EQ(attempt.last_manifest().full, parallelism != former);
        } else {
          EXPECT_FALSE(attempt.last_manifest().full);
        }
      }
      // Not in any checkpoint, so not to be seen again.
      for (int64_t key = 0; key < 50; ++key) attempt.Add(key);
    }
    former = parallelism;
    env.Crash(CrashKind::kPowerLoss);
  }
  Attempt last(&env, 2);
  for (const auto& [key, count] : expected) ASSERT_EQ(last.Count(key), count) << key;
}

INSTANTIATE_TEST_SUITE_P(Parallelisms, KeyedStateCheckpoint,
                         testing::Values(std::vector<int>{1, 1, 1}, std::vector<int>{2, 2, 3},
                                         std::vector<int>{3, 1, 4}));

TEST(StateReader, NamesWhatIsNotThere) {
  SimEnv env(1);
  Attempt attempt(&env, 2);
  for (int64_t key = 0; key < 100; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  auto reader = StateReader::Open(&env, attempt.directory());
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->Describe("counter", "count")->fingerprint, "value<int64>");
  const Status state = (*reader)->Describe("counter", "sum").status();
  EXPECT_EQ(state.code(), StatusCode::kNotFound);
  EXPECT_NE(state.message().find("'count', 'text'"), std::string::npos) << state.message();
  const Status op = (*reader)->Rows("nobody", "count").status();
  EXPECT_EQ(op.code(), StatusCode::kNotFound);
  EXPECT_NE(op.message().find("'counter'"), std::string::npos) << op.message();
}

TEST(StateReader, FindsKeysThatItsCacheHasNoRoomFor) {
  SimEnv env(1);
  Attempt attempt(&env, 1, /*partition_bytes=*/16 << 10);
  for (int64_t key = 0; key < 20000; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  auto reader = StateReader::Open(&env, attempt.directory());
  ASSERT_TRUE(reader.ok());
  auto plan = RestorePlan::Make(&env, (*reader)->manifest(), (*reader)->directory(),
                                {{.operator_id = "counter",
                                  .name = "counter",
                                  .kind = "process",
                                  .keyed = true,
                                  .is_source = false,
                                  .parallelism = 1,
                                  .max_parallelism = kGroups}},
                                false);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  auto stored = (*plan)->KeyedStateFor("counter", 0, 1);
  ASSERT_TRUE(stored.ok());
  StoredTable* dictionary = nullptr;
  for (const auto& table : stored->subtasks[0].tables) {
    if (table->meta().kind == TableKind::kDictionary) dictionary = table.get();
  }
  ASSERT_NE(dictionary, nullptr);
  ASSERT_GT(dictionary->partition_count(), 3u);
  StoredKeys keys(dictionary, KeyGroupRangeOf(0, 1, kGroups), /*cache_bytes=*/1);
  std::set<std::string> seen;
  for (uint32_t i = 0; i < 20000; i += 97) {
    StoredKeyPage::Entry entry;
    const auto page = keys.Find(i * 7919 % 20000, &entry);  // from page to page
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    ASSERT_TRUE(seen.emplace(entry.key).second);
  }
  StoredKeyPage::Entry entry;
  // Behind the last key, and behind the last partition.
  for (uint32_t id = 20000; id < 24000; id += 50) {
    ASSERT_EQ(keys.Find(id, &entry).status().code(), StatusCode::kCorruption) << id;
  }
  EXPECT_EQ(keys.Find(0xfffffffe, &entry).status().code(), StatusCode::kCorruption);
}

TEST(StateDifference, CountsKeysWhateverTheRounds) {
  SimEnv env(1);
  Attempt attempt(&env, 2);
  for (int64_t key = 0; key < 100; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  auto before = StateReader::Open(&env, attempt.directory());
  ASSERT_TRUE(before.ok());
  for (int64_t key = 0; key < 10; ++key) attempt.Add(key);
  for (int64_t key = 20; key < 25; ++key) attempt.Remove(key);
  for (int64_t key = 100; key < 107; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  auto after = StateReader::Open(&env, attempt.directory());
  ASSERT_TRUE(after.ok());
  const auto rows_of = [](const StateReader& reader) -> StateComparison::MakeCursor {
    return [&reader] { return reader.Rows("counter", "count"); };
  };
  for (const int64_t keys_at_a_time : {1000, 13, 1}) {
    const auto difference =
        StateComparison::Run(rows_of(**before), rows_of(**after), 100, &Status::Ok, keys_at_a_time);
    ASSERT_TRUE(difference.ok()) << difference.status().ToString();
    EXPECT_EQ(difference->keys_added, 7u);
    EXPECT_EQ(difference->keys_changed, 10u);
    EXPECT_EQ(difference->keys_removed, 5u);
    EXPECT_EQ(difference->keys_unchanged, 85u);
    EXPECT_EQ(difference->bytes_before, 800u);
    EXPECT_EQ(difference->bytes_after, 816u);
    EXPECT_EQ(difference->changes.size(), 22u);
  }
  const auto alone = StateComparison::Run(nullptr, rows_of(**after), 100, &Status::Ok);
  EXPECT_EQ(alone->keys_added, 102u);
  const auto stopped = StateComparison::Run(rows_of(**before), nullptr, 100,
                                            [] { return Status::Cancelled("stop"); });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
}

TEST(KeyedStateCheckpointSize, AFewChangesCostLittle) {
  SimEnv env(1);
  Attempt attempt(&env, 1);
  for (int64_t key = 0; key < 20000; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  const CheckpointRecord full = attempt.last_record();
  for (int64_t key = 0; key < 10; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  const CheckpointRecord delta = attempt.last_record();
  EXPECT_LT(delta.bytes_written, full.bytes_written / 20);
  EXPECT_LT(delta.partitions_written, full.partitions_written);
  EXPECT_GT(full.state_bytes, 20000u * 8);
}

// Bytes of the files of the newest checkpoint and of its manifest, as they lie there.
uint64_t BytesOnDisk(SimEnv* env, const Attempt& attempt) {
  const Manifest manifest = attempt.last_manifest();
  uint64_t bytes =
      env->files()
          .Stat(attempt.directory() + "/chk-" + std::to_string(manifest.id) + ".manifest")
          ->size_bytes;
  for (const FileManifest& file : manifest.files) {
    bytes += env->files().Stat(attempt.directory() + "/" + file.name)->size_bytes;
  }
  return bytes;
}

// checkpoint = Σ s_i: every byte belongs to a state or to an overhead that has a name.
void ExpectEveryByteCounted(SimEnv* env, const Attempt& attempt) {
  const CheckpointSizes& sizes = *attempt.last_record().sizes;
  uint64_t states = 0;
  uint64_t live = sizes.operator_state_bytes;
  for (const StateSizes& state : sizes.states) {
    for (const auto& [codec, blocks] : state.held) states += blocks.stored_bytes;
    live += state.live_bytes;
  }
  EXPECT_EQ(states + sizes.manifest_bytes + sizes.file_header_bytes + sizes.block_header_bytes +
                sizes.encryption_bytes + sizes.superseded_bytes,
            BytesOnDisk(env, attempt));
  EXPECT_EQ(sizes.total_bytes, BytesOnDisk(env, attempt));
  EXPECT_EQ(live, sizes.live_bytes);
  EXPECT_EQ(sizes.live_bytes, attempt.last_record().state_bytes);
  EXPECT_EQ(sizes.written().raw_bytes, attempt.last_record().raw_bytes);
  EXPECT_EQ(sizes.written().blocks, attempt.last_record().partitions_written);
}

const StateSizes& SizesOfState(const CheckpointRecord& record, const std::string& name) {
  for (const StateSizes& state : record.sizes->states) {
    if (state.state == name) return state;
  }
  ADD_FAILURE() << "no state " << name;
  return record.sizes->states.front();
}

TEST(KeyedStateCheckpointSize, EveryByteOnDiskBelongsToAStateOrANamedOverhead) {
  for (const std::string key_id : {"", "k1"}) {
    KeyRing::Process().Add("k1", *SecretKey::FromBytes(std::string(SecretKey::kBytes, '1')));
    SimEnv env(1);
    CheckpointStoreOptions options;
    options.key_id = key_id;
    Attempt attempt(&env, 2, PagedTable::kPartitionBytes, options);
    for (int64_t key = 0; key < 20000; ++key) attempt.Add(key);
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    ExpectEveryByteCounted(&env, attempt);
    EXPECT_EQ(attempt.last_record().sizes->superseded_bytes, 0u);
    EXPECT_EQ(attempt.last_record().sizes->encryption_bytes > 0, key_id == "k1");
    for (int round = 0; round < 20; ++round) {
      for (int64_t key = 0; key < 40; ++key) attempt.Add(key * 97 + round);
      ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
      ExpectEveryByteCounted(&env, attempt);
    }
    // Whole images took the place of long chains.
    EXPECT_GT(attempt.last_record().sizes->superseded_bytes, 0u);
    KeyRing::Process().Clear();
  }
}

TEST(KeyedStateCheckpointSize, OneChangedKeyCostsNoMoreThanAPartitionOfEachOfItsStates) {
  SimEnv env(1);
  Attempt attempt(&env, 1);
  for (int64_t key = 0; key < 100'000; ++key) attempt.Add(key);
  ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
  for (int round = 0; round < 40; ++round) {
    attempt.Add(77'777);
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    const CheckpointRecord record = attempt.last_record();
    // The key's count and its text.
    EXPECT_EQ(record.partitions_written, 2u) << round;
    EXPECT_LE(record.raw_bytes, 2u * (PagedTable::kPartitionBytes + 4096)) << round;
  }
}

TEST(KeyedStateCheckpointSize, PartitionsOfEveryTableHaveAboutTheSizeThatWasAskedFor) {
  for (const uint32_t size : {16u << 10, 64u << 10, 256u << 10}) {
    SimEnv env(1);
    Attempt attempt(&env, 1, size);
    for (int64_t key = 0; key < 200'000; ++key) attempt.Add(key);
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    for (const char* name : {"keys", "count", "text"}) {
      const StateSizes& state = SizesOfState(attempt.last_record(), name);
      // P = S / Z, to the page.
      const double expected = static_cast<double>(state.live_bytes) / size;
      EXPECT_GT(static_cast<double>(state.partitions), 0.8 * expected) << name << " " << size;
      EXPECT_LT(static_cast<double>(state.partitions), 1.3 * expected + 1) << name << " " << size;
    }
  }
}

TEST(KeyedStateCheckpointSize, AnotherPartitionSizeRestoresAndItsFirstCheckpointIsFull) {
  SimEnv env(1);
  std::map<int64_t, int64_t> expected;
  struct Run {
    uint32_t size;
    bool full;
  };
  for (const Run& run : {Run{64 << 10, true}, Run{64 << 10, false}, Run{8 << 10, true},
                         Run{1 << 20, true}, Run{1 << 20, false}}) {
    Attempt attempt(&env, 1, run.size);
    for (const auto& [key, count] : expected) ASSERT_EQ(attempt.Count(key), count) << key;
    const int64_t keys = expected.empty() ? 30'000 : 10;
    for (int64_t key = 0; key < keys; ++key) {
      attempt.Add(key);
      ++expected[key];
    }
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    EXPECT_EQ(attempt.last_manifest().full, run.full) << run.size;
    attempt.Add(3);
    ++expected[3];
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    EXPECT_FALSE(attempt.last_manifest().full);
  }
}

TEST(KeyedStateCheckpointSize, CodecIsThatOfTheStateThenOfItsDescriptorThenOfTheJob) {
  SimEnv env(1);
  CheckpointStoreOptions options;
  options.compression = {.codec = CodecId::kSnappy, .level = 0};
  options.state_compression["counter.text"] = {.codec = CodecId::kLz4, .level = 0};
  {
    Attempt attempt(&env, 1, PagedTable::kPartitionBytes, options);
    attempt.state(0).SetCompression("text", {.codec = CodecId::kNone, .level = 0});
    attempt.state(0).SetCompression("count", {.codec = CodecId::kZstd, .level = 3});
    for (int64_t key = 0; key < 5000; ++key) attempt.Add(key);
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    const CheckpointRecord record = attempt.last_record();
    EXPECT_EQ(SizesOfState(record, "text").written.begin()->first, "lz4");
    EXPECT_EQ(SizesOfState(record, "count").written.begin()->first, "zstd");
    EXPECT_EQ(SizesOfState(record, "keys").written.begin()->first, "snappy");
    EXPECT_LT(SumOf(SizesOfState(record, "count").written).stored_bytes, 4000u);
  }
  // Another codec in the next run: chains of both are read.
  options.state_compression.clear();
  options.compression.codec = CodecId::kNone;
  {
    Attempt attempt(&env, 1, PagedTable::kPartitionBytes, options);
    attempt.Add(1);
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    EXPECT_FALSE(attempt.last_manifest().full);
    EXPECT_EQ(SizesOfState(attempt.last_record(), "text").held.size(), 2u);
  }
  Attempt attempt(&env, 1);
  EXPECT_EQ(attempt.Count(1), 2);
  EXPECT_EQ(attempt.Count(2), 1);
}

TEST(KeyedStateCheckpointSize, RowsThatGrowAreCutAnewAndStayWhole) {
  SimEnv env(1);
  {
    Attempt attempt(&env, 1);
    auto* rows = *attempt.state(0).RegisterRows("blob", "value<str>");
    for (int64_t key = 0; key < 20'000; ++key) {
      rows->Put(attempt.state(0).keys().LookupOrInsertInt(key), "", "", "x");
    }
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    const uint64_t before = SizesOfState(attempt.last_record(), "blob").partitions;
    for (int64_t key = 0; key < 20'000; ++key) {
      rows->Put(attempt.state(0).keys().LookupOrInsertInt(key), "", "",
                std::string(500, static_cast<char>('a' + key % 26)));
    }
    ASSERT_NO_FATAL_FAILURE(attempt.Checkpoint());
    const StateSizes& after = SizesOfState(attempt.last_record(), "blob");
    EXPECT_GT(after.partitions, 10 * before);
    EXPECT_LT(after.live_bytes / after.partitions, 2 * PagedTable::kPartitionBytes);
  }
  Attempt attempt(&env, 1);
  auto* rows = *attempt.state(0).RegisterRows("blob", "value<str>");
  for (int64_t key = 0; key < 20'000; ++key) {
    std::string_view value;
    ASSERT_TRUE(rows->Get(attempt.state(0).keys().LookupOrInsertInt(key), "", "", &value));
    ASSERT_EQ(value, std::string(500, static_cast<char>('a' + key % 26)));
  }
}

}  // namespace
}  // namespace headrace
