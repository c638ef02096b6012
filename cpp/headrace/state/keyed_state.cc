#include "headrace/state/keyed_state.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "headrace/state/keyed_state_impl.h"
#include "headrace/state/state_table_snapshots.h"

namespace headrace {
namespace {

constexpr int64_t kReleasesPerBarrier = 1024;
constexpr int64_t kReleasesPerCall = 8192;
constexpr int64_t kIdleKeysMin = 4096;
// Of the budget of a row cache, for the log of an epoch: 1/16.
constexpr int64_t kLogShare = 16;
// Copies of pages that the next snapshot needs, its lists, and a batch of new keys need room too: a
// sixth of the budget.
constexpr int64_t kRoomShare = 6;

std::string FormatBytes(int64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::string Shape(std::string_view fingerprint, TableKind kind, int row_bytes) {
  std::string text(fingerprint);
  switch (kind) {
    case TableKind::kFixedValue:
      return text + " (fixed, " + std::to_string(row_bytes) + " bytes)";
    case TableKind::kSlice:
      return text + " (window slices, " + std::to_string(row_bytes) + " bytes)";
    default:
      return text + " (rows)";
  }
}

int64_t RowCount(const NamedState& state) {
  if (state.fixed) return state.fixed->table().live_rows();
  if (state.rows) return state.rows->rows();
  int64_t rows = 0;
  for (const auto& [start, slice] : state.slices->slices()) rows += slice->keys().live_keys();
  return rows;
}

}  // namespace

std::string TableNameOf(std::string_view state_name) {
  const bool reserved = state_name == kKeysTable || state_name == kTimersTable ||
                        state_name.starts_with(kSlicesPrefix) || state_name.starts_with("state/");
  return (reserved ? "state/" : "") + std::string(state_name);
}

KeyedState::Impl::Impl(KeyGroupRange range, int max_parallelism, int64_t memory_budget_bytes,
                       std::unique_ptr<ColdStore> store)
    : range(range),
      max_parallelism(max_parallelism),
      memory_budget_bytes(memory_budget_bytes),
      keys(max_parallelism),
      timers(&keys) {
  keys.TrackIdleKeys();
  if (!store) return;
  cold = std::make_unique<ColdTier>(std::move(store), &keys, range, max_parallelism);
  cold->set_log_bytes_max(memory_budget_bytes / kLogShare);
  cache_bytes_max = memory_budget_bytes - memory_budget_bytes / kRoomShare;
  keys.CacheKeys([tier = cold.get()](const KeyId* ids, int64_t count) { tier->Load(ids, count); });
  timer_log = cold->AddTable(nullptr, nullptr);
  timers.LogRemovals(timer_log);
  cold->set_needs_room([this] { return NeedsRoom(); });
}

Result<NamedState*> KeyedState::Impl::FindOrMake(std::string_view name,
                                                 std::string_view fingerprint, TableKind kind,
                                                 int row_bytes) {
  const auto found = states.find(name);
  if (found != states.end()) {
    NamedState& state = found->second;
    if (state.fingerprint == fingerprint && state.kind == kind && state.row_bytes == row_bytes) {
      return &state;
    }
    return Status::InvalidArgument(
        "state '" + std::string(name) + "' is " + (state.restored ? "stored" : "registered") +
        " as " + Shape(state.fingerprint, state.kind, state.row_bytes) + " and cannot be used as " +
        Shape(fingerprint, kind, row_bytes) + "; give one of them another name");
  }
  NamedState& state = states[std::string(name)];
  state.fingerprint = fingerprint;
  state.kind = kind;
  state.row_bytes = row_bytes;
  state.meter = std::make_shared<MemoryMeter>();
  if (kind == TableKind::kFixedValue) {
    state.fixed = std::make_unique<FixedValueState>(&keys, row_bytes, state.meter);
    state.fixed->table().SetPartitionBytes(partition_bytes);
  } else if (kind == TableKind::kSlice) {
    state.slices = std::make_unique<SliceStore>(row_bytes, max_parallelism, state.meter);
    state.slices->SetPartitionBytes(partition_bytes);
  } else {
    state.rows = std::make_unique<RowState>(&keys, state.meter);
    state.rows->table().SetPartitionBytes(partition_bytes);
  }
  if (cold && !state.slices) {
    state.cold = cold->AddTable(state.fixed.get(), state.rows.get());
    if (state.fixed) state.fixed->CacheRows(state.cold);
    if (state.rows) state.rows->CacheRows(state.cold);
  }
  return &state;
}

KeyedState::KeyedState(KeyGroupRange range, int max_parallelism, int64_t memory_budget_bytes,
                       std::unique_ptr<ColdStore> cold)
    : impl_(std::make_unique<Impl>(range, max_parallelism, memory_budget_bytes, std::move(cold))) {}

KeyedState::~KeyedState() = default;

KeyDictionary& KeyedState::keys() { return impl_->keys; }

TimerService& KeyedState::timers() { return impl_->timers; }

const KeyGroupRange& KeyedState::range() const { return impl_->range; }

Result<FixedValueState*> KeyedState::RegisterFixed(std::string_view name,
                                                   std::string_view fingerprint, int value_bytes) {
  if (!FixedValueState::IsValueSize(static_cast<uint32_t>(value_bytes))) {
    return Status::InvalidArgument("state '" + std::string(name) + "': a fixed value of " +
                                   std::to_string(value_bytes) +
                                   " bytes; it must have 1, 2, 4, 8 or 16");
  }
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      impl_->FindOrMake(name, fingerprint, TableKind::kFixedValue, value_bytes));
  state->claimed = true;
  return state->fixed.get();
}

Result<RowState*> KeyedState::RegisterRows(std::string_view name, std::string_view fingerprint) {
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      impl_->FindOrMake(name, fingerprint, TableKind::kRows, 0));
  state->claimed = true;
  return state->rows.get();
}

Result<FixedValueState*> KeyedState::RegisterAccumulators(std::string_view name,
                                                          std::string_view fingerprint,
                                                          int accumulator_bytes) {
  HR_RETURN_IF_ERROR(impl_->Convert(name, fingerprint, TableKind::kFixedValue, accumulator_bytes));
  HR_ASSIGN_OR_RETURN(
      NamedState * state,
      impl_->FindOrMake(name, fingerprint, TableKind::kFixedValue, accumulator_bytes));
  return state->fixed.get();
}

Result<SliceStore*> KeyedState::RegisterSlices(std::string_view name, std::string_view fingerprint,
                                               int accumulator_bytes) {
  if (accumulator_bytes <= 0) {
    return Status::InvalidArgument("state '" + std::string(name) + "': accumulators of " +
                                   std::to_string(accumulator_bytes) + " bytes");
  }
  HR_RETURN_IF_ERROR(impl_->Convert(name, fingerprint, TableKind::kSlice, accumulator_bytes));
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      impl_->FindOrMake(name, fingerprint, TableKind::kSlice, accumulator_bytes));
  state->claimed = true;
  return state->slices.get();
}

void KeyedState::SetPartitionBytes(uint32_t bytes) {
  impl_->partition_bytes = bytes;
  impl_->keys.table().SetPartitionBytes(bytes);
  impl_->timers.table().SetPartitionBytes(bytes);
}

void KeyedState::SetCompression(std::string_view name, Compression compression) {
  impl_->states.find(name)->second.compression = compression;
}

KeyedStateSnapshot KeyedState::Snapshot() {
  Impl& s = *impl_;
  if (s.cold) s.cold->Flush();
  s.keys.ReleaseIdle(kReleasesPerBarrier);
  KeyedStateSnapshot snapshot;
  snapshot.number = ++s.snapshot_number;
  s.outstanding.push_back(snapshot.number);

  if (s.cold) {
    s.FreezeCache(&snapshot);
  } else {
    TableMeta meta;
    meta.partition_bytes = s.partition_bytes;
    meta.name = kKeysTable;
    meta.kind = TableKind::kDictionary;
    snapshot.tables.push_back(s.keys.Snapshot(meta, snapshot.number));
    meta.name = kTimersTable;
    meta.kind = TableKind::kTimers;
    meta.dictionary = kKeysTable;
    snapshot.tables.push_back(s.timers.Snapshot(meta));
  }

  for (const auto& [name, state] : s.states) {
    if (state.cold != nullptr) continue;  // FreezeCache() has it
    TableMeta table;
    table.kind = state.kind;
    table.state_name = name;
    table.fingerprint = state.fingerprint;
    table.row_bytes = static_cast<uint32_t>(state.row_bytes);
    table.partition_bytes = s.partition_bytes;
    table.compression = state.compression;
    if (!state.slices) {
      table.name = TableNameOf(name);
      table.dictionary = kKeysTable;
      snapshot.tables.push_back(state.fixed ? state.fixed->Snapshot(std::move(table))
                                            : state.rows->Snapshot(std::move(table)));
      continue;
    }
    const std::string prefix = std::string(kSlicesPrefix) + name + "/";
    for (const TimestampMs start : state.slices->TakeDropped()) {
      s.dropped.push_back({snapshot.number, name, start});
    }
    for (const auto& [start, slice] : state.slices->slices()) {
      table.name = prefix + std::to_string(start);
      table.dictionary = table.name + "/keys";
      TableMeta keys_table = table;
      keys_table.name = table.dictionary;
      keys_table.kind = TableKind::kDictionary;
      keys_table.dictionary.clear();
      keys_table.row_bytes = 0;
      snapshot.tables.push_back(slice->keys().Snapshot(std::move(keys_table), snapshot.number));
      PagedTable& accumulators = slice->accumulators();
      accumulators.FitPartitions(static_cast<uint64_t>(accumulators.live_rows()) * table.row_bytes);
      snapshot.tables.push_back(
          std::make_unique<FixedTableSnapshot>(table, accumulators.BeginSnapshot()));
    }
  }
  for (const Impl::DroppedSlice& one : s.dropped) {
    if (s.states.find(one.state_name)->second.slices->Find(one.start) != nullptr) continue;
    snapshot.dropped.push_back(std::string(kSlicesPrefix) + one.state_name + "/" +
                               std::to_string(one.start));
    snapshot.dropped.push_back(snapshot.dropped.back() + "/keys");
  }
  return snapshot;
}

void KeyedState::OnCheckpointComplete(uint64_t snapshot_number) {
  Impl& s = *impl_;
  while (!s.outstanding.empty() && s.outstanding.front() <= snapshot_number) {
    s.outstanding.pop_front();
  }
  while (!s.dropped.empty() && s.dropped.front().snapshot_number <= snapshot_number) {
    s.dropped.pop_front();
  }
  s.keys.OnCheckpointComplete(snapshot_number);
}

void KeyedState::OnCheckpointComplete() {
  if (!impl_->outstanding.empty()) OnCheckpointComplete(impl_->outstanding.front());
}

void KeyedState::OnCheckpointAborted(uint64_t snapshot_number) {
  std::deque<uint64_t>& outstanding = impl_->outstanding;
  outstanding.erase(std::remove(outstanding.begin(), outstanding.end(), snapshot_number),
                    outstanding.end());
  RequireFullSnapshot();
}

void KeyedState::RequireFullSnapshot() {
  Impl& s = *impl_;
  s.keys.table().RequireFullSnapshot();
  s.timers.table().RequireFullSnapshot();
  for (auto& [name, state] : s.states) {
    if (state.fixed) state.fixed->table().RequireFullSnapshot();
    if (state.rows) state.rows->table().RequireFullSnapshot();
    if (!state.slices) continue;
    for (const auto& [start, slice] : state.slices->slices()) {
      slice->keys().table().RequireFullSnapshot();
      slice->accumulators().RequireFullSnapshot();
    }
  }
}

void KeyedState::Maintain() {
  if (impl_->cold) impl_->cold->Flush();
  // Keys often come back: a backlog of a sixteenth of them costs less than releasing and adding
  // again.
  KeyDictionary& keys = impl_->keys;
  const int64_t excess = keys.idle_keys() - kIdleKeysMin - keys.live_keys() / 16;
  if (excess > 0) keys.ReleaseIdle(std::min(excess, kReleasesPerCall));
  if (impl_->NeedsRoom()) impl_->MakeRoom();
}

std::vector<StateRegistration> KeyedState::Registry() const {
  const Impl& s = *impl_;
  std::vector<StateRegistration> registry;
  for (const auto& [name, state] : s.states) {
    const int64_t stored_rows = state.cold != nullptr ? state.cold->stored_rows() : 0;
    registry.push_back(
        {name, state.fingerprint, state.kind, state.meter->bytes(), RowCount(state) + stored_rows});
  }
  if (s.keys.live_keys() > 0) {
    registry.push_back({std::string(kKeysTable), "", TableKind::kDictionary, s.keys.memory_bytes(),
                        s.keys.live_keys()});
  }
  const int64_t timers =
      s.timers.count(TimeDomain::kEventTime) + s.timers.count(TimeDomain::kProcessingTime);
  if (timers > 0) {
    registry.push_back(
        {std::string(kTimersTable), "", TableKind::kTimers, s.timers.memory_bytes(), timers});
  }
  return registry;
}

int64_t KeyedState::memory_bytes() const { return impl_->MemoryBytes(); }

int64_t KeyedState::Impl::MemoryBytes() const {
  int64_t bytes = keys.memory_bytes() + timers.memory_bytes();
  for (const auto& [name, state] : states) bytes += state.meter->bytes();
  return cold ? bytes + cold->memory_bytes() : bytes;
}

Status KeyedState::CheckBudget() const {
  HR_RETURN_IF_ERROR(cold_status());
  // Of a cache the next Maintain() may still bring it down.
  if (impl_->cold && !impl_->over_budget) return Status::Ok();
  const int64_t bytes = impl_->cold ? impl_->UsedBytes() : memory_bytes();
  if (bytes <= impl_->memory_budget_bytes) return Status::Ok();
  const std::vector<StateRegistration> registry = Registry();
  std::string largest;
  if (!registry.empty()) {
    const auto& most = *std::max_element(
        registry.begin(), registry.end(),
        [](const StateRegistration& a, const StateRegistration& b) { return a.bytes < b.bytes; });
    largest = "; largest state '" + most.name + "' holds " + FormatBytes(most.bytes) + " in " +
              std::to_string(most.rows) + " rows";
  }
  return Status::ResourceExhausted(
      "state of " + FormatBytes(bytes) + " exceeds state.memory-budget (" +
      FormatBytes(impl_->memory_budget_bytes) + ")" + largest +
      (impl_->cold ? "; raise it: timers, windows and the store's own tables cannot leave memory"
                   : "; raise it or use a disk backend"));
}

}  // namespace headrace
