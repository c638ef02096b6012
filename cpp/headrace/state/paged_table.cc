#include "headrace/state/paged_table.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/page_pool.h"
#include "headrace/state/paged_table_core.h"
#include "headrace/state/paged_table_snapshot.h"

namespace headrace {
namespace {

// Below this all of a table is in the second-level cache, or nearly.
constexpr size_t kCachedTableBytes = size_t{1} << 20;
// Each is a miss of the processor's caches, with the owner shut out.
constexpr size_t kCopiesDroppedAtOnce = 64;
// Rows on their way to the caches at once.
constexpr int64_t kRowsAhead = 16;

}  // namespace

PagedTableCore::PagedTableCore(int row_bytes, int pages_per_partition, MemoryMeterPtr meter)
    : row_bytes(row_bytes), pages_per_partition(pages_per_partition), meter(std::move(meter)) {
  HR_CHECK_GT(row_bytes, 0);
  HR_CHECK_GT(pages_per_partition, 0);
  rows_per_page = std::bit_floor(static_cast<uint32_t>(PagedTable::kPageBytes / row_bytes));
  if (rows_per_page == 0) rows_per_page = 1;
  page_shift = std::countr_zero(rows_per_page);
  bit_words = 2 * ((rows_per_page + 63) / 64);
  data_offset = static_cast<uint32_t>(sizeof(Page) + bit_words * sizeof(uint64_t));
  page_bytes = data_offset + static_cast<size_t>(rows_per_page) * row_bytes;
  // One zeroed page serves all tables of common widths; wide rows bring their own.
  alignas(64) static char shared_empty[sizeof(Page) + 2 * 512 + PagedTable::kPageBytes] = {};
  if (page_bytes <= sizeof(shared_empty)) {
    empty_page = reinterpret_cast<Page*>(shared_empty);
  } else {
    empty_page = AllocatePage();
    std::memset(static_cast<void*>(empty_page), 0, page_bytes);
  }
}

PagedTableCore::~PagedTableCore() {
  for (Page* page : pages) {
    if (page == empty_page) continue;
    if (free_row) {
      for (uint32_t row = 0; row < rows_per_page; ++row) {
        if ((page->bits()[2 * (row >> 6)] >> (row & 63)) & 1) {
          free_row(reinterpret_cast<char*>(page) + data_offset +
                   static_cast<size_t>(row) * row_bytes);
        }
      }
    }
    if (page->preserved != nullptr) FreePage(page->preserved);
    FreePage(page);
  }
  for (const Retired& one : retired) std::free(one.block);
  if (page_bytes > sizeof(Page) + 2 * 512 + PagedTable::kPageBytes) FreePage(empty_page);
  if (meter) meter->Add(-bytes.load(std::memory_order_relaxed));
}

PagedTable::Page* PagedTableCore::AllocatePage() const {
  return static_cast<Page*>(PagePool::Global().Allocate(page_bytes));
}

void PagedTableCore::FreePage(Page* page) const { PagePool::Global().Free(page, page_bytes); }

void PagedTableCore::Release(bool finished, bool copies_taken) {
  std::vector<Page*> copies;
  std::deque<Retired> blocks;
  int64_t freed_bytes = 0;
  // In steps, as the owner may be waiting to write; it goes on preserving pages until the last one.
  for (bool closed = false; !closed;) {
    copies.clear();
    {
      const std::lock_guard lock(mutex);
      if (copies_taken) preserved_pages.clear();
      while (!preserved_pages.empty() && copies.size() < kCopiesDroppedAtOnce) {
        Page* copy = std::exchange(pages[preserved_pages.back()]->preserved, nullptr);
        if (copy != nullptr) copies.push_back(copy);
        preserved_pages.pop_back();
      }
      closed = preserved_pages.empty();
      if (closed) {
        blocks.swap(retired);
        if (!finished) next_full = true;
        open_epoch = 0;
        open.store(false, std::memory_order_release);
      }
    }
    for (Page* copy : copies) FreePage(copy);
    freed_bytes += static_cast<int64_t>(copies.size() * page_bytes);
  }
  for (const Retired& one : blocks) {
    std::free(one.block);
    freed_bytes += one.bytes;
  }
  Charge(-freed_bytes);
}

PagedTable::PagedTable(int row_bytes, int pages_per_partition, MemoryMeterPtr meter)
    : row_bytes_(row_bytes),
      core_(std::make_shared<PagedTableCore>(row_bytes, pages_per_partition, std::move(meter))) {
  page_shift_ = core_->page_shift;
  page_mask_ = core_->rows_per_page - 1;
  data_offset_ = core_->data_offset;
}

PagedTable::~PagedTable() = default;

void PagedTable::Grow(uint32_t size) {
  const uint32_t pages = static_cast<uint32_t>((uint64_t{size} + page_mask_) >> page_shift_);
  const std::lock_guard lock(core_->mutex);
  const size_t before = core_->pages.capacity() * sizeof(Page*);
  core_->pages.resize(pages, core_->empty_page);
  const uint32_t per_partition = static_cast<uint32_t>(core_->pages_per_partition);
  core_->partitions.resize((pages + per_partition - 1) / per_partition);
  core_->Charge(static_cast<int64_t>(core_->pages.capacity() * sizeof(Page*) - before));
  pages_ = core_->pages.data();
  const uint64_t capacity = uint64_t{pages} << page_shift_;
  capacity_ = static_cast<uint32_t>(std::min<uint64_t>(capacity, UINT32_MAX));
}

PagedTable::Page* PagedTable::EnterEpoch(uint32_t page_index) {
  PagedTableCore& core = *core_;
  const std::lock_guard lock(core.mutex);
  Page*& page = core.pages[page_index];
  PagedTableCore::Partition& partition = core.partitions[page_index / core.pages_per_partition];
  if (page == core.empty_page) {
    // An open snapshot knows by the page's epoch that it was empty at the barrier.
    page = core.AllocatePage();
    std::memset(static_cast<void*>(page), 0, core.page_bytes);
    core.Charge(static_cast<int64_t>(core.page_bytes));
  } else if (core.open_epoch != 0 && page_index < core.open_pages &&
             page->saved_epoch != core.open_epoch && page->epoch <= core.open_epoch &&
             (core.open_full || partition.dirty_epoch == core.open_epoch ||
              partition.previous_dirty_epoch == core.open_epoch)) {
    Page* copy = core.AllocatePage();
    std::memcpy(static_cast<void*>(copy), page, core.page_bytes);
    page->preserved = copy;
    core.preserved_pages.push_back(page_index);
    core.Charge(static_cast<int64_t>(core.page_bytes));
    copied_bytes_ += static_cast<int64_t>(core.page_bytes);
  }
  if (unsaved_) KeepUnsaved(page_index, page);
  for (uint32_t word = 1; word < core.bit_words; word += 2) page->bits()[word] = 0;
  page->epoch = epoch_;
  if (partition.dirty_epoch != epoch_) {
    partition.previous_dirty_epoch = partition.dirty_epoch;
    partition.dirty_epoch = epoch_;
    dirty_partitions_.push_back(page_index / core.pages_per_partition);
  }
  return page;
}

void PagedTable::PrefetchRow(uint32_t row) const {
  const char* page = reinterpret_cast<const char*>(pages_[row >> page_shift_]);
  __builtin_prefetch(page);
  __builtin_prefetch(page + data_offset_ + static_cast<size_t>(row & page_mask_) * row_bytes_, 1);
}

void PagedTable::MutableRows(const uint32_t* rows, int64_t count, char** out) {
  int64_t next = 0;
  if (core_->pages.size() * core_->page_bytes > kCachedTableBytes) {
    for (; next < std::min(kRowsAhead, count); ++next) PrefetchRow(rows[next]);
    for (int64_t i = 0; next < count; ++i, ++next) {
      PrefetchRow(rows[next]);
      out[i] = MutableRow(rows[i]);
    }
    next -= std::min(kRowsAhead, count);
  }
  for (; next < count; ++next) out[next] = MutableRow(rows[next]);
}

void PagedTable::WriteRows(uint32_t first, uint32_t count, const char* content) {
  const uint32_t end = first + count;
  while (first < end) {
    const uint32_t page_index = first >> page_shift_;
    Page* page = pages_[page_index];
    if (page->epoch != epoch_) page = EnterEpoch(page_index);
    const uint32_t in_page = first & page_mask_;
    const uint32_t of_page = std::min(end - first, page_mask_ + 1 - in_page);
    for (uint32_t row = in_page; row < in_page + of_page;) {
      const uint32_t of_word = std::min(64 - (row & 63), in_page + of_page - row);
      const uint64_t written = (~uint64_t{0} >> (64 - of_word)) << (row & 63);
      uint64_t* bits = page->bits() + 2 * (row >> 6);
      live_rows_ += std::popcount(written & ~bits[0]);
      dirty_rows_ += std::popcount(written & ~bits[1]);
      bits[0] |= written;
      bits[1] |= written;
      row += of_word;
    }
    const size_t bytes = size_t{of_page} * static_cast<size_t>(row_bytes_);
    std::memcpy(reinterpret_cast<char*>(page) + data_offset_ +
                    static_cast<size_t>(in_page) * static_cast<size_t>(row_bytes_),
                content, bytes);
    content += bytes;
    first += of_page;
  }
}

void PagedTable::Erase(uint32_t row) {
  if (!live(row)) return;
  char* content = MutableRow(row);
  std::memset(content, 0, row_bytes_);
  auto* page = const_cast<Page*>(pages_[row >> page_shift_]);
  const uint32_t in_page = row & page_mask_;
  page->bits()[2 * (in_page >> 6)] &= ~(uint64_t{1} << (in_page & 63));
  --live_rows_;
}

// The dirty bits of a page are those of its last epoch; they are about to be forgotten.
void PagedTable::KeepUnsaved(uint32_t page_index, const Page* page) {
  const uint32_t first_row = page_index << page_shift_;
  for (uint32_t word = 0; 2 * word < core_->bit_words; ++word) {
    const uint64_t dirty = page->bits()[2 * word + 1];
    // Pages of fewer than 64 rows share a word.
    if (dirty != 0) (*unsaved_)[(first_row >> 6) + word] |= dirty << (first_row & 63);
  }
}

char* PagedTable::LoadRow(uint32_t row) {
  char* content = MutableRow(row);
  auto* page = const_cast<Page*>(pages_[row >> page_shift_]);
  const uint32_t in_page = row & page_mask_;
  page->bits()[2 * (in_page >> 6) + 1] &= ~(uint64_t{1} << (in_page & 63));
  --dirty_rows_;
  if (uint64_t* unsaved = unsaved_->Find(row >> 6)) *unsaved &= ~(uint64_t{1} << (row & 63));
  return content;
}

int64_t PagedTable::memory_bytes() const { return core_->bytes.load(std::memory_order_relaxed); }

uint32_t PagedTable::partition_rows() const {
  return static_cast<uint32_t>(core_->pages_per_partition) << page_shift_;
}

void PagedTable::FitPartitions(uint64_t live_bytes) {
  if (live_rows_ == 0) return;
  const uint64_t row_bytes = std::max<uint64_t>(live_bytes / static_cast<uint64_t>(live_rows_), 1);
  const uint64_t rows = std::min<uint64_t>(partition_bytes_ / row_bytes, kPartitionRowsMax);
  const int wanted = std::max(static_cast<int>(rows >> page_shift_), 1);
  const std::lock_guard lock(core_->mutex);
  const int current = core_->pages_per_partition;
  const bool outgrown = wanted >= 4 * int64_t{current} && core_->partitions.size() > 1;
  const bool too_large =
      4 * int64_t{wanted} <= current && core_->pages.size() > static_cast<size_t>(wanted);
  if (core_->next_full || outgrown || too_large) Cut(wanted);
}

// REQUIRES: the core's mutex, no open snapshot.
void PagedTable::Cut(int pages_per_partition) {
  HR_CHECK_EQ(core_->open_epoch, 0u);
  if (core_->pages_per_partition == pages_per_partition) return;
  core_->pages_per_partition = pages_per_partition;
  const auto each = static_cast<size_t>(pages_per_partition);
  core_->partitions.assign((core_->pages.size() + each - 1) / each, {});
  // Which partitions changed need not be known: the next snapshot has all.
  dirty_partitions_.clear();
  core_->next_full = true;
}

bool PagedTable::AdoptPartitions(uint32_t rows) {
  const uint32_t rows_per_page = page_mask_ + 1;
  if (rows == 0 || rows % rows_per_page != 0 || rows > kPartitionRowsMax) return false;
  const std::lock_guard lock(core_->mutex);
  Cut(static_cast<int>(rows / rows_per_page));
  return true;
}

std::shared_ptr<PagedTableSnapshot> PagedTable::BeginSnapshot(bool frozen) {
  const std::lock_guard lock(core_->mutex);
  HR_CHECK_EQ(core_->open_epoch, 0u);
  FreeHeldBlocks();
  const bool full = std::exchange(core_->next_full, false);
  std::shared_ptr<PagedTableCore> core;
  if (full || frozen || !dirty_partitions_.empty()) {
    core = core_;
    core_->open_epoch = epoch_;
    core_->open_pages = static_cast<uint32_t>(core_->pages.size());
    core_->open_full = full || frozen;
    core_->open.store(true, std::memory_order_release);
  }
  auto snapshot = std::make_shared<PagedTableSnapshot>(std::move(core), epoch_, full, frozen, size_,
                                                       partition_rows(), live_rows_,
                                                       std::exchange(dirty_partitions_, {}));
  ++epoch_;
  dirty_rows_ = 0;
  return snapshot;
}

void PagedTable::MarkClean() {
  const std::lock_guard lock(core_->mutex);
  core_->next_full = false;
  dirty_partitions_.clear();
  dirty_rows_ = 0;
  ++epoch_;
}

void PagedTable::RequireFullSnapshot() {
  const std::lock_guard lock(core_->mutex);
  core_->next_full = true;
}

void PagedTable::Charge(int64_t bytes) { core_->Charge(bytes); }

void PagedTable::Retire(void* block, int64_t bytes) {
  if (core_->open.load(std::memory_order_acquire)) {
    const std::lock_guard lock(core_->mutex);
    if (core_->open_epoch != 0) {
      core_->retired.push_back({block, bytes});
      return;
    }
  }
  std::free(block);
  core_->Charge(-bytes);
}

void* PagedTable::AllocateBlock(size_t size_bytes) {
  if (core_->blocks.held_bytes() != 0 && !core_->open.load(std::memory_order_acquire)) {
    FreeHeldBlocks();
  }
  core_->Charge(BlockPool::BlockBytes(size_bytes));
  return core_->blocks.Allocate(size_bytes);
}

void PagedTable::RetireBlock(void* block, size_t size_bytes) {
  if (core_->open.load(std::memory_order_acquire)) {
    core_->blocks.Hold(block, size_bytes);
    return;
  }
  FreeBlock(block, size_bytes);
}

void PagedTable::FreeBlock(void* block, size_t size_bytes) {
  core_->Charge(-BlockPool::BlockBytes(size_bytes));
  core_->blocks.Free(block, size_bytes);
}

int64_t PagedTable::retired_block_bytes() const { return core_->blocks.held_bytes(); }

void PagedTable::FreeHeldBlocks() {
  core_->Charge(-core_->blocks.held_bytes());
  core_->blocks.FreeHeld();
}

void PagedTable::OwnRowMemory(std::function<void(const char* row)> free_row) {
  core_->free_row = std::move(free_row);
}

}  // namespace headrace
