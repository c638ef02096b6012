#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "headrace/state/chunked_array.h"
#include "headrace/state/memory_meter.h"

namespace headrace {

class PagedTableSnapshot;
struct PagedTableCore;

/// A growing array of fixed-width rows in 1 KiB pages whose content at a barrier can be read later
/// by another thread while the owner goes on writing.
///
/// BeginSnapshot() is O(1) whatever the size: it bumps the epoch and takes the list of partitions
/// changed since the last one. The first write to a page that the running snapshot still has to
/// save copies that page (counted in copied_bytes()). A row is *live* or not; both kinds of change
/// are remembered per row as dirty bits. A page without a row ever live takes no memory. A
/// *partition* is a run of pages: what a checkpoint compresses and names.
///
/// Why this is free of races: the snapshot thread reads a live page only under the mutex and only
/// while the page's epoch is not newer than the snapshot's; the owner writes a page without the
/// mutex only when the page is in the current epoch, and moves it there under the mutex, saving a
/// copy first where the snapshot still needs one.
///
/// Invariant: at most one snapshot is open. Rows read through a snapshot are those at its
/// BeginSnapshot().
/// The table may be destroyed while its snapshot is open.
/// Threading: owned by one task thread; the open snapshot is used by one other thread.
class PagedTable {
 public:
  /// Behind a barrier nearly each row of a large table costs a page's copy: pages of 4 KiB made the
  /// slowest batch of 4,096 rows three times as long, with the same bytes copied a second.
  static constexpr int kPageBytes = 1024;
  static constexpr int kPagesPerPartition = 64;
  static constexpr uint32_t kPartitionBytes = 64 * 1024;
  /// No partition has more rows, whatever its size.
  static constexpr uint32_t kPartitionRowsMax = 1 << 20;

  /// Rows of a page: the power of two next below kPageBytes / row_bytes, at least 1. `meter`, if
  /// any, is told of all memory as well.
  explicit PagedTable(int row_bytes, int pages_per_partition = kPagesPerPartition,
                      MemoryMeterPtr meter = nullptr);
  ~PagedTable();
  PagedTable(const PagedTable&) = delete;
  PagedTable& operator=(const PagedTable&) = delete;

  int row_bytes() const { return row_bytes_; }
  /// Ids handed to EnsureSize so far; rows beyond were never live.
  uint32_t size() const { return size_; }
  void EnsureSize(uint32_t size) {
    if (size <= size_) return;
    if (size > capacity_) Grow(size);
    size_ = size;
  }

  /// REQUIRES: row < size().
  bool live(uint32_t row) const { return (Bits(row)[0] >> (row & page_mask_ & 63)) & 1; }
  /// True when the row was written or erased since the last barrier. REQUIRES: row < size().
  bool dirty(uint32_t row) const {
    return pages_[row >> page_shift_]->epoch == epoch_ &&
           ((Bits(row)[1] >> (row & page_mask_ & 63)) & 1);
  }
  /// Content of a row, zeroes when it is dead. REQUIRES: row < size().
  const char* Row(uint32_t row) const {
    return reinterpret_cast<const char*>(pages_[row >> page_shift_]) + data_offset_ +
           static_cast<size_t>(row & page_mask_) * row_bytes_;
  }
  /// Makes the row live and dirty and returns it for writing; the pointer is valid until the next
  /// barrier.
  /// REQUIRES: row < size().
  char* MutableRow(uint32_t row) {
    const uint32_t page_index = row >> page_shift_;
    Page* page = pages_[page_index];
    if (__builtin_expect(page->epoch != epoch_, 0)) page = EnterEpoch(page_index);
    const uint32_t in_page = row & page_mask_;
    uint64_t* bits = page->bits() + 2 * (in_page >> 6);
    const uint64_t bit = uint64_t{1} << (in_page & 63);
    if (__builtin_expect((bits[0] & bits[1] & bit) == 0, 0)) {
      live_rows_ += (bits[0] & bit) == 0;
      dirty_rows_ += (bits[1] & bit) == 0;
      bits[0] |= bit;
      bits[1] |= bit;
    }
    return reinterpret_cast<char*>(page) + data_offset_ + static_cast<size_t>(in_page) * row_bytes_;
  }
  /// MutableRow() of each of `rows`. In a table larger than the processor's caches their misses
  /// overlap.
  void MutableRows(const uint32_t* rows, int64_t count, char** out);
  /// Writes `count` neighbours from `first` on, page by page: `content` has row_bytes() of each.
  /// REQUIRES: first + count <= size().
  void WriteRows(uint32_t first, uint32_t count, const char* content);
  /// Makes the row dead (a tombstone in the next delta), zeroes it. A dead row stays as it is.
  /// REQUIRES: row < size().
  void Erase(uint32_t row);

  // ---- For rows that another store holds as well (a row cache) ----

  /// From now on it is known which rows changed since they were loaded.
  void TrackUnsaved() { unsaved_ = std::make_unique<ChunkedArray<uint64_t>>(); }
  /// True when the row was written since LoadRow(), in whatever epoch. REQUIRES: TrackUnsaved(),
  /// live(row).
  bool unsaved(uint32_t row) const {
    return ((Bits(row)[1] >> (row & page_mask_ & 63)) & 1) ||
           ((unsaved_->Get(row >> 6) >> (row & 63)) & 1);
  }
  /// Makes a dead row live for a value that is stored elsewhere: neither dirty nor unsaved.
  /// REQUIRES: TrackUnsaved(), row < size().
  char* LoadRow(uint32_t row);

  int64_t live_rows() const { return live_rows_; }
  int64_t dirty_rows() const { return dirty_rows_; }
  /// Pages, page copies and blocks held for the open snapshot, and what Charge() added.
  int64_t memory_bytes() const;
  /// Bytes of pages copied for snapshots since construction.
  int64_t copied_bytes() const { return copied_bytes_; }

  /// Rows of one partition; row r is in partition r / partition_rows().
  uint32_t partition_rows() const;
  /// What a partition should take when encoded (Z), in bytes. Setting it changes what
  /// FitPartitions() makes.
  uint32_t partition_bytes() const { return partition_bytes_; }
  void SetPartitionBytes(uint32_t bytes) { partition_bytes_ = bytes; }
  /// Cuts the table into partitions of about partition_bytes(), at least a page each, given what
  /// its live rows take when encoded. A table whose next snapshot is not full keeps its partitions
  /// until the size of its rows has changed fourfold; then it is cut anew and the next snapshot is
  /// full. Call it before BeginSnapshot().
  void FitPartitions(uint64_t live_bytes);
  /// Takes over the partitions of a stored table; false when `rows` is not a number of whole pages.
  /// REQUIRES: no snapshot was ever begun.
  bool AdoptPartitions(uint32_t rows);
  /// `frozen`: all rows can be read until it is finished, in any order and any number of times, and
  /// not only changed partitions once. REQUIRES: the previous snapshot was finished or destroyed.
  std::shared_ptr<PagedTableSnapshot> BeginSnapshot(bool frozen = false);
  /// Forgets the dirty bits: the content is what the last stored snapshot holds (after a restore).
  void MarkClean();
  /// Makes the next snapshot full.
  void RequireFullSnapshot();

  /// Number of the current epoch, from 1; BeginSnapshot() ends it.
  uint64_t epoch() const { return epoch_; }
  /// Counts memory that rows point to.
  void Charge(int64_t bytes);
  /// Memory for a row to point to, charged; freed with the table.
  void* AllocateBlock(size_t size_bytes);
  /// Gives it up. Its first eight bytes may change at once, the rest stays as long as the open
  /// snapshot may read it. REQUIRES: from AllocateBlock(size_bytes).
  void RetireBlock(void* block, size_t size_bytes);
  /// The same for a block that was made after the last barrier: no snapshot has seen it.
  void FreeBlock(void* block, size_t size_bytes);
  /// Bytes of blocks that RetireBlock() was given and that are not free yet.
  int64_t retired_block_bytes() const;
  /// Frees malloc()ed memory that rows pointed to (charged as `bytes`), now or, where the open
  /// snapshot may still read it, when that is released.
  void Retire(void* block, int64_t bytes);
  /// `free_row` is called for each live row when table and snapshot are both gone: for rows that
  /// own memory.
  void OwnRowMemory(std::function<void(const char* row)> free_row);

  /// Header of a page; bits (a word live, a word dirty for each 64 rows) and rows follow.
  struct Page {
    uint64_t epoch;        ///< last epoch that wrote it; the dirty bits are that epoch's
    uint64_t saved_epoch;  ///< last snapshot that has read it (guarded by the core's mutex)
    Page* preserved;       ///< copy for the open snapshot (guarded by the core's mutex)
    uint64_t unused;
    uint64_t* bits() { return reinterpret_cast<uint64_t*>(this + 1); }
    const uint64_t* bits() const { return reinterpret_cast<const uint64_t*>(this + 1); }
  };

 private:
  const uint64_t* Bits(uint32_t row) const {
    return pages_[row >> page_shift_]->bits() + 2 * ((row & page_mask_) >> 6);
  }
  void Grow(uint32_t size);
  void FreeHeldBlocks();
  void PrefetchRow(uint32_t row) const;
  void KeepUnsaved(uint32_t page_index, const Page* page);
  Page* EnterEpoch(uint32_t page_index);
  void Cut(int pages_per_partition);

  Page* const* pages_ = nullptr;  // core_->pages.data()
  uint64_t epoch_ = 1;
  uint32_t page_mask_;
  int page_shift_;
  uint32_t data_offset_;
  int row_bytes_;
  uint32_t size_ = 0;
  uint32_t partition_bytes_ = kPartitionBytes;
  uint32_t capacity_ = 0;  // rows for which pages_ has an entry
  int64_t live_rows_ = 0;
  int64_t dirty_rows_ = 0;
  int64_t copied_bytes_ = 0;
  std::vector<uint32_t> dirty_partitions_;  // of the current epoch, unsorted
  // A bit a row: dirty in an epoch before that of its page.
  std::unique_ptr<ChunkedArray<uint64_t>> unsaved_;
  std::shared_ptr<PagedTableCore> core_;
};

}  // namespace headrace
