#include "headrace/state/paged_table_snapshot.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

namespace headrace {

PagedTableSnapshot::PagedTableSnapshot(std::shared_ptr<PagedTableCore> core, uint64_t epoch,
                                       bool full, bool frozen, uint32_t row_count,
                                       uint32_t partition_rows, int64_t live_rows,
                                       std::vector<uint32_t> changed)
    : core_(std::move(core)),
      epoch_(epoch),
      full_(full),
      frozen_(frozen),
      row_count_(row_count),
      partition_rows_(partition_rows),
      live_rows_(live_rows),
      changed_(std::move(changed)) {}

PagedTableSnapshot::~PagedTableSnapshot() {
  if (core_) core_->Release(/*finished=*/false, /*copies_taken=*/false);
}

uint32_t PagedTableSnapshot::partition_count() const {
  return static_cast<uint32_t>((uint64_t{row_count_} + partition_rows_ - 1) / partition_rows_);
}

const std::vector<uint32_t>& PagedTableSnapshot::ChangedPartitions() const {
  if (!sorted_) {
    sorted_ = true;
    if (full_) {
      changed_.resize(partition_count());
      std::iota(changed_.begin(), changed_.end(), 0);
    } else {
      std::sort(changed_.begin(), changed_.end());
    }
  }
  return changed_;
}

Status PagedTableSnapshot::ReadPartition(uint32_t index, PartitionRows* out) {
  const std::vector<uint32_t>& changed = ChangedPartitions();
  if (!core_ || !std::binary_search(changed.begin(), changed.end(), index)) {
    return Status::Internal("partition " + std::to_string(index) + " is not part of the snapshot");
  }
  if (read_.empty()) read_.resize(partition_count());
  if (read_[index]) {
    return Status::Internal("partition " + std::to_string(index) + " was read twice");
  }
  read_[index] = true;
  ++read_count_;

  out->first_row = index * partition_rows_;
  out->row_count = std::min(partition_rows_, row_count_ - out->first_row);
  const size_t words = (partition_rows_ + 63) / 64;
  out->live.assign(words, 0);
  out->changed.assign(words, 0);
  out->content.resize(static_cast<size_t>(partition_rows_) * core_->row_bytes);
  const uint32_t rows_per_page = core_->rows_per_page;
  for (uint32_t at = 0; at < out->row_count; at += rows_per_page) {
    ReadPage((out->first_row + at) >> core_->page_shift, at, out);
  }
  out->live_count = 0;
  out->changed_count = 0;
  for (size_t word = 0; word < words; ++word) {
    out->live_count += static_cast<uint32_t>(std::popcount(out->live[word]));
    out->changed_count += static_cast<uint32_t>(std::popcount(out->changed[word]));
  }
  return Status::Ok();
}

void PagedTableSnapshot::ReadPage(uint32_t page_index, uint32_t at_row, PartitionRows* out) {
  using Page = PagedTable::Page;
  PagedTableCore& core = *core_;
  const size_t row_bytes = static_cast<size_t>(core.row_bytes);
  Page* copy = nullptr;
  const auto take = [&](const Page* page) {
    // Pages of fewer than 64 rows share a word of the partition; both counts are powers of two.
    for (uint32_t word = 0; 2 * word < core.bit_words; ++word) {
      const uint32_t bit = at_row + word * 64;
      out->live[bit >> 6] |= page->bits()[2 * word] << (bit & 63);
      if (page->epoch == epoch_) {
        out->changed[bit >> 6] |= page->bits()[2 * word + 1] << (bit & 63);
      }
    }
    std::memcpy(out->content.data() + at_row * row_bytes,
                reinterpret_cast<const char*>(page) + core.data_offset,
                core.rows_per_page * row_bytes);
  };
  {
    const std::lock_guard lock(core.mutex);
    Page* page = core.pages[page_index];
    if (page == core.empty_page) return;
    copy = std::exchange(page->preserved, nullptr);
    if (copy == nullptr) {
      // In a newer epoch and nothing preserved: the page was empty at the barrier.
      if (page->epoch > epoch_) return;
      take(page);
      page->saved_epoch = epoch_;
      return;
    }
  }
  take(copy);
  core.FreePage(copy);
  core.Charge(-static_cast<int64_t>(core.page_bytes));
}

void PagedTableSnapshot::Finish() {
  if (!core_) return;
  const bool read = read_count_ == ChangedPartitions().size();
  core_->Release(frozen_ || read, /*copies_taken=*/!frozen_ && read);
  core_.reset();
}

// Null when no row was live at the barrier. REQUIRES: the core's mutex is held.
const PagedTable::Page* PagedTableSnapshot::FrozenPage(uint32_t page_index) const {
  const PagedTable::Page* page = core_->pages[page_index];
  if (page->preserved != nullptr) return page->preserved;
  return page == core_->empty_page || page->epoch > epoch_ ? nullptr : page;
}

void PagedTableSnapshot::ForEachLive(bool changed_only, const RowVisitor& visit) const {
  if (!core_) return;
  const PagedTableCore& core = *core_;
  std::vector<uint64_t> copy((core.page_bytes + 7) / 8);
  const auto* page = reinterpret_cast<const PagedTable::Page*>(copy.data());
  const auto visit_page = [&](uint32_t page_index) {
    {
      const std::lock_guard lock(core_->mutex);
      const PagedTable::Page* frozen = FrozenPage(page_index);
      if (frozen == nullptr || (changed_only && frozen->epoch != epoch_)) return;
      std::memcpy(copy.data(), frozen, core.page_bytes);
    }
    const uint32_t first_row = page_index << core.page_shift;
    for (uint32_t word = 0; 2 * word < core.bit_words; ++word) {
      uint64_t rows = page->bits()[2 * word];
      if (changed_only) rows &= page->bits()[2 * word + 1];
      for (; rows != 0; rows &= rows - 1) {
        const uint32_t in_page = word * 64 + static_cast<uint32_t>(std::countr_zero(rows));
        visit(first_row + in_page,
              reinterpret_cast<const char*>(page) + core.data_offset +
                  static_cast<size_t>(in_page) * static_cast<size_t>(core.row_bytes));
      }
    }
  };
  const uint32_t rows_per_page = core.rows_per_page;
  const uint32_t page_count = (row_count_ + rows_per_page - 1) / rows_per_page;
  const auto per_partition = static_cast<uint32_t>(core.pages_per_partition);
  if (!changed_only || full_) {
    for (uint32_t index = 0; index < page_count; ++index) visit_page(index);
    return;
  }
  for (const uint32_t partition : ChangedPartitions()) {
    const uint32_t end = std::min(page_count, (partition + 1) * per_partition);
    for (uint32_t index = partition * per_partition; index < end; ++index) visit_page(index);
  }
}

bool PagedTableSnapshot::ReadRow(uint32_t row, char* out) const {
  const PagedTableCore& core = *core_;
  if (row >= row_count_) return false;
  const uint32_t in_page = row & (core.rows_per_page - 1);
  const std::lock_guard lock(core_->mutex);
  const PagedTable::Page* page = FrozenPage(row >> core.page_shift);
  if (page == nullptr || !((page->bits()[2 * (in_page >> 6)] >> (in_page & 63)) & 1)) return false;
  const auto row_bytes = static_cast<size_t>(core.row_bytes);
  std::memcpy(out, reinterpret_cast<const char*>(page) + core.data_offset + in_page * row_bytes,
              row_bytes);
  return true;
}

}  // namespace headrace
