// Loading stored tables into a KeyedState.
//
// One former subtask with the same key groups: keys, rows and timers go back under their old ids,
// so the next snapshot may be a delta on what is stored. Otherwise keys of this subtask's groups
// are inserted anew, former subtask by former subtask in order of their old ids, and rows follow
// their keys; all tables start full. With a row cache all but slices goes to the store
// (cold_restore.h).
#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "headrace/state/cold_migration.h"
#include "headrace/state/cold_restore.h"
#include "headrace/state/cold_sweep.h"
#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/keyed_state_impl.h"
#include "headrace/state/keyed_state_migration.h"
#include "headrace/state/partition_codec.h"
#include "headrace/state/restored_keys.h"
#include "headrace/state/row_blob.h"
#include "headrace/state/stored_partitions.h"
#include "headrace/state/timer_row.h"
#include "headrace/types/key_codec.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

// Upper bound of the rows of a partition where the manifest does not say.
constexpr uint64_t kPartitionRowsOfVersion1 = 64 * 1024;

bool IsTimers(const TableMeta& meta) {
  return meta.kind == TableKind::kTimers ||
         (meta.kind == TableKind::kKeyed && meta.name == kTimersTable);
}

Status BadRowBytes(const TableMeta& meta) {
  return Status::Corruption("rows of " + std::to_string(meta.row_bytes) + " bytes");
}

// Visits some rows by one at a time.
template <typename Load>
auto EachOf(const Load& load) {
  return [&load](const StoredRow* rows, int64_t count) -> Status {
    for (int64_t i = 0; i < count; ++i) HR_RETURN_IF_ERROR(load(rows[i]));
    return Status::Ok();
  };
}

}  // namespace

class KeyedStateLoader {
 public:
  KeyedStateLoader(KeyedState::Impl* state, bool keep_ids)
      : state_(*state), keep_ids_(keep_ids), cold_(state, keep_ids) {}

  Status LoadSubtask(StoredSubtask& subtask);
  void Finish();
  static KeyedState::Impl& ImplOf(const KeyedState& state) { return *state.impl_; }

 private:
  // Called with some rows at a time.
  using Visit = std::function<Status(const StoredRow* rows, int64_t count)>;

  // New ids of the keys of one stored dictionary.
  class KeyMap {
   public:
    void Set(uint32_t old_id, KeyId id) {
      if (old_id >= ids_.size()) ids_.resize(old_id + 1, kNoKey);
      ids_[old_id] = id;
    }
    void Set(const uint32_t* old_ids, const KeyId* ids, int64_t count) {
      for (int64_t i = 0; i < count; ++i) Set(old_ids[i], ids[i]);
    }
    // Keys of other subtasks are there but not ours.
    void SetForeign(uint32_t old_id) { Set(old_id, kForeign); }
    Status Find(uint32_t old_id, const TableMeta& meta, uint32_t row, KeyId* id, bool* ours) const {
      *id = old_id < ids_.size() ? ids_[old_id] : kNoKey;
      if (*id == kNoKey) {
        return Status::Corruption("row " + std::to_string(row) + " refers to key id " +
                                  std::to_string(old_id) + ", which dictionary '" +
                                  meta.dictionary + "' does not have");
      }
      *ours = *id != kForeign;
      return Status::Ok();
    }

   private:
    static constexpr KeyId kForeign = kNoKey - 1;
    std::vector<KeyId> ids_;
  };

  // Calls `visit` with all live rows, and `end_partition` before views into its rows go. `target`
  // takes over the stored partitions, or clean_ is false.
  Status ForEachRow(StoredTable& table, PagedTable* target, const Visit& visit,
                    const std::function<Status()>& end_partition = nullptr);
  bool AdoptPartitions(const TableMeta& meta, PagedTable* target) const;
  // A key of another subtask's groups is wrong unless subtasks share what is restored.
  Status CheckForeign(const StoredRow& row) const;
  Status LoadDictionary(StoredTable& table, KeyDictionary* target, KeyMap* map);
  Status LoadFixed(StoredTable& table, const KeyMap& map);
  Status LoadRows(StoredTable& table, const KeyMap& map);
  Status LoadTimers(StoredTable& table, const KeyMap& map);
  Status LoadKeyed(StoredTable& table);
  Status LoadKeyedRow(const StoredKeyedRow& row, NamedState* state);
  Status LoadSlice(StoredTable& table, StoredTable& dictionary);
  Status LoadTable(StoredTable& table, StoredSubtask& subtask, const KeyMap& map);

  KeyedState::Impl& state_;
  const bool keep_ids_;
  ColdRestore cold_;
  bool clean_ = true;        // of the table being loaded: its stored form can be built upon
  bool keys_clean_ = false;  // same for the key dictionary
};

bool KeyedStateLoader::AdoptPartitions(const TableMeta& meta, PagedTable* target) const {
  if (!keep_ids_) return false;
  // Version 1 of the manifest does not say; then all tables were cut like new ones.
  if (meta.partition_rows == 0) return target->partition_bytes() == PagedTable::kPartitionBytes;
  return meta.partition_bytes == target->partition_bytes() &&
         target->AdoptPartitions(meta.partition_rows);
}

Status KeyedStateLoader::ForEachRow(StoredTable& table, PagedTable* target, const Visit& visit,
                                    const std::function<Status()>& end_partition) {
  const TableMeta& meta = table.meta();
  clean_ = AdoptPartitions(meta, target);
  const uint32_t partition_rows = target->partition_rows();
  const uint64_t rows_max = meta.partition_rows == 0
                                ? kPartitionRowsOfVersion1
                                : std::min(meta.partition_rows, PagedTable::kPartitionRowsMax);
  // No row number makes a table larger than its partition count allows.
  const uint64_t rows_end = table.partition_count() * rows_max;
  const auto load = [&](uint32_t index, const std::vector<std::string>& payloads) -> Status {
    const auto rows_of_partition = [&](const StoredPartitionHeader& partition,
                                       const StoredRow* rows, int64_t count) -> Status {
      if (partition.first_row != uint64_t{index} * partition_rows ||
          partition.row_count > partition_rows) {
        clean_ = false;
      }
      if (count == 0) return Status::Ok();
      // They ascend.
      if (rows[count - 1].row >= rows_end) {
        return Status::Corruption("row number " + std::to_string(rows[count - 1].row) +
                                  " out of range");
      }
      return visit(rows, count);
    };
    HR_RETURN_IF_ERROR(VisitPartition(meta.kind, meta.row_bytes, payloads, rows_of_partition));
    return end_partition ? end_partition() : Status::Ok();
  };
  return ForEachPartition(table, load);
}

Status KeyedStateLoader::CheckForeign(const StoredRow& row) const {
  if (!keep_ids_) return Status::Ok();
  return Status::Corruption("key id " + std::to_string(row.row) + " is in key group " +
                            std::to_string(row.key_group) + ", outside of this subtask's " +
                            std::to_string(state_.range.first) + " to " +
                            std::to_string(state_.range.last));
}

Status KeyedStateLoader::LoadDictionary(StoredTable& table, KeyDictionary* target, KeyMap* map) {
  RestoredKeys keys(
      target, state_.max_parallelism, keep_ids_,
      [map](const uint32_t* rows, const KeyId* ids, int64_t count) { map->Set(rows, ids, count); });
  int64_t added = 0;
  const auto visit = [&](const StoredRow* rows, int64_t count) -> Status {
    for (const StoredRow* row = rows; row < rows + count; ++row) {
      if (!state_.range.Contains(row->key_group)) {
        HR_RETURN_IF_ERROR(CheckForeign(*row));
        map->SetForeign(row->row);
        continue;
      }
      HR_RETURN_IF_ERROR(keys.Add(row->row, row->value, row->key_group));
      ++added;
    }
    return Status::Ok();
  };
  bool first = true;
  const auto end_partition = [&] {
    // Partitions have about as many keys each.
    if (std::exchange(first, false)) keys.Expect(added * table.partition_count());
    return keys.Flush();
  };
  return ForEachRow(table, &target->table(), visit, end_partition);
}

Status KeyedStateLoader::LoadFixed(StoredTable& table, const KeyMap& map) {
  const TableMeta& meta = table.meta();
  if (meta.row_bytes == 0 || meta.row_bytes > KeyedState::Impl::kAccumulatorBytesMax) {
    return BadRowBytes(meta);
  }
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      state_.FindOrMake(meta.state_name, meta.fingerprint, TableKind::kFixedValue,
                                        static_cast<int>(meta.row_bytes)));
  state->restored = true;
  FixedValueState& fixed = *state->fixed;
  const auto load = [&](const StoredRow* rows, int64_t count) {
    // Ids that follow each other: their values lie one behind the other, as they are stored.
    KeyId first = 0;
    uint32_t run = 0;
    const char* values = nullptr;
    for (const StoredRow* row = rows; row < rows + count; ++row) {
      KeyId id = kNoKey;
      bool ours = false;
      HR_RETURN_IF_ERROR(map.Find(row->row, meta, row->row, &id, &ours));
      const bool next = ours && run > 0 && id == first + run &&
                        row->value.data() == values + size_t{run} * meta.row_bytes;
      if (next) {
        ++run;
        continue;
      }
      fixed.PutRun(first, run, values);
      first = id;
      run = ours ? 1 : 0;
      values = row->value.data();
    }
    fixed.PutRun(first, run, values);
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, &fixed.table(), load));
  if (clean_) fixed.table().MarkClean();
  return Status::Ok();
}

Status KeyedStateLoader::LoadRows(StoredTable& table, const KeyMap& map) {
  const TableMeta& meta = table.meta();
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      state_.FindOrMake(meta.state_name, meta.fingerprint, TableKind::kRows, 0));
  state->restored = true;
  RowState& rows = *state->rows;
  const auto load = [&](const StoredRow& row) {
    KeyId id = kNoKey;
    bool ours = false;
    HR_RETURN_IF_ERROR(map.Find(row.key, meta, row.row, &id, &ours));
    if (keep_ids_) return rows.RestoreRow(row.row, id, row.ns, row.sub_key, row.value);
    if (ours) rows.Put(id, row.ns, row.sub_key, row.value);
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, &rows.table(), EachOf(load)));
  rows.FinishRestore(clean_);
  return Status::Ok();
}

Status KeyedStateLoader::LoadTimers(StoredTable& table, const KeyMap& map) {
  const TableMeta& meta = table.meta();
  TimerService& timers = state_.timers;
  const auto load = [&](const StoredRow& row) {
    KeyId id = kNoKey;
    bool ours = false;
    HR_RETURN_IF_ERROR(map.Find(row.key, meta, row.row, &id, &ours));
    const auto domain = static_cast<TimeDomain>(row.domain);
    if (keep_ids_) return timers.RestoreTimer(row.row, domain, id, row.ns, row.time);
    if (ours) timers.Register(domain, id, row.ns, row.time);
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, &timers.table(), EachOf(load)));
  timers.FinishRestore(clean_);
  return Status::Ok();
}

// Rows of a state that had a row cache: their ids are new.
Status KeyedStateLoader::LoadKeyed(StoredTable& table) {
  const TableMeta& meta = table.meta();
  NamedState* state = nullptr;
  if (meta.name != kTimersTable) {
    const bool fixed = meta.row_bytes != 0;
    if (meta.row_bytes > KeyedState::Impl::kAccumulatorBytesMax) return BadRowBytes(meta);
    HR_ASSIGN_OR_RETURN(state, state_.FindOrMake(meta.state_name, meta.fingerprint,
                                                 fixed ? TableKind::kFixedValue : TableKind::kRows,
                                                 static_cast<int>(meta.row_bytes)));
    state->restored = true;
  }
  const auto load = [&](uint32_t, const std::vector<std::string>& payloads) -> Status {
    HR_ASSIGN_OR_RETURN(const StoredKeyedPartition partition,
                        MergeKeyedPartition(meta.row_bytes, payloads));
    for (const StoredKeyedRow& row : partition.rows) {
      HR_RETURN_IF_ERROR(LoadKeyedRow(row, state));
    }
    return Status::Ok();
  };
  return ForEachPartition(table, load);
}

// `state` null: a timer.
Status KeyedStateLoader::LoadKeyedRow(const StoredKeyedRow& row, NamedState* state) {
  HR_RETURN_IF_ERROR(CheckValue(row.key));
  const int group = headrace::KeyGroupOf(row.key, state_.max_parallelism);
  if (!state_.range.Contains(group)) return Status::Ok();
  HR_ASSIGN_OR_RETURN(const KeyId id, state_.keys.AdoptKey(row.key, group));
  uint8_t domain = 0;
  TimestampMs time = 0;
  if (state == nullptr) {
    HR_RETURN_IF_ERROR(ParseTimerSubKey(row.key, row.sub_key, &domain, &time));
    state_.timers.Register(static_cast<TimeDomain>(domain), id, row.ns, time);
  } else if (state->fixed) {
    std::memcpy(state->fixed->MutableRow(id), row.value.data(), row.value.size());
  } else {
    state->rows->Put(id, row.ns, row.sub_key, row.value);
  }
  return Status::Ok();
}

Status KeyedStateLoader::LoadSlice(StoredTable& table, StoredTable& dictionary) {
  const TableMeta& meta = table.meta();
  const std::string prefix = std::string(kSlicesPrefix) + meta.state_name + "/";
  TimestampMs start = 0;
  const char* begin = meta.name.data() + std::min(prefix.size(), meta.name.size());
  const char* end = meta.name.data() + meta.name.size();
  const auto parsed = std::from_chars(begin, end, start);
  if (!meta.name.starts_with(prefix) || parsed.ec != std::errc() || parsed.ptr != end) {
    return Status::Corruption("no slice of state '" + meta.state_name + "' has this name");
  }
  if (meta.row_bytes == 0 || meta.row_bytes > KeyedState::Impl::kAccumulatorBytesMax)
    return BadRowBytes(meta);
  HR_ASSIGN_OR_RETURN(NamedState * state,
                      state_.FindOrMake(meta.state_name, meta.fingerprint, TableKind::kSlice,
                                        static_cast<int>(meta.row_bytes)));
  state->restored = true;
  const bool is_new = state->slices->Find(start) == nullptr;
  SliceTable* slice = state->slices->FindOrCreate(start);
  KeyMap map;
  const Status keys_loaded = LoadDictionary(dictionary, &slice->keys(), &map);
  if (!keys_loaded.ok()) return keys_loaded.WithContext("table '" + dictionary.meta().name + "'");
  if (!keep_ids_ && is_new && slice->keys().live_keys() == 0) {
    state->slices->Drop(start);
    return Status::Ok();
  }
  slice->keys().FinishRestore(clean_);
  PagedTable& accumulators = slice->accumulators();
  accumulators.EnsureSize(slice->keys().size());
  const auto load = [&](const StoredRow& row) {
    KeyId id = kNoKey;
    bool ours = false;
    HR_RETURN_IF_ERROR(map.Find(row.row, meta, row.row, &id, &ours));
    if (ours) std::memcpy(accumulators.MutableRow(id), row.value.data(), row.value.size());
    return Status::Ok();
  };
  HR_RETURN_IF_ERROR(ForEachRow(table, &accumulators, EachOf(load)));
  if (clean_) accumulators.MarkClean();
  if (keep_ids_) state->slices->NoteStored(start);
  return Status::Ok();
}

Status KeyedStateLoader::LoadTable(StoredTable& table, StoredSubtask& subtask, const KeyMap& map) {
  const TableMeta& meta = table.meta();
  if (meta.kind == TableKind::kDictionary) return Status::Ok();
  if (meta.kind == TableKind::kSlice) {
    for (const auto& other : subtask.tables) {
      if (other->meta().kind == TableKind::kDictionary && other->meta().name == meta.dictionary) {
        return LoadSlice(table, *other);
      }
    }
    return Status::Corruption("its dictionary '" + meta.dictionary + "' is missing");
  }
  if (state_.cold) return cold_.LoadTable(table);
  if (meta.kind == TableKind::kKeyed) return LoadKeyed(table);
  if (meta.dictionary != kKeysTable) {
    return Status::Corruption("unknown dictionary '" + meta.dictionary + "'");
  }
  switch (meta.kind) {
    case TableKind::kFixedValue:
      return LoadFixed(table, map);
    case TableKind::kRows:
      return LoadRows(table, map);
    case TableKind::kTimers:
      return LoadTimers(table, map);
    default:
      return Status::Corruption("unknown kind of table " +
                                std::to_string(static_cast<int>(meta.kind)));
  }
}

Status KeyedStateLoader::LoadSubtask(StoredSubtask& subtask) {
  KeyMap map;
  const auto context = [&](const Status& status, const TableMeta& meta) {
    return status.WithContext("table '" + meta.name + "' of former subtask " +
                              std::to_string(subtask.former_index));
  };
  for (const auto& table : subtask.tables) {
    if (table->meta().kind != TableKind::kDictionary || table->meta().name != kKeysTable) continue;
    const Status status =
        state_.cold ? cold_.LoadKeys(*table) : LoadDictionary(*table, &state_.keys, &map);
    if (!status.ok()) return context(status, table->meta());
    keys_clean_ = clean_;
  }
  // Timers last: they bring their keys into a row cache, and these bring their rows.
  for (const bool timers : {false, true}) {
    for (const auto& table : subtask.tables) {
      if (IsTimers(table->meta()) != timers) continue;
      const Status status = LoadTable(*table, subtask, map);
      if (!status.ok()) return context(status, table->meta());
    }
  }
  cold_.EndSubtask();
  return Status::Ok();
}

void KeyedStateLoader::Finish() { state_.keys.FinishRestore(keys_clean_); }

Status KeyedState::Restore(StoredKeyedState stored) {
  if (impl_->keys.size() != 0) {
    return Status::FailedPrecondition("keyed state is restored after it was used");
  }
  std::sort(stored.subtasks.begin(), stored.subtasks.end(),
            [](const StoredSubtask& a, const StoredSubtask& b) {
              return a.former_index < b.former_index;
            });
  KeyedStateLoader loader(impl_.get(), stored.same_parallelism && stored.subtasks.size() == 1);
  for (StoredSubtask& subtask : stored.subtasks) HR_RETURN_IF_ERROR(loader.LoadSubtask(subtask));
  loader.Finish();
  return Status::Ok();
}

// ---- States whose type the program has changed since ----

UnclaimedState FindUnclaimed(const KeyedState& state, std::string_view name) {
  const auto& states = KeyedStateLoader::ImplOf(state).states;
  const auto found = states.find(name);
  if (found == states.end() || found->second.claimed || !found->second.restored) return {};
  return {found->second.fingerprint, found->second.kind};
}

namespace {

// Plain rows in memory, taken out of it; those of keys with timers are there already.
using TakenRows = std::vector<std::pair<KeyId, std::string>>;

Status TakeRows(RowState* rows, const RowMigration& migrate, TakenRows* taken) {
  const PagedTable& table = rows->table();
  ByteWriter migrated;
  for (uint32_t slot = 0; slot < table.size(); ++slot) {
    if (!table.live(slot)) continue;
    const RowBlob* row = *reinterpret_cast<const RowBlob* const*>(table.Row(slot));
    if (!row->ns().empty() || !row->sub_key().empty()) continue;
    migrated.Clear();
    HR_RETURN_IF_ERROR(migrate(row->value(), &migrated));
    taken->emplace_back(row->key, migrated.view());
    rows->EvictPlain(row->key);
  }
  return Status::Ok();
}

Status PutBack(ColdTable* cold, const TakenRows& taken) {
  for (const auto& [key, value] : taken) HR_RETURN_IF_ERROR(cold->LoadPlain(key, value));
  return Status::Ok();
}

Status MigrateRowsInStore(ColdTier* tier, NamedState* state, const RowMigration& migrate) {
  TakenRows taken;
  HR_RETURN_IF_ERROR(TakeRows(state->rows.get(), migrate, &taken));
  HR_RETURN_IF_ERROR(MigrateStoredRows(tier, state->cold, migrate));
  return PutBack(state->cold, taken);
}

Status MigrateRowsInMemory(RowState* rows, const RowMigration& migrate) {
  const PagedTable& table = rows->table();
  ByteWriter migrated;
  for (uint32_t slot = 0; slot < table.size(); ++slot) {
    if (!table.live(slot)) continue;
    const RowBlob* row = *reinterpret_cast<const RowBlob* const*>(table.Row(slot));
    migrated.Clear();
    HR_RETURN_IF_ERROR(migrate(row->value(), &migrated));
    if (migrated.view() == row->value()) continue;
    // The write may free the row.
    const std::string ns(row->ns());
    const std::string sub_key(row->sub_key());
    rows->Put(row->key, ns, sub_key, migrated.view());
  }
  return Status::Ok();
}

}  // namespace

Status MigrateRows(KeyedState* state, std::string_view name, std::string_view fingerprint,
                   const RowMigration& migrate) {
  auto& impl = KeyedStateLoader::ImplOf(*state);
  NamedState& named = impl.states.find(name)->second;
  const Status migrated = named.cold != nullptr
                              ? MigrateRowsInStore(impl.cold.get(), &named, migrate)
                              : MigrateRowsInMemory(named.rows.get(), migrate);
  HR_RETURN_IF_ERROR(migrated.WithContext("state '" + std::string(name) + "'"));
  named.rows->table().RequireFullSnapshot();
  named.fingerprint = fingerprint;
  return Status::Ok();
}

Status MigrateFixed(KeyedState* state, std::string_view name, std::string_view fingerprint,
                    int value_bytes, Widening widen) {
  auto& impl = KeyedStateLoader::ImplOf(*state);
  NamedState& named = impl.states.find(name)->second;
  named.fingerprint = fingerprint;
  named.row_bytes = value_bytes;
  // A table that is new is full at its next snapshot.
  if (named.cold == nullptr) {
    const std::unique_ptr<FixedValueState> former = std::move(named.fixed);
    named.fixed = std::make_unique<FixedValueState>(&impl.keys, value_bytes, named.meter);
    named.fixed->table().SetPartitionBytes(impl.partition_bytes);
    for (KeyId key = 0; key < former->table().size(); ++key) {
      if (!former->Has(key)) continue;
      widen(former->table().Row(key), named.fixed->MutableRow(key));
      former->Clear(key);
    }
    return Status::Ok();
  }
  FixedValueState* fixed = named.fixed.get();
  const auto former_bytes = static_cast<size_t>(fixed->table().row_bytes());
  std::string wide(static_cast<size_t>(value_bytes), '\0');
  TakenRows taken;
  for (KeyId key = 0; key < fixed->table().size(); ++key) {
    if (!fixed->Has(key)) continue;
    widen(fixed->table().Row(key), wide.data());
    taken.emplace_back(key, wide);
    fixed->Evict(key);
  }
  // The store knows it by its address.
  std::destroy_at(fixed);
  std::construct_at(fixed, &impl.keys, value_bytes, named.meter);
  fixed->table().SetPartitionBytes(impl.partition_bytes);
  fixed->CacheRows(named.cold);
  const auto migrate = [&](std::string_view value, ByteWriter* out) {
    if (value.size() != former_bytes) {
      return Status::Corruption("the local store of rows gave a value of " +
                                std::to_string(value.size()) + " bytes");
    }
    widen(value.data(), wide.data());
    out->Raw(wide);
    return Status::Ok();
  };
  const Status migrated = MigrateStoredRows(impl.cold.get(), named.cold, migrate);
  HR_RETURN_IF_ERROR(migrated.WithContext("state '" + std::string(name) + "'"));
  return PutBack(named.cold, taken);
}

void RenameType(KeyedState* state, std::string_view name, std::string_view fingerprint) {
  KeyedStateLoader::ImplOf(*state).states.find(name)->second.fingerprint = fingerprint;
  // What is stored says the former type.
  state->RequireFullSnapshot();
}

// ---- Who else looks inside ----

std::unique_ptr<ColdSweep> ColdSweep::Make(KeyedState* state, const RowState* rows) {
  auto& impl = KeyedStateLoader::ImplOf(*state);
  if (!impl.cold) return nullptr;
  for (const ColdTable& table : impl.cold->tables()) {
    if (table.rows() == rows) {
      return std::make_unique<ColdSweep>(impl.cold.get(), &table, &impl.keys);
    }
  }
  return nullptr;
}

}  // namespace headrace
