#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/state/cold_sweep.h"
#include "headrace/state/row_state.h"
#include "headrace/state/time_to_live.h"

namespace headrace {

/// A RowState whose entries end some time after their last use. What is over is removed where it is
/// met, and by CleanUp(), which goes over all rows little by little: memory is bounded by the rows
/// that live and those of one round. Where rows are in a store, one in five looks goes there.
///
/// Values (single ones, and those of maps): a row each,
///
///   8 bytes  time of the last use in ms, little-endian
///   value
///
/// Lists: rows as list_rows.h says, each element being
///
///   8 bytes  time of the last use in ms, little-endian
///   varint   length, and so many bytes: the element
///
/// An entry is over when its time + ttl_ms is not after the clock. The clock is the Env's wall
/// clock: when it jumps back, entries live longer.
/// Threading: owned by one task thread.
class TtlRows {
 public:
  enum class Layout : uint8_t { kValues, kLists };
  using Entry = std::pair<std::string, std::string>;  // sub-key, value

  /// `sweep`: over the rows in the store of a row cache; null where all are in memory.
  TtlRows(RowState* rows, const TimeToLive& spec, Layout layout, Env* env,
          std::unique_ptr<ColdSweep> sweep = nullptr)
      : rows_(rows), spec_(spec), layout_(layout), env_(env), sweep_(std::move(sweep)) {}

  // ---- kValues ----

  /// False when there is none to be shown.
  bool Get(KeyId key, std::string_view ns, std::string_view sub_key, std::string* value);
  void Put(KeyId key, std::string_view ns, std::string_view sub_key, std::string_view value);
  void Remove(KeyId key, std::string_view ns, std::string_view sub_key);
  /// The next entries after `after` (null: from the start), at least one unless there are no more,
  /// and about `entries_max`. False when nothing comes after them.
  bool ReadPage(KeyId key, std::string_view ns, const std::string* after, size_t entries_max,
                std::deque<Entry>* page);
  /// True when there is no entry to be shown. No use of any.
  bool Empty(KeyId key, std::string_view ns);

  // ---- kLists ----

  std::vector<std::string> ReadList(KeyId key, std::string_view ns);
  void Append(KeyId key, std::string_view ns, const std::vector<std::string>& elements);

  // ---- Both ----

  void Clear(KeyId key, std::string_view ns);
  /// After some accesses, of which `records` records were the reason: looks for rows that are over.
  void CleanUp(int64_t records);
  /// Before a snapshot of the rows.
  void BeforeSnapshot();

 private:
  int64_t now() const { return env_->NowMs(); }
  bool Over(int64_t time_ms, int64_t now_ms) const { return time_ms <= now_ms - spec_.ttl_ms; }
  void PutAt(KeyId key, std::string_view ns, std::string_view sub_key, int64_t time_ms,
             std::string_view value);
  void WriteList(KeyId key, std::string_view ns,
                 const std::vector<std::pair<int64_t, std::string>>& elements);
  using Place = ColdSweep::Place;
  void RemoveOver(int64_t rows);
  void RemoveOverInStore(int64_t rows);
  void RemoveOver(const std::vector<Place>& places, int64_t now_ms);

  RowState* rows_;
  const TimeToLive spec_;
  const Layout layout_;
  Env* env_;
  int64_t accesses_ = 0;    // since the last CleanUp
  uint32_t next_slot_ = 0;  // where CleanUp goes on in memory
  std::unique_ptr<ColdSweep> sweep_;
  int64_t store_looks_ = 0;  // since rows of the store were looked at
};

}  // namespace headrace
