#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "headrace/state/key_dictionary.h"
#include "headrace/state/paged_table.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// The group-by table of one slice of event time: keys with an index of its own, and one row of
/// accumulators for each. Dropping it frees pages, whatever the number of keys.
/// Threading: owned by one task thread.
class SliceTable {
 public:
  SliceTable(TimestampMs start, int accumulator_bytes, int max_parallelism,
             MemoryMeterPtr meter = nullptr, uint32_t partition_bytes = PagedTable::kPartitionBytes)
      : start_(start),
        keys_(max_parallelism, meter),
        accumulators_(accumulator_bytes, PagedTable::kPagesPerPartition, meter) {
    keys_.table().SetPartitionBytes(partition_bytes);
    accumulators_.SetPartitionBytes(partition_bytes);
  }

  TimestampMs start() const { return start_; }
  KeyDictionary& keys() { return keys_; }
  PagedTable& accumulators() { return accumulators_; }

 private:
  TimestampMs start_;
  KeyDictionary keys_;
  PagedTable accumulators_;
};

/// The slices of one window operator by start time.
/// Threading: owned by one task thread.
class SliceStore {
 public:
  SliceStore(int accumulator_bytes, int max_parallelism, MemoryMeterPtr meter = nullptr);

  SliceTable* Find(TimestampMs start);
  SliceTable* FindOrCreate(TimestampMs start);
  void Drop(TimestampMs start);
  const std::map<TimestampMs, std::unique_ptr<SliceTable>>& slices() const { return slices_; }
  int accumulator_bytes() const { return accumulator_bytes_; }
  /// Of slices made from now on: see PagedTable::partition_bytes().
  void SetPartitionBytes(uint32_t bytes) { partition_bytes_ = bytes; }

  // ---- What KeyedState does with it ----

  /// Starts of slices that were in the last snapshot and are gone now; call once a snapshot, before
  /// the tables are frozen. Slices that are there count as being in this snapshot.
  std::vector<TimestampMs> TakeDropped();
  /// A slice that was loaded from a snapshot: its disappearance will be reported.
  void NoteStored(TimestampMs start) { stored_[start] = true; }

 private:
  int accumulator_bytes_;
  int max_parallelism_;
  MemoryMeterPtr meter_;
  uint32_t partition_bytes_ = PagedTable::kPartitionBytes;
  std::map<TimestampMs, std::unique_ptr<SliceTable>> slices_;
  // Slices in the last snapshot; false: dropped since.
  std::map<TimestampMs, bool> stored_;
};

}  // namespace headrace
