#include "headrace/state/ttl_rows.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "golden_file.h"
#include "headrace/state/keyed_state.h"
#include "state/snapshot_store.h"
#include "testing/sim_env.h"

namespace headrace {
namespace {

using testing::SnapshotStore;
using Layout = TtlRows::Layout;

constexpr int64_t kTtlMs = 100;
constexpr int64_t kBudget = int64_t{1} << 40;

class TtlRowsTest : public ::testing::Test {
 protected:
  TtlRows Values(TimeToLive spec) { return {rows_, spec, Layout::kValues, &env_}; }
  TtlRows Lists(TimeToLive spec) { return {rows_, spec, Layout::kLists, &env_}; }
  KeyId Key(int64_t number) { return state_.keys().LookupOrInsertInt(number); }
  void Pass(int64_t ms) { env_.clock().AdvanceMs(ms); }

  static std::string Read(TtlRows& rows, KeyId key, std::string_view sub_key = {}) {
    std::string value;
    return rows.Get(key, {}, sub_key, &value) ? value : "<none>";
  }
  static std::vector<std::string> SubKeys(TtlRows& rows, KeyId key) {
    std::vector<std::string> found;
    std::deque<TtlRows::Entry> page;
    std::string after;
    for (bool more = true, first = true; more; first = false) {
      more = rows.ReadPage(key, {}, first ? nullptr : &after, 3, &page);
      for (const auto& [sub_key, value] : page) found.push_back(sub_key);
      if (!page.empty()) after = page.back().first;
    }
    return found;
  }

  SimEnv env_{1};
  KeyedState state_{KeyGroupRangeOf(0, 1, 128), 128, kBudget};
  RowState* rows_ = *state_.RegisterRows("timed", "ttl<test>");
};

TEST_F(TtlRowsTest, ValueIsOverTtlMillisecondsAfterItWasWritten) {
  TtlRows rows = Values({.ttl_ms = kTtlMs});
  rows.Put(Key(1), {}, {}, "one");
  Pass(kTtlMs - 1);
  EXPECT_EQ(Read(rows, Key(1)), "one");
  Pass(1);
  EXPECT_EQ(Read(rows, Key(1)), "<none>");
  EXPECT_EQ(rows_->rows(), 0) << "what is over is removed where it is read";
}

TEST_F(TtlRowsTest, ReadingIsAUseOnlyWhenAskedFor) {
  TtlRows by_write = Values({.ttl_ms = kTtlMs});
  TtlRows by_read = Values({.ttl_ms = kTtlMs, .update_on_read = true});
  by_write.Put(Key(1), {}, {}, "write");
  by_read.Put(Key(2), {}, {}, "read");
  for (int i = 0; i < 3; ++i) {
    Pass(kTtlMs * 2 / 3);
    EXPECT_EQ(Read(by_read, Key(2)), "read");
    EXPECT_EQ(Read(by_write, Key(1)), i == 0 ? "write" : "<none>");
  }
}

TEST_F(TtlRowsTest, ExpiredValueIsShownOnceWhenAskedFor) {
  TtlRows rows = Values({.ttl_ms = kTtlMs, .return_expired = true});
  rows.Put(Key(1), {}, {}, "one");
  Pass(kTtlMs);
  EXPECT_EQ(Read(rows, Key(1)), "one");
  EXPECT_EQ(Read(rows, Key(1)), "<none>");
}

TEST_F(TtlRowsTest, MapEntriesEndOneByOne) {
  TtlRows rows = Values({.ttl_ms = kTtlMs});
  for (int i = 0; i < 10; ++i) {
    rows.Put(Key(1), {}, std::string(1, static_cast<char>('a' + i)), "x");
    Pass(10);
  }
  EXPECT_EQ(SubKeys(rows, Key(1)),
            (std::vector<std::string>{"b", "c", "d", "e", "f", "g", "h", "i", "j"}));
  EXPECT_FALSE(rows.Empty(Key(1), {}));
  Pass(50);
  EXPECT_EQ(SubKeys(rows, Key(1)), (std::vector<std::string>{"g", "h", "i", "j"}));
  Pass(50);
  EXPECT_TRUE(rows.Empty(Key(1), {}));
  EXPECT_TRUE(SubKeys(rows, Key(1)).empty());
  EXPECT_EQ(rows_->rows(), 0);
}

TEST_F(TtlRowsTest, ListElementsEndOneByOneAcrossSegments) {
  TtlRows rows = Lists({.ttl_ms = kTtlMs});
  const std::string big(500, 'x');
  std::vector<std::string> all;
  for (int i = 0; i < 10; ++i) {
    all.push_back(std::to_string(i) + big);
    rows.Append(Key(1), {}, {all.back()});
    Pass(10);
  }
  EXPECT_EQ(rows.ReadList(Key(1), {}), std::vector<std::string>(all.begin() + 1, all.end()));
  Pass(60);
  EXPECT_EQ(rows.ReadList(Key(1), {}), std::vector<std::string>(all.begin() + 7, all.end()));
  rows.Append(Key(1), {}, {"new", "newer"});
  Pass(40);
  EXPECT_EQ(rows.ReadList(Key(1), {}), (std::vector<std::string>{"new", "newer"}));
}

TEST_F(TtlRowsTest, CleanUpGoesOverAllRowsAFewAtATime) {
  TtlRows rows = Values({.ttl_ms = kTtlMs, .sweep_rows = 10});
  for (int64_t key = 0; key < 1000; ++key) rows.Put(Key(key), {}, {}, "value");
  rows.CleanUp(0);
  EXPECT_EQ(rows_->rows(), 1000);
  Pass(kTtlMs);
  // Of the key that is used, 100 accesses look at 1,000 rows.
  for (int i = 0; i < 100; ++i) {
    rows.Put(Key(0), {}, {}, "value");
    rows.CleanUp(1);
  }
  EXPECT_EQ(rows_->rows(), 1);
}

TEST_F(TtlRowsTest, CleanUpForEveryRecordNeedsNoAccess) {
  TtlRows lazy = Values({.ttl_ms = kTtlMs});
  TtlRows eager = Values({.ttl_ms = kTtlMs, .sweep_rows = 5, .sweep_by_record = true});
  for (int64_t key = 0; key < 100; ++key) eager.Put(Key(key), {}, {}, "value");
  eager.CleanUp(0);
  Pass(kTtlMs);
  lazy.CleanUp(1000);
  EXPECT_EQ(rows_->rows(), 100);
  eager.CleanUp(20);
  EXPECT_EQ(rows_->rows(), 0);
}

TEST_F(TtlRowsTest, CleanUpCanBeOff) {
  TtlRows rows = Values({.ttl_ms = kTtlMs, .sweep_rows = 0, .sweep_by_record = true});
  for (int64_t key = 0; key < 100; ++key) rows.Put(Key(key), {}, {}, "value");
  Pass(kTtlMs);
  rows.CleanUp(1000);
  EXPECT_EQ(rows_->rows(), 100);
}

TEST_F(TtlRowsTest, CleanUpTakesElementsOutOfLists) {
  TtlRows rows = Lists({.ttl_ms = kTtlMs, .sweep_rows = 100, .sweep_by_record = true});
  const std::string big(700, 'x');
  for (int64_t key = 0; key < 20; ++key) rows.Append(Key(key), {}, {big, big, big, "old"});
  Pass(kTtlMs / 2);
  for (int64_t key = 0; key < 10; ++key) rows.Append(Key(key), {}, {"young"});
  Pass(kTtlMs / 2);
  rows.CleanUp(1);
  EXPECT_EQ(rows_->rows(), 10);
  EXPECT_EQ(rows.ReadList(Key(3), {}), std::vector<std::string>{"young"});
}

TEST_F(TtlRowsTest, KeysThatCameAndWentTakeNoMemory) {
  TtlRows rows = Values({.ttl_ms = kTtlMs});
  const std::string value(64, 'x');
  int64_t most = 0;
  for (int64_t round = 0; round < 40; ++round) {
    for (int64_t key = 0; key < 10'000; ++key) {
      rows.Put(Key(round * 10'000 + key), {}, {}, value);
      if (key % 1000 != 0) continue;
      rows.CleanUp(0);
      state_.Maintain();
    }
    Pass(kTtlMs / 2);
    if (round == 9) most = state_.memory_bytes();
  }
  // 400,000 keys came by. Rounds live for two; clean-up is never more than one round behind.
  EXPECT_LE(state_.memory_bytes(), most * 5 / 4);
  EXPECT_LE(rows_->rows(), 30'000);
  EXPECT_LE(state_.keys().live_keys(), 40'000);
}

TEST_F(TtlRowsTest, RandomWorkShowsWhatAModelShows) {
  std::mt19937 random(7);
  struct Entry {
    int64_t time_ms;
    std::string value;
  };
  for (const bool update_on_read : {false, true}) {
    TtlRows rows = Values({.ttl_ms = kTtlMs, .update_on_read = update_on_read, .sweep_rows = 3});
    std::map<int, Entry> model;
    for (int step = 0; step < 20'000; ++step) {
      const int number = static_cast<int>(random() % 50);
      const KeyId key = Key(number);
      const auto found = model.find(number);
      const bool lives = found != model.end() && found->second.time_ms + kTtlMs > env_.NowMs();
      switch (random() % 4) {
        case 0:
          model[number] = {env_.NowMs(), std::to_string(step)};
          rows.Put(key, {}, {}, std::to_string(step));
          break;
        case 1:
          ASSERT_EQ(Read(rows, key), lives ? found->second.value : "<none>");
          if (lives && update_on_read) found->second.time_ms = env_.NowMs();
          break;
        case 2:
          if (random() % 8 == 0) {
            model.erase(number);
            rows.Remove(key, {}, {});
          }
          break;
        default:
          Pass(static_cast<int64_t>(random() % 7));
          rows.CleanUp(1);
      }
    }
    for (const auto& [number, entry] : model) rows.Remove(Key(number), {}, {});
  }
}

TEST_F(TtlRowsTest, ExpiredRowsDoNotComeBackByARestore) {
  TtlRows rows = Values({.ttl_ms = kTtlMs});
  rows.Put(Key(1), {}, {}, "old");
  Pass(kTtlMs / 2);
  rows.Put(Key(2), {}, {}, "young");
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state_.Snapshot()).ok());
  Pass(kTtlMs / 2);
  KeyedState restored(KeyGroupRangeOf(0, 1, 128), 128, kBudget);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  RowState* stored = *restored.RegisterRows("timed", "ttl<test>");
  EXPECT_EQ(stored->rows(), 2);
  TtlRows again(stored, {.ttl_ms = kTtlMs}, Layout::kValues, &env_);
  EXPECT_EQ(Read(again, restored.keys().LookupOrInsertInt(1)), "<none>");
  EXPECT_EQ(Read(again, restored.keys().LookupOrInsertInt(2)), "young");
}

TEST_F(TtlRowsTest, WholeImagesLackExpiredRowsWhenAskedFor) {
  TtlRows rows = Values({.ttl_ms = kTtlMs, .sweep_rows = 0, .leave_out_of_images = true});
  for (int64_t key = 0; key < 5000; ++key) rows.Put(Key(key), {}, {}, "old");
  Pass(kTtlMs);
  for (int64_t key = 4000; key < 4100; ++key) rows.Put(Key(key), {}, {}, "young");
  rows.BeforeSnapshot();
  SnapshotStore store;
  ASSERT_TRUE(store.Write(state_.Snapshot()).ok());
  EXPECT_EQ(rows_->rows(), 5000) << "the state itself keeps them";

  // Deltas go on from there: a row that the base lacks is removed, another is written anew.
  rows.Remove(Key(0), {}, {});
  rows.Put(Key(1), {}, {}, "again");
  rows.BeforeSnapshot();
  ASSERT_TRUE(store.Write(state_.Snapshot()).ok());

  KeyedState restored(KeyGroupRangeOf(0, 1, 128), 128, kBudget);
  ASSERT_TRUE(restored.Restore(store.AsSame()).ok());
  RowState* stored = *restored.RegisterRows("timed", "ttl<test>");
  EXPECT_EQ(stored->rows(), 101);
  TtlRows again(stored, {.ttl_ms = kTtlMs}, Layout::kValues, &env_);
  EXPECT_EQ(Read(again, restored.keys().LookupOrInsertInt(1)), "again");
  EXPECT_EQ(Read(again, restored.keys().LookupOrInsertInt(4099)), "young");
  EXPECT_EQ(Read(again, restored.keys().LookupOrInsertInt(4100)), "<none>");
}

TEST_F(TtlRowsTest, RowsAreThoseOfTheGoldenFiles) {
  Values({.ttl_ms = kTtlMs}).Put(Key(1), {}, {}, "value");
  Lists({.ttl_ms = kTtlMs}).Append(Key(2), {}, {"one", std::string(200, 'x')});
  std::string_view row;
  ASSERT_TRUE(rows_->Get(Key(1), {}, {}, &row));
  ExpectGolden("state/golden/ttl_value.bin", row);
  ASSERT_TRUE(rows_->Get(Key(2), {}, std::string(4, '\0'), &row));
  ExpectGolden("state/golden/ttl_list.bin", row);
}

}  // namespace
}  // namespace headrace
