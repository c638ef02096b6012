#include "headrace/checkpoint/state_reader.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "checkpoint/one_task_checkpoint.h"
#include "headrace/checkpoint/checkpoint_store.h"
#include "headrace/checkpoint/coordinator.h"
#include "headrace/types/value_codec.h"
#include "testing/memory_cold_store.h"
#include "testing/sim_env.h"

// What a stored checkpoint tells of each kind of state, with rows in memory and with a row cache.

namespace headrace {
namespace {

constexpr int kGroups = 128;
constexpr int kKeys = 300;

std::string KeyOf(int64_t number) {
  ByteWriter out;
  EncodeInt(number, &out);
  return out.Take();
}

std::string BytesOf(int64_t number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof(number));
}

class StateReaderTest : public ::testing::TestWithParam<bool> {
 protected:
  bool cold() const { return GetParam(); }

  // Every kind of state, three slices, a timer of each domain for each key, in one checkpoint.
  void SetUp() override {
    std::unique_ptr<ColdStore> rows;
    if (cold()) {
      ColdStoreOptions options;
      options.directory = "store";
      rows = factory_.Open(nullptr, options).value();
    }
    state_ = std::make_unique<KeyedState>(KeyGroupRange{0, kGroups - 1}, kGroups, int64_t{1} << 40,
                                          std::move(rows));
    state_->SetPartitionBytes(4 << 10);
    FixedValueState* counts = *state_->RegisterFixed("count", "value<int64>", 8);
    RowState* texts = *state_->RegisterRows("text", "map<str, str>");
    if (cold()) {
      ASSERT_TRUE(state_->RegisterAccumulators("sum", "sum(int64)", 16).ok());
    }
    SliceStore* totals = *state_->RegisterSlices("total", "sum(int64)", 16);
    ASSERT_TRUE(state_->RegisterSlices("unused", "max(int64)", 8).ok());
    for (int64_t number = 0; number < kKeys; ++number) {
      const KeyId id = state_->keys().LookupOrInsertEncoded(KeyOf(number));
      counts->Set<int64_t>(id, number * 10);
      for (const char* sub_key : {"", "a", "b"}) {
        texts->Put(id, "ns", sub_key, sub_key + std::to_string(number));
      }
      state_->timers().Register(TimeDomain::kEventTime, id, "ns", 1000 + number);
      state_->timers().Register(TimeDomain::kProcessingTime, id, "", 5000 + number);
    }
    for (const TimestampMs start : {-60'000, 0, 60'000}) {
      SliceTable* slice = totals->FindOrCreate(start);
      const KeyId id = slice->keys().LookupOrInsertEncoded(KeyOf(start));
      slice->accumulators().EnsureSize(slice->keys().size());
      const std::string bytes = BytesOf(start + 1) + BytesOf(7);
      std::memcpy(slice->accumulators().MutableRow(id), bytes.data(), bytes.size());
    }
    CheckpointStoreOptions options;
    options.directory = "/state";
    options.job_key = "job";
    auto opened = CheckpointStore::Open(&env_, options);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    store_ = std::move(opened).value();
    SnapshotWriter writer(&env_, store_.get());
    CheckpointCoordinator coordinator(&env_, CheckpointOptions(), store_.get(), &writer, 1, 1);
    CheckpointId id = 0;
    ASSERT_NO_FATAL_FAILURE(
        testing::TakeCheckpoint(&env_, &coordinator, state_.get(), kGroups, &id));
    auto reader = StateReader::Open(&env_, store_->job_directory());
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    reader_ = std::move(reader).value();
  }

  using Row = std::tuple<std::string, std::string, std::string, std::string, int, int64_t>;

  // Key, namespace, sub-key, value, domain, time.
  static std::set<Row> Read(Result<std::unique_ptr<StateCursor>> cursor) {
    EXPECT_TRUE(cursor.ok()) << cursor.status().ToString();
    std::set<Row> all;
    std::vector<StateRow> rows;
    while (cursor.ok()) {
      const Result<bool> more = (*cursor)->Next(&rows);
      EXPECT_TRUE(more.ok()) << more.status().ToString();
      if (!more.ok() || !*more) break;
      for (const StateRow& row : rows) {
        EXPECT_EQ(row.key_group, KeyGroupOf(row.key, kGroups));
        const bool added =
            all.emplace(std::string(row.key), std::string(row.ns), std::string(row.sub_key),
                        std::string(row.value), row.domain, row.time)
                .second;
        EXPECT_TRUE(added) << "a row came twice";
      }
    }
    return all;
  }

  SimEnv env_{1};
  MemoryColdStoreFactory factory_;
  std::unique_ptr<KeyedState> state_;
  std::unique_ptr<CheckpointStore> store_;
  std::unique_ptr<StateReader> reader_;
};

TEST_P(StateReaderTest, values_and_rows_come_with_their_keys) {
  std::set<Row> counts, texts;
  for (int64_t number = 0; number < kKeys; ++number) {
    counts.emplace(KeyOf(number), "", "", BytesOf(number * 10), 0, 0);
    for (const char* sub_key : {"", "a", "b"}) {
      texts.emplace(KeyOf(number), "ns", sub_key, sub_key + std::to_string(number), 0, 0);
    }
  }
  EXPECT_EQ(Read(reader_->Rows("op", "count")), counts);
  EXPECT_EQ(Read(reader_->Rows("op", "text")), texts);
}

TEST_P(StateReaderTest, timers_come_with_domain_and_time_and_are_no_state) {
  std::set<Row> timers;
  for (int64_t number = 0; number < kKeys; ++number) {
    timers.emplace(KeyOf(number), "ns", "", "", static_cast<int>(TimeDomain::kEventTime),
                   1000 + number);
    timers.emplace(KeyOf(number), "", "", "", static_cast<int>(TimeDomain::kProcessingTime),
                   5000 + number);
  }
  EXPECT_EQ(Read(reader_->Timers("op")), timers);
  EXPECT_EQ(Read(reader_->Rows("op", "timers")), std::set<Row>());
}

TEST_P(StateReaderTest, slices_come_with_their_start) {
  std::set<Row> totals;
  for (const int64_t start : {-60'000, 0, 60'000}) {
    totals.emplace(KeyOf(start), "", "", BytesOf(start + 1) + BytesOf(7), 0, start);
  }
  EXPECT_EQ(Read(reader_->Rows("op", "total")), totals);
}

TEST_P(StateReaderTest, keys_are_those_of_the_dictionary) {
  std::set<std::string> keys;
  for (const Row& row : Read(reader_->Keys("op"))) keys.insert(std::get<0>(row));
  if (cold()) {
    EXPECT_EQ(keys, std::set<std::string>()) << "rows have their keys with them";
    return;
  }
  std::set<std::string> expected;
  for (int64_t number = 0; number < kKeys; ++number) expected.insert(KeyOf(number));
  EXPECT_EQ(keys, expected);
}

TEST_P(StateReaderTest, description_is_the_same_wherever_rows_are) {
  const auto described = [&](const std::string& name) {
    const auto state = reader_->Describe("op", name);
    EXPECT_TRUE(state.ok()) << state.status().ToString();
    return state.value();
  };
  const StateReader::State count = described("count");
  EXPECT_EQ(count.fingerprint, "value<int64>");
  EXPECT_EQ(count.kind, TableKind::kFixedValue);
  EXPECT_EQ(count.row_bytes, 8u);
  EXPECT_EQ(count.by_key, cold());
  const StateReader::State text = described("text");
  EXPECT_EQ(text.kind, TableKind::kRows);
  EXPECT_EQ(text.row_bytes, 0u);
  EXPECT_EQ(text.by_key, cold());
  const StateReader::State total = described("total");
  EXPECT_EQ(total.fingerprint, "sum(int64)");
  EXPECT_EQ(total.kind, TableKind::kSlice);
  EXPECT_FALSE(total.by_key) << "slices stay in memory";
  // It has a type, but no slice and so no table.
  EXPECT_EQ(described("unused").fingerprint, "max(int64)");
  if (cold()) {
    EXPECT_EQ(described("sum").kind, TableKind::kSlice);
  }
}

TEST_P(StateReaderTest, names_of_what_is_there_leave_out_keys_and_timers) {
  for (const char* name : {"keys", "timers", "nothing"}) {
    const Status missing = reader_->Describe("op", name).status();
    EXPECT_EQ(missing.code(), StatusCode::kNotFound) << name;
    const std::string listed = missing.message().substr(missing.message().find("it has "));
    EXPECT_EQ(listed, cold() ? "it has 'count', 'sum', 'text', 'total', 'unused'"
                             : "it has 'count', 'text', 'total', 'unused'");
  }
}

INSTANTIATE_TEST_SUITE_P(Rows, StateReaderTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "cold" : "memory"; });

// Manifests that say what no engine writes.
TEST(StateReaderDamageTest, absurd_row_sizes_and_names_of_slices_are_refused) {
  SimEnv env(1);
  CheckpointStoreOptions options;
  options.directory = "/state";
  options.job_key = "job";
  auto store = CheckpointStore::Open(&env, options);
  ASSERT_TRUE(store.ok());
  KeyedState state({0, kGroups - 1}, kGroups, int64_t{1} << 30);
  SliceStore* totals = *state.RegisterSlices("total", "sum(int64)", 16);
  SliceTable* slice = totals->FindOrCreate(60'000);
  slice->keys().LookupOrInsertEncoded(KeyOf(1));
  slice->accumulators().EnsureSize(slice->keys().size());
  slice->accumulators().MutableRow(0);
  SnapshotWriter writer(&env, store->get());
  CheckpointCoordinator coordinator(&env, CheckpointOptions(), store->get(), &writer, 1, 1);
  CheckpointId id = 0;
  ASSERT_NO_FATAL_FAILURE(testing::TakeCheckpoint(&env, &coordinator, &state, kGroups, &id));
  int manifests = 0;
  const auto read_altered = [&](auto alter) -> Status {
    const std::string path =
        (*store)->job_directory() + "/altered-" + std::to_string(++manifests) + ".manifest";
    Manifest manifest = *coordinator.LastCompleted();
    for (TableManifest& table : manifest.operators[0].subtasks[0].tables) {
      if (table.meta.kind == TableKind::kSlice) alter(&table.meta);
    }
    auto file = env.files().Create(path);
    EXPECT_TRUE(file.ok() && (*file)->Append(SerializeManifest(manifest)).ok() &&
                (*file)->Close().ok());
    auto reader = StateReader::Open(&env, path);
    if (!reader.ok()) return reader.status();
    auto cursor = (*reader)->Rows("op", "total");
    if (!cursor.ok()) return cursor.status();
    std::vector<StateRow> rows;
    return (*cursor)->Next(&rows).status();
  };
  EXPECT_TRUE(read_altered([](TableMeta*) {}).ok());
  for (const uint32_t row_bytes : {0u, (1u << 20) + 1}) {
    const Status refused = read_altered([&](TableMeta* meta) { meta->row_bytes = row_bytes; });
    EXPECT_EQ(refused.code(), StatusCode::kCorruption) << refused.ToString();
  }
  for (const char* name : {"slices/total/6x", "slices/total/", "slices/total/x60000"}) {
    const Status refused = read_altered([&](TableMeta* meta) { meta->name = name; });
    EXPECT_EQ(refused.code(), StatusCode::kCorruption) << refused.ToString();
    EXPECT_NE(refused.message().find("no slice has this name"), std::string::npos)
        << refused.ToString();
  }
}

}  // namespace
}  // namespace headrace
