#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>

#include "headrace/checkpoint/coordinator.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/state_difference.h"
#include "headrace/checkpoint/state_reader.h"
#include "testing/sim_env.h"

// The real keyed state through the real checkpoint, on simulated files.

namespace headrace {
namespace {

constexpr int kGroups = 16;
constexpr int64_t kBudget = int64_t{1} << 30;

// One attempt of a keyed operator that counts and remembers a text for each key.
class Attempt {
 public:
  Attempt(SimEnv* env, int parallelism) : env_(env), parallelism_(parallelism) {
    CheckpointStoreOptions options;
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
  Attempt attempt(&env, 1);
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
  for (uint32_t i = 0; i < 20000; ++i) {
    StoredKeyPage::Entry entry;
    const auto page = keys.Find(i * 7919 % 20000, &entry);  // from page to page
    ASSERT_TRUE(page.ok()) << page.status().ToString();
    ASSERT_TRUE(seen.emplace(entry.key).second);
  }
  StoredKeyPage::Entry entry;
  EXPECT_EQ(keys.Find(20000, &entry).status().code(), StatusCode::kCorruption);
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

}  // namespace
}  // namespace headrace
