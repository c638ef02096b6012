// Checkpoints of memory that are damaged, or made by somebody else, are not brought into a store.
#include "headrace/state/cold_restore.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "headrace/state/partition_codec.h"
#include "state/snapshot_store.h"
#include "testing/memory_cold_store.h"

namespace headrace {
namespace {

using testing::SnapshotStore;

constexpr int kKeys = 10;

// What becomes of a state of ten keys, ids 0 to 9, whose partition of `table` was changed.
Status RestoreChanged(const std::string& table, TableKind kind,
                      const std::function<void(StoredPartition*)>& change) {
  KeyedState state(KeyGroupRange{0, 127}, 128, 1 << 30);
  RowState* rows = *state.RegisterRows("text", "test");
  for (int64_t key = 0; key < kKeys; ++key) {
    rows->Put(state.keys().LookupOrInsertInt(key), {}, {}, std::to_string(key));
  }
  SnapshotStore store;
  HR_RETURN_IF_ERROR(store.Write(state.Snapshot()));
  auto& payloads = store.tables().at(table).payloads;
  EXPECT_EQ(payloads.size(), 1u);
  std::string& payload = payloads.begin()->second.back();
  HR_ASSIGN_OR_RETURN(StoredPartition partition, DecodePartition(kind, 0, payload));
  EXPECT_EQ(partition.rows.size(), size_t{kKeys});
  change(&partition);
  payload = EncodeStoredPartition(kind, partition);
  MemoryColdStoreFactory factory;
  KeyedState restored(KeyGroupRange{0, 127}, 128, 1 << 30,
                      factory.Open(nullptr, ColdStoreOptions()).value());
  return restored.Restore(store.AsSame());
}

TEST(ColdRestoreTest, what_was_not_changed_is_restored) {
  const Status status = RestoreChanged("text", TableKind::kRows, [](StoredPartition*) {});
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(ColdRestoreTest, row_of_a_key_that_the_dictionary_lacks_is_corruption) {
  for (const uint32_t id : {kKeys, kKeys + 1, 1'000'000}) {
    const Status status = RestoreChanged(
        "text", TableKind::kRows, [id](StoredPartition* stored) { stored->rows.back().key = id; });
    EXPECT_EQ(status.code(), StatusCode::kCorruption) << status.ToString();
    EXPECT_NE(status.message().find("key id " + std::to_string(id)), std::string::npos)
        << status.ToString();
  }
}

TEST(ColdRestoreTest, key_with_a_number_that_its_partitions_cannot_have_is_corruption) {
  for (const uint32_t number : {64 * 1024, 64 * 1024 + 1}) {
    const auto change = [number](StoredPartition* stored) {
      stored->row_count = number + 1;
      stored->rows.back().row = number;
    };
    const Status status = RestoreChanged("keys", TableKind::kDictionary, change);
    EXPECT_EQ(status.code(), StatusCode::kCorruption) << status.ToString();
    EXPECT_NE(status.message().find("row number " + std::to_string(number)), std::string::npos)
        << status.ToString();
  }
}

}  // namespace
}  // namespace headrace
