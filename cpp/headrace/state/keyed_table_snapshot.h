#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/cold_buckets.h"
#include "headrace/state/cold_store.h"
#include "headrace/state/epoch_log.h"
#include "headrace/state/key_arena.h"
#include "headrace/state/keyed_partition_codec.h"
#include "headrace/state/paged_table_snapshot.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// What the tables of one subtask with a row cache share at a barrier: the keys that had ids, and
/// the store. Threading: owned by one thread at a time.
struct FrozenKeys {
  ~FrozenKeys() {
    if (keys) keys->Finish();
  }

  std::shared_ptr<PagedTableSnapshot> keys;
  std::shared_ptr<const KeyArena> arena;
  std::shared_ptr<ColdStore> store;
  std::unique_ptr<ColdView> view;   ///< goes before its store
  int64_t rows_per_pass = 1 << 20;  ///< of memory, whose places are listed at once
};

/// One table of a subtask with a row cache at a barrier. A partition is a bucket of prefixes: its
/// changes are the rows that were dirty in memory and those of the epoch's log, its whole image the
/// store's rows with those in memory over them.
///
/// Partitions are read fastest in ascending order.
/// Threading: owned by one thread, which need not be the table's.
class KeyedTableSnapshot final : public TableSnapshot {
 public:
  /// How a row of the frozen pages is to be read.
  enum class Content : uint8_t { kValueById, kBlob, kTimer };
  struct Parts {
    TableMeta meta;
    Content content = Content::kBlob;
    std::shared_ptr<FrozenKeys> keys;
    std::shared_ptr<PagedTableSnapshot> pages;
    ColdBuckets buckets;
    uint16_t table = 0;     ///< number of the table in cold keys
    bool in_store = false;  ///< the store may have rows of it
    EpochLog log;
    std::vector<uint32_t> whole;  ///< buckets whose changes are not listed, ascending
    /// As RowState::LeaveOutOfImages().
    std::optional<int64_t> left_out_until_ms;
    int64_t rows = 0;  ///< of the whole table, about
    uint64_t live_bytes = 0;
  };
  explicit KeyedTableSnapshot(Parts parts);

  const TableMeta& meta() const override { return parts_.meta; }
  bool full() const override { return parts_.pages->full(); }
  uint32_t partition_count() const override { return parts_.buckets.count; }
  const std::vector<uint32_t>& ChangedPartitions() const override;
  Status ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) override;
  uint64_t live_bytes() const override { return parts_.live_bytes; }
  void Finish() override;

 private:
  // Where a row is in the frozen pages.
  struct Place {
    uint64_t prefix;
    uint32_t row;
  };
  // Rows of memory with prefixes in [begin, end), in order of row keys.
  class MemoryRows;

  // List what changed, on first use by the snapshot's thread and not at the barrier.
  void ListChanges() const;
  std::vector<Place> PlacesIn(bool changed_only, uint64_t begin, uint64_t end) const;
  void SortPlaces(std::vector<Place>* places) const;
  std::pair<const Place*, const Place*> Changed(uint32_t bucket) const;
  std::pair<const Place*, const Place*> Live(uint32_t bucket);
  uint64_t PrefixOf(uint32_t row, const char* content) const;
  // False when the row was dead. Views are good until the next call.
  bool ReadRow(uint32_t row, std::string* row_key, std::string_view* value) const;
  bool LeftOut(std::string_view value) const;
  Status EncodeDelta(uint32_t bucket, PartitionImage* out);
  Status EncodeWhole(uint32_t bucket, PartitionImage* out);

  mutable Parts parts_;
  mutable bool listed_ = false;
  mutable std::vector<Place> changed_;  // dirty rows of memory, in order of row keys
  mutable std::vector<uint32_t> partitions_;
  // Live rows of memory with prefixes in [live_begin_, live_end_).
  std::vector<Place> live_;
  uint32_t live_first_ = 0;  // bucket
  uint32_t live_last_ = 0;   // the bucket behind
  mutable std::vector<char> content_;
  mutable ByteWriter key_;
  mutable std::string value_;
};

}  // namespace headrace
