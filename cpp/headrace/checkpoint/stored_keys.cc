#include "headrace/checkpoint/stored_keys.h"

#include <limits>
#include <utility>

#include "headrace/state/partition_codec.h"

namespace headrace {

Result<StoredKeyPagePtr> StoredKeyPage::Read(StoredTable* table, uint32_t index,
                                             const KeyGroupRange& range) {
  auto page = std::make_shared<StoredKeyPage>();
  HR_ASSIGN_OR_RETURN(page->payloads_, table->ReadPartition(index));
  if (page->payloads_.empty()) return StoredKeyPagePtr(std::move(page));
  HR_ASSIGN_OR_RETURN(const StoredPartition partition,
                      MergePartition(table->meta().kind, 0, page->payloads_));
  page->first_row_ = partition.first_row;
  const uint32_t last = partition.rows.empty() ? 0 : partition.rows.back().row + 1;
  page->entries_.resize(partition.rows.empty() ? 0 : last - partition.first_row);
  for (const StoredRow& row : partition.rows) {
    if (!range.Contains(row.key_group)) {
      return Status::Corruption("key id " + std::to_string(row.row) + " is in key group " +
                                std::to_string(row.key_group) + ", outside of its subtask's " +
                                std::to_string(range.first) + " to " + std::to_string(range.last));
    }
    page->entries_[row.row - partition.first_row] = {row.value, row.key_group};
  }
  page->size_bytes_ = page->entries_.size() * sizeof(Entry);
  for (const std::string& payload : page->payloads_) page->size_bytes_ += payload.size();
  return StoredKeyPagePtr(std::move(page));
}

StoredKeys::StoredKeys(StoredTable* table, KeyGroupRange range, size_t cache_bytes)
    : table_(table), range_(range), cache_bytes_(cache_bytes) {}

Result<StoredKeyPagePtr> StoredKeys::Page(uint32_t index) {
  const auto found = places_.find(index);
  if (found != places_.end()) {
    pages_.splice(pages_.begin(), pages_, found->second);
    return pages_.front().second;
  }
  Result<StoredKeyPagePtr> read = StoredKeyPage::Read(table_, index, range_);
  if (!read.ok()) {
    return read.status().WithContext("table '" + table_->meta().name + "', partition " +
                                     std::to_string(index));
  }
  pages_.emplace_front(index, std::move(read).value());
  places_[index] = pages_.begin();
  used_bytes_ += pages_.front().second->size_bytes();
  while (used_bytes_ > cache_bytes_ && pages_.size() > 1) {
    used_bytes_ -= pages_.back().second->size_bytes();
    places_.erase(pages_.back().first);
    pages_.pop_back();
  }
  return pages_.front().second;
}

// Partition i of a table starts at row i times a constant, which is not stored: any but the first
// tells it.
Status StoredKeys::FindPageRows() {
  page_rows_ = std::numeric_limits<uint32_t>::max();
  for (uint32_t index = 1; index < table_->partition_count(); ++index) {
    HR_ASSIGN_OR_RETURN(const StoredKeyPagePtr page, Page(index));
    if (page->entries().empty()) continue;
    page_rows_ = page->first_row() / index;
    break;
  }
  if (page_rows_ > 0) return Status::Ok();
  return Status::Corruption("table '" + table_->meta().name +
                            "': its partitions do not follow each other");
}

Result<StoredKeyPagePtr> StoredKeys::Find(uint32_t id, StoredKeyPage::Entry* out) {
  if (page_rows_ == 0) HR_RETURN_IF_ERROR(FindPageRows());
  const uint32_t index = id / page_rows_;
  if (index < table_->partition_count()) {
    HR_ASSIGN_OR_RETURN(StoredKeyPagePtr page, Page(index));
    const uint32_t at = id - page->first_row();
    if (id >= page->first_row() && at < page->entries().size() &&
        page->entries()[at].key.data() != nullptr) {
      *out = page->entries()[at];
      return page;
    }
  }
  return Status::Corruption("key id " + std::to_string(id) + ", which dictionary '" +
                            table_->meta().name + "' does not have");
}

}  // namespace headrace
