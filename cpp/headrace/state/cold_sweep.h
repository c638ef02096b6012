#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/cold_tier.h"

namespace headrace {

class KeyedState;
class RowState;

/// Goes over the rows that one state has in the store of a row cache, a few at a time, and around
/// at the end: what was there when a round began is met in it.
/// Threading: owned by one task thread.
class ColdSweep {
 public:
  /// Null where all rows are in memory.
  static std::unique_ptr<ColdSweep> Make(KeyedState* state, const RowState* rows);

  ColdSweep(ColdTier* tier, const ColdTable* table, KeyDictionary* keys)
      : tier_(tier), table_(table), keys_(keys) {}

  /// False when the state has no row in the store.
  bool any() const { return table_->stored_rows() > 0; }
  /// A row of the store. Its key was taken into memory, which may have a newer form of the row, or
  /// know that it is gone.
  struct Place {
    KeyId key;
    std::string ns;
    std::string sub_key;
  };
  /// Looks at up to `rows` rows of the store, those of other states too; where those are that
  /// `wanted` is true for.
  using Wanted = std::function<bool(std::string_view value)>;
  std::vector<Place> Next(int64_t rows, const Wanted& wanted);
  /// See RowState::LeaveOutOfImages().
  void LeaveOutOfImages(int64_t time_ms) { tier_->LeaveOutOfImages(table_->number(), time_ms); }

 private:
  ColdTier* const tier_;
  const ColdTable* const table_;
  KeyDictionary* const keys_;
  std::string after_;  // the last key of the store that was looked at; "" = the next round begins
};

}  // namespace headrace
