#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/state/epoch_log.h"
#include "headrace/state/key_dictionary.h"

namespace headrace {

class ColdTier;
class FixedValueState;
class RowState;

/// What one state has below the row cache, and its part of the epoch's log: the changes that a
/// checkpoint could not find in memory. Rows without namespace and sub-key are *plain*.
/// Threading: owned by one task thread.
class ColdTable {
 public:
  ColdTable(ColdTier* tier, uint16_t number, FixedValueState* fixed, RowState* rows);

  // ---- What the state tells ----

  /// A row that was in memory is removed.
  void NoteRemoved(KeyId key, std::string_view ns, std::string_view sub_key);
  /// The same for a row that is never evicted: only checkpoints may have it.
  void NoteRemovedForGood(KeyId key, std::string_view ns, std::string_view sub_key);
  /// A row leaves memory. `unsaved`: the store does not have this value; `dirty`: it is of this
  /// epoch.
  void NoteEvicted(KeyId key, std::string_view ns, std::string_view sub_key, std::string_view value,
                   bool unsaved, bool dirty);

  // ---- Rows that are not plain, and not in memory ----

  /// False when the store has none at all.
  bool has_sub_rows() const { return has_sub_rows_; }
  std::optional<std::string> Get(KeyId key, std::string_view ns, std::string_view sub_key);
  /// A row that is not plain was added to memory: from time to time a call makes room by evicting
  /// such rows, as an operator may add any number of them before the next Maintain().
  void NoteAdded() {
    if (++added_ % kAddedPerCheck == 0) MakeRoom();
  }
  /// Took a row that Get gave into memory.
  void NoteLoaded(size_t value_bytes) { Took(value_bytes); }
  /// Removes a row that is not in memory; false when there was none.
  bool RemoveStored(KeyId key, std::string_view ns, std::string_view sub_key);
  /// Sub-keys in order, those in memory as well where the store has them; `after` null: from the
  /// start.
  using Visitor = std::function<bool(std::string_view sub_key, std::string_view value)>;
  void Walk(KeyId key, std::string_view ns, const std::string* after, const Visitor& visit);
  /// Removes all of a namespace but what is in memory only.
  void Clear(KeyId key, std::string_view ns);

  // ---- What the tier and KeyedState do with it ----

  uint16_t number() const { return number_; }
  bool has_plain_rows() const { return has_plain_rows_; }
  FixedValueState* fixed() const { return fixed_; }
  RowState* rows() const { return rows_; }
  /// A plain row of the store; kCorruption when it is none of this state's.
  Status LoadPlain(KeyId key, std::string_view value);
  /// Rows that a restore put into the store.
  void NoteRestored(int64_t rows, int64_t bytes, bool plain, bool sub_rows);

  /// Rows that are not in memory; of those with sub-keys an upper bound.
  int64_t stored_rows() const { return std::max<int64_t>(stored_rows_, 0); }
  /// About what they take.
  int64_t stored_bytes() const { return std::max<int64_t>(stored_bytes_, 0); }

  /// Partitions of the checkpoint's table, a power of two.
  uint32_t buckets() const { return buckets_; }
  void set_buckets(uint32_t count);
  /// Takes the log of the epoch that ends; `whole`: buckets whose changes it no longer lists.
  EpochLog TakeLog(std::vector<uint32_t>* whole);
  int64_t log_bytes() const { return log_.memory_bytes(); }

 private:
  static constexpr int64_t kRowOverheadBytes = 8;
  static constexpr uint32_t kAddedPerCheck = 1024;

  void MakeRoom();

  void Log(std::string_view row_key, std::optional<std::string_view> value);
  void DropLog();
  void Took(size_t value_bytes) {
    --stored_rows_;
    stored_bytes_ -= kRowOverheadBytes + static_cast<int64_t>(value_bytes);
  }
  std::string RowKey(KeyId key, std::string_view ns, std::string_view sub_key) const;
  std::string ColdKey(KeyId key, std::string_view ns, std::string_view sub_key) const;

  ColdTier* tier_;
  uint16_t number_;
  FixedValueState* fixed_;
  RowState* rows_;
  bool has_plain_rows_ = false;
  bool has_sub_rows_ = false;
  uint32_t added_ = 0;
  int64_t stored_rows_ = 0;
  int64_t stored_bytes_ = 0;
  uint32_t buckets_ = 1;
  EpochLog log_;
  std::vector<bool> whole_buckets_;  // empty: none
};

}  // namespace headrace
