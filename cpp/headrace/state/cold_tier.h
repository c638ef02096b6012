#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/chunked_array.h"
#include "headrace/state/cold_store.h"
#include "headrace/state/cold_table.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/state/key_group.h"

namespace headrace {

/// What lies below the row cache of one KeyedState: the store of rows that left memory, and for
/// each state what it has there (ColdTable).
///
/// Invariants. While a key has an id, memory holds its rows without namespace and sub-key (*plain*
/// rows), and what the store has of them is out of date or gone. Of other rows memory holds some;
/// where it has one it is the newest. A row that was removed is out of the store before its key
/// loses its id and before a view is made.
///
/// A failure of the store sticks: reads answer as if nothing were there, and whoever runs the
/// operator must look at status() before anything it gave is passed on.
/// Threading: owned by one task thread.
class ColdTier {
 public:
  ColdTier(std::unique_ptr<ColdStore> store, KeyDictionary* keys, KeyGroupRange range,
           int max_parallelism);
  ~ColdTier();

  /// Of a state, or neither: of rows that are never evicted (timers).
  ColdTable* AddTable(FixedValueState* fixed, RowState* rows);
  const std::deque<ColdTable>& tables() const { return tables_; }

  const Status& status() const { return status_; }
  void Fail(const Status& status) {
    if (status_.ok()) status_ = status;
  }

  /// Brings the plain rows of new keys into memory.
  void Load(const KeyId* ids, int64_t count);
  /// A barrier came: what was new is not any more.
  void EndEpoch() { ++epoch_; }
  /// True when the store has had plain rows of the key.
  bool InStore(KeyId id) const { return born_.Get(id) == kStored; }
  /// True when the store, or a checkpoint, may have rows of the key.
  bool MayBeElsewhere(KeyId id) const { return born_.Get(id) != epoch_; }

  /// Prefix and canonical bytes of a key, valid until the next call.
  uint64_t KeyOf(KeyId id, std::string_view* canonical);

  // Writes are collected and sorted. A row must not be both removed and evicted before the next
  // flush, except in that order.
  void StageWrite(std::string cold_key, std::string_view value);
  void StageRemoval(std::string cold_key);
  bool removal_staged(const std::string& cold_key) const { return removals_.contains(cold_key); }
  /// Brings what was staged into the store: removals, then writes.
  void Flush();
  /// One row; none also after a failure.
  std::optional<std::string> Get(const std::string& cold_key);
  /// Rows that start with `prefix`, from the first one greater than `after` on.
  void Scan(const std::string& prefix, const std::string* after, const ColdVisitor& visit);
  Status Write(std::span<const ColdWrite> writes) { return store_->Apply(writes); }

  const std::shared_ptr<ColdStore>& store() const { return store_; }
  const KeyGroupRange& range() const { return range_; }
  int max_parallelism() const { return max_parallelism_; }
  /// Of the store, the logs and what is staged.
  int64_t memory_bytes() const;
  /// Of that, what goes with the next flush.
  int64_t staged_bytes() const { return staged_bytes_; }
  /// Rows that were sent to the store since construction.
  int64_t rows_written() const { return rows_written_; }
  /// Of the logs of this epoch together.
  int64_t log_bytes() const { return log_bytes_; }
  void AddLogBytes(int64_t bytes) { log_bytes_ += bytes; }
  /// As RowState::LeaveOutOfImages(), of rows that the table has here.
  void LeaveOutOfImages(uint16_t table, int64_t time_ms) { left_out_until_ms_[table] = time_ms; }
  std::optional<int64_t> left_out_until_ms(uint16_t table) const {
    const auto found = left_out_until_ms_.find(table);
    return found == left_out_until_ms_.end() ? std::nullopt : std::optional(found->second);
  }
  /// Asked where rows are added between two calls of Maintain().
  void set_needs_room(std::function<bool()> needs_room) { needs_room_ = std::move(needs_room); }
  bool NeedsRoom() const { return needs_room_ && needs_room_(); }
  void set_log_bytes_max(int64_t bytes) { log_bytes_max_ = bytes; }
  int64_t log_bytes_max() const { return log_bytes_max_; }

 private:
  static constexpr uint32_t kStored = 0;

  void LoadRun(const KeyId* ids, int64_t count);

  const std::shared_ptr<ColdStore> store_;
  KeyDictionary* const keys_;
  const KeyGroupRange range_;
  const int max_parallelism_;
  Status status_;
  std::deque<ColdTable> tables_;  // in order of their numbers
  uint32_t epoch_ = 1;
  // By id: kStored, or the epoch in which the key came while the store had no plain row of it.
  ChunkedArray<uint32_t> born_;
  std::set<std::string> removals_;
  std::vector<std::pair<std::string, std::string>> writes_;
  int64_t staged_bytes_ = 0;
  int64_t rows_written_ = 0;
  int64_t log_bytes_ = 0;
  int64_t log_bytes_max_ = int64_t{64} << 20;
  std::function<bool()> needs_room_;
  std::map<uint16_t, int64_t> left_out_until_ms_;
  ByteWriter scratch_;
};

}  // namespace headrace
