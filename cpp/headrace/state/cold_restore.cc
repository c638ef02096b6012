#include "headrace/state/cold_restore.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/state/cold_key.h"
#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/stored_partitions.h"
#include "headrace/state/timer_row.h"
#include "headrace/types/key_codec.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

constexpr uint64_t kNoKeyHere = UINT64_MAX;
// No row number from a file makes the list of keys longer than its partitions allow.
constexpr uint64_t kPartitionRowsMax = 64 * 1024;

}  // namespace

Status ColdRestore::LoadKeys(StoredTable& table) {
  return ForEachPartition(table, [&](uint32_t, const std::vector<std::string>& payloads) -> Status {
    HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                        MergePartition(TableKind::kDictionary, 0, payloads));
    for (const StoredRow& row : partition.rows) {
      if (row.row >= table.partition_count() * kPartitionRowsMax) {
        return Status::Corruption("row number " + std::to_string(row.row) + " out of range");
      }
      if (row.row >= begins_.size()) {
        begins_.resize(row.row + 1, kNoKeyHere);
        ends_.resize(row.row + 1);
      }
      begins_[row.row] = keys_.size();
      keys_.append(row.value);
      ends_[row.row] = keys_.size();
    }
    return Status::Ok();
  });
}

void ColdRestore::EndSubtask() {
  keys_ = std::string();
  begins_ = {};
  ends_ = {};
}

Status ColdRestore::KeyOfId(const TableMeta& meta, uint32_t id, std::string_view* key) const {
  if (id >= begins_.size() || begins_[id] == kNoKeyHere) {
    return Status::Corruption("a row refers to key id " + std::to_string(id) +
                              ", which dictionary '" + meta.dictionary + "' does not have");
  }
  *key = std::string_view(keys_).substr(begins_[id], ends_[id] - begins_[id]);
  return Status::Ok();
}

Status ColdRestore::CheckKey(std::string_view key, bool keyed, uint64_t* prefix, bool* ours) const {
  HR_RETURN_IF_ERROR(CheckValue(key));
  const uint16_t group = KeyGroupOf(key, state_.max_parallelism);
  *prefix = ColdPrefixOf(key, group);
  *ours = state_.range.Contains(group);
  if (*ours || !same_range_) return Status::Ok();
  return Status::Corruption(
      "key " + DescribeValue(key) + " is in key group " + std::to_string(group) +
      ", outside of this subtask's " + std::to_string(state_.range.first) + " to " +
      std::to_string(state_.range.last) + (keyed ? "" : " (by its dictionary)"));
}

Status ColdRestore::ReadKeyed(const TableMeta& meta, const std::vector<std::string>& payloads,
                              const RowSink& add) const {
  HR_ASSIGN_OR_RETURN(const StoredKeyedPartition stored,
                      MergeKeyedPartition(meta.row_bytes, payloads));
  for (const StoredKeyedRow& row : stored.rows) {
    HR_RETURN_IF_ERROR(add({row.key, row.ns, row.sub_key, row.value}));
  }
  return Status::Ok();
}

Status ColdRestore::ReadById(const TableMeta& meta, const std::vector<std::string>& payloads,
                             const RowSink& add) const {
  HR_ASSIGN_OR_RETURN(const StoredPartition stored,
                      MergePartition(meta.kind, meta.row_bytes, payloads));
  for (const StoredRow& row : stored.rows) {
    std::string_view key;
    const bool by_row = meta.kind == TableKind::kFixedValue;
    HR_RETURN_IF_ERROR(KeyOfId(meta, by_row ? row.row : row.key, &key));
    if (meta.kind == TableKind::kTimers) {
      const std::string timer = TimerSubKey(row.domain, row.time);
      HR_RETURN_IF_ERROR(add({key, row.ns, timer, {}}));
    } else {
      HR_RETURN_IF_ERROR(add({key, row.ns, row.sub_key, row.value}));
    }
  }
  return Status::Ok();
}

Status ColdRestore::ForEachRow(StoredTable& table, bool keyed, const RowSink& add,
                               const std::function<Status()>& end_partition) {
  return ForEachPartition(table, [&](uint32_t, const std::vector<std::string>& payloads) -> Status {
    HR_RETURN_IF_ERROR(keyed ? ReadKeyed(table.meta(), payloads, add)
                             : ReadById(table.meta(), payloads, add));
    return end_partition ? end_partition() : Status::Ok();
  });
}

bool ColdRestore::BuildsUpon(const StoredTable& table, bool keyed) const {
  const uint32_t count = table.partition_count();
  return keyed && same_range_ && std::has_single_bit(count) && count <= ColdBuckets::kMax;
}

Status ColdRestore::LoadTable(StoredTable& table) {
  const TableMeta& meta = table.meta();
  const bool keyed = meta.kind == TableKind::kKeyed;
  if (!keyed && meta.dictionary != kKeysTable) {
    return Status::Corruption("unknown dictionary '" + meta.dictionary + "'");
  }
  if (meta.kind == TableKind::kTimers || (keyed && meta.name == kTimersTable)) {
    return LoadTimers(table, keyed);
  }
  return LoadState(table, keyed);
}

Status ColdRestore::LoadState(StoredTable& table, bool keyed) {
  const TableMeta& meta = table.meta();
  const bool fixed = keyed ? meta.row_bytes != 0 : meta.kind == TableKind::kFixedValue;
  if (fixed && !(keyed ? meta.row_bytes <= KeyedState::Impl::kAccumulatorBytesMax
                       : FixedValueState::IsValueSize(meta.row_bytes))) {
    return Status::Corruption("rows of " + std::to_string(meta.row_bytes) + " bytes");
  }
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      state_.FindOrMake(meta.state_name, meta.fingerprint,
                                        fixed ? TableKind::kFixedValue : TableKind::kRows,
                                        fixed ? static_cast<int>(meta.row_bytes) : 0));
  state->restored = true;
  ColdTable& cold = *state->cold;
  std::vector<std::pair<std::string, std::string>> rows;
  std::vector<ColdWrite> writes;
  int64_t bytes = 0;
  bool plain = false;
  bool sub_rows = false;
  const auto add = [&](const Row& row) -> Status {
    uint64_t prefix = 0;
    bool ours = false;
    HR_RETURN_IF_ERROR(CheckKey(row.key, keyed, &prefix, &ours));
    if (!ours) return Status::Ok();
    std::string cold_key;
    AppendColdKey(prefix, row.key, cold.number(), row.ns, row.sub_key, &cold_key);
    rows.emplace_back(std::move(cold_key), row.value);
    bytes += static_cast<int64_t>(row.value.size());
    (row.ns.empty() && row.sub_key.empty() ? plain : sub_rows) = true;
    return Status::Ok();
  };
  const auto store = [&]() -> Status {
    std::sort(rows.begin(), rows.end());
    for (const auto& [key, value] : rows) writes.push_back({key, value});
    HR_RETURN_IF_ERROR(state_.cold->store()->Apply(writes));
    cold.NoteRestored(static_cast<int64_t>(rows.size()), bytes, plain, sub_rows);
    rows.clear();
    writes.clear();
    bytes = 0;
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, keyed, add, store));
  if (!BuildsUpon(table, keyed)) return Status::Ok();
  cold.set_buckets(table.partition_count());
  (state->fixed ? state->fixed->table() : state->rows->table()).MarkClean();
  return Status::Ok();
}

Status ColdRestore::LoadTimers(StoredTable& table, bool keyed) {
  TimerService& timers = state_.timers;
  const auto add = [&](const Row& row) -> Status {
    uint64_t prefix = 0;
    bool ours = false;
    HR_RETURN_IF_ERROR(CheckKey(row.key, keyed, &prefix, &ours));
    if (!ours) return Status::Ok();
    uint8_t domain = 0;
    TimestampMs time = 0;
    HR_RETURN_IF_ERROR(ParseTimerSubKey(row.key, row.sub_key, &domain, &time));
    timers.Register(static_cast<TimeDomain>(domain), state_.keys.LookupOrInsertEncoded(row.key),
                    row.ns, time);
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, keyed, add));
  const bool clean = BuildsUpon(table, keyed);
  if (clean) state_.timer_log->set_buckets(table.partition_count());
  timers.FinishRestore(clean);
  return Status::Ok();
}

}  // namespace headrace
