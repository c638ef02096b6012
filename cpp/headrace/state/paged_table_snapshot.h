#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/paged_table_core.h"

namespace headrace {

/// Rows of one partition as they were at the barrier; reusable.
struct PartitionRows {
  uint32_t first_row = 0;
  uint32_t row_count = 0;  ///< positions, live or dead
  uint32_t live_count = 0;
  uint32_t changed_count = 0;
  std::vector<uint64_t> live;     ///< a bit a position
  std::vector<uint64_t> changed;  ///< written or erased in the epoch that the barrier ended
  std::vector<char> content;      ///< row_bytes a position

  bool IsLive(uint32_t i) const { return (live[i >> 6] >> (i & 63)) & 1; }
  bool IsChanged(uint32_t i) const { return (changed[i >> 6] >> (i & 63)) & 1; }
};

/// Calls `visit` with the position of each set bit, ascending.
template <typename Visit>
void ForEachBit(const std::vector<uint64_t>& bits, const Visit& visit) {
  for (size_t word = 0; word < bits.size(); ++word) {
    for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
      visit(static_cast<uint32_t>(word * 64 + static_cast<size_t>(std::countr_zero(left))));
    }
  }
}

/// A PagedTable as it was at a barrier. Destroying it without Finish(), or before every changed
/// partition was read, makes the table's next snapshot full. Of a frozen one rows are read instead
/// of partitions, and Finish() is its owner's word that it read what it needs.
/// Threading: owned by one thread, which need not be the table's.
class PagedTableSnapshot {
 public:
  /// Made by PagedTable::BeginSnapshot(); a null `core` means that nothing changed.
  PagedTableSnapshot(std::shared_ptr<PagedTableCore> core, uint64_t epoch, bool full, bool frozen,
                     uint32_t row_count, uint32_t partition_rows, int64_t live_rows,
                     std::vector<uint32_t> changed);
  ~PagedTableSnapshot();
  PagedTableSnapshot(const PagedTableSnapshot&) = delete;
  PagedTableSnapshot& operator=(const PagedTableSnapshot&) = delete;

  uint64_t epoch() const { return epoch_; }  ///< the one it froze
  bool full() const { return full_; }
  uint32_t partition_rows() const { return partition_rows_; }
  uint32_t partition_count() const;
  int64_t live_rows() const { return live_rows_; }
  /// Ascending; all of them when full.
  const std::vector<uint32_t>& ChangedPartitions() const;
  /// Each changed partition can be read once; anything else is kInternal.
  Status ReadPartition(uint32_t index, PartitionRows* out);
  void Finish();

  /// Live rows in ascending order, all of them or those written in the epoch that the barrier
  /// ended. `content` is valid during the call. None when nothing changed. REQUIRES: frozen, not
  /// finished.
  using RowVisitor = std::function<void(uint32_t row, const char* content)>;
  void ForEachLive(bool changed_only, const RowVisitor& visit) const;
  /// Copies a row; false when it was dead. REQUIRES: frozen, not finished.
  bool ReadRow(uint32_t row, char* out) const;

 private:
  void Sort() const;
  const PagedTable::Page* FrozenPage(uint32_t page_index) const;
  void ReadPage(uint32_t page_index, uint32_t at_row, PartitionRows* out);

  std::shared_ptr<PagedTableCore> core_;
  const uint64_t epoch_;
  const bool full_;
  const bool frozen_;
  const uint32_t row_count_;
  const uint32_t partition_rows_;
  const int64_t live_rows_;
  // Sorted on first use, by the snapshot's thread and not at the barrier.
  mutable bool sorted_ = false;
  mutable std::vector<uint32_t> changed_;
  std::vector<bool> read_;
  uint32_t read_count_ = 0;
};

}  // namespace headrace
