#pragma once

#include <cstdint>
#include <string>

#include "headrace/types/batch.h"

namespace headrace {

/// Where an operator puts what it produces. Room is bounded: check RoomRows() before making rows;
/// when it is 0, keep a cursor and return Progress::kBlocked.
/// Threading: owned by one task thread.
class Output {
 public:
  virtual ~Output() = default;
  /// Rows that may be emitted now; 0 = full. Never more than one batch's worth.
  virtual int64_t RoomRows() const = 0;
  /// Emits a batch. REQUIRES: RoomRows() > 0; a batch larger than the room is taken whole, once.
  virtual void Emit(RecordBatch batch) = 0;
  /// Emits to the side output `tag`; dropped when nobody reads it.
  virtual void EmitSide(const std::string& tag, RecordBatch batch) = 0;
  /// True when somebody reads `tag`.
  virtual bool HasSideReader(const std::string& tag) const = 0;
};

}  // namespace headrace
