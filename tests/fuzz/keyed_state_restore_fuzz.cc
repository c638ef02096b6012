// Tables of any bytes are restored or refused, at the same and at another parallelism, and what was
// restored can be used, frozen, and restored again as the same bytes.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "headrace/base/check.h"
#include "headrace/state/keyed_state.h"
#include "testing/memory_snapshot.h"

namespace headrace {
namespace {

// Every key is in group 0, so that damaged keys get past the check of their group.
constexpr int kMaxParallelism = 1;
// The restored state is walked key by key.
constexpr uint32_t kKeysWalkedMax = 1 << 16;

struct FuzzedTable {
  TableMeta meta;
  std::vector<std::vector<std::string>> partitions;
};

class TableOfBytes final : public StoredTable {
 public:
  explicit TableOfBytes(FuzzedTable table) : table_(std::move(table)) {}
  const TableMeta& meta() const override { return table_.meta; }
  uint32_t partition_count() const override {
    return static_cast<uint32_t>(table_.partitions.size());
  }
  Result<std::vector<std::string>> ReadPartition(uint32_t index) override {
    return table_.partitions[index];
  }

 private:
  const FuzzedTable table_;
};

FuzzedTable ReadTable(FuzzInput* in) {
  static constexpr const char* kNames[] = {"keys", "timers",     "a",
                                           "b",    "slices/a/0", "slices/a/0/keys"};
  FuzzedTable table;
  table.meta.name = kNames[in->Below(6)];
  table.meta.kind = static_cast<TableKind>(1 + in->Below(5));
  table.meta.state_name = in->Below(2) == 0 ? "a" : "b";
  table.meta.dictionary = kNames[in->Below(6)];
  table.meta.row_bytes = in->Byte();
  if (table.meta.row_bytes == 255) table.meta.row_bytes = static_cast<uint32_t>(in->Word());
  for (int left = 1 + in->Below(3); left > 0; --left) {
    std::vector<std::string> chain;
    for (int payloads = in->Below(3); payloads > 0; --payloads) {
      chain.emplace_back(in->LongText());
    }
    table.partitions.push_back(std::move(chain));
  }
  return table;
}

StoredKeyedState StoredOf(const std::vector<FuzzedTable>& tables, bool same_parallelism) {
  StoredSubtask subtask;
  for (const FuzzedTable& table : tables) {
    subtask.tables.push_back(std::make_unique<TableOfBytes>(table));
  }
  StoredKeyedState stored;
  stored.same_parallelism = same_parallelism;
  stored.subtasks.push_back(std::move(subtask));
  return stored;
}

// Every key is found under its id and belongs to the subtask.
void CheckKeys(KeyedState* state) {
  KeyDictionary& keys = state->keys();
  for (KeyId id = 0; id < std::min(keys.size(), kKeysWalkedMax); ++id) {
    if (!keys.live(id)) continue;
    const std::string canonical = keys.EncodedKey(id);
    HR_CHECK_EQ(keys.LookupEncoded(canonical), id);
    HR_CHECK_EQ(keys.KeyGroupOf(id), KeyGroupOf(canonical, kMaxParallelism));
    HR_CHECK(state->range().Contains(keys.KeyGroupOf(id)));
  }
}

int64_t RowsOf(const KeyedState& state) {
  int64_t rows = 0;
  for (const StateRegistration& one : state.Registry()) rows += one.rows;
  return rows;
}

void CheckTimers(KeyedState* state) {
  Timer timer;
  TimestampMs previous = INT64_MIN;
  while (state->timers().PopDue(TimeDomain::kEventTime, kMaxWatermark, &timer)) {
    HR_CHECK_GE(timer.time, previous);
    HR_CHECK(state->keys().live(timer.key));
    previous = timer.time;
  }
}

void Restore(const std::vector<FuzzedTable>& tables, bool same_parallelism, KeyGroupRange range) {
  KeyedState state(range, kMaxParallelism, int64_t{1} << 30);
  if (!state.Restore(StoredOf(tables, same_parallelism)).ok()) return;
  CheckKeys(&state);
  MemorySnapshot frozen;
  state.RequireFullSnapshot();
  HR_CHECK(frozen.Add(state.Snapshot()).ok());
  KeyedState again(range, kMaxParallelism, int64_t{1} << 30);
  const Status restored = again.Restore(frozen.Stored());
  HR_CHECK(restored.ok());
  HR_CHECK_EQ(RowsOf(again), RowsOf(state));
  CheckTimers(&state);
  state.Maintain();
  CheckKeys(&state);
}

}  // namespace
}  // namespace headrace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headrace::FuzzInput in(data, size);
  std::vector<headrace::FuzzedTable> tables;
  while (!in.done() && tables.size() < 8) tables.push_back(headrace::ReadTable(&in));
  headrace::Restore(tables, /*same_parallelism=*/true, {0, 0});
  headrace::Restore(tables, /*same_parallelism=*/false, {0, 0});
  return 0;
}
