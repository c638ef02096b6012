#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <vector>

#include "headrace/base/spinning_mutex.h"
#include "headrace/state/block_pool.h"
#include "headrace/state/memory_meter.h"
#include "headrace/state/paged_table.h"

namespace headrace {

/// What a PagedTable and its open snapshot share; dies with the later of the two.
///
/// Threading: layout is constant after construction; `pages`, `partitions` and everything below
/// them are guarded by `mutex`, but the owner reads `pages` (which only it changes) without.
struct PagedTableCore {
  using Page = PagedTable::Page;

  PagedTableCore(int row_bytes, int pages_per_partition, MemoryMeterPtr meter);
  ~PagedTableCore();

  Page* AllocatePage() const;  ///< uninitialised
  void FreePage(Page* page) const;
  /// Thread-safe.
  void Charge(int64_t bytes_delta) {
    bytes.fetch_add(bytes_delta, std::memory_order_relaxed);
    if (meter) meter->Add(bytes_delta);
  }
  /// Ends the open snapshot: drops its copies, unless it has taken them one by one, and frees
  /// retired blocks. Called by the snapshot's thread.
  void Release(bool finished, bool copies_taken);

  const int row_bytes;
  int pages_per_partition;  ///< changes between snapshots only; the owner's
  const MemoryMeterPtr meter;
  int page_shift = 0;
  uint32_t rows_per_page = 1;
  uint32_t bit_words = 2;
  uint32_t data_offset = 0;
  size_t page_bytes = 0;
  Page* empty_page = nullptr;  ///< stands for pages without a live row; never written

  std::atomic<int64_t> bytes{0};
  /// Mirrors open_epoch != 0, so that the owner need not lock to learn that nothing is open.
  std::atomic<bool> open{false};

  SpinningMutex mutex;
  std::vector<Page*> pages;
  /// The last two epochs that changed a partition: enough to know whether the open snapshot wants
  /// it.
  struct Partition {
    uint64_t dirty_epoch = 0;
    uint64_t previous_dirty_epoch = 0;
  };
  std::vector<Partition> partitions;
  uint64_t open_epoch = 0;  ///< epoch that the open snapshot froze, 0 when none is open
  uint32_t open_pages = 0;
  bool open_full = false;
  bool next_full = true;
  std::vector<uint32_t> preserved_pages;
  struct Retired {
    void* block;
    int64_t bytes;
  };
  std::deque<Retired> retired;
  std::function<void(const char* row)> free_row;
  /// The owner's; the open snapshot reads its blocks.
  BlockPool blocks;
};

}  // namespace headrace
