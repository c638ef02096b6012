#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "headrace/state/key_group.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// A partition of a stored key dictionary, by position.
class StoredKeyPage {
 public:
  struct Entry {
    std::string_view key;  ///< canonical encoding; null data: there is no such key
    uint16_t key_group = 0;
  };

  static Result<std::shared_ptr<const StoredKeyPage>> Read(StoredTable* table, uint32_t index,
                                                           const KeyGroupRange& range);

  uint32_t first_row() const { return first_row_; }
  const std::vector<Entry>& entries() const { return entries_; }
  size_t size_bytes() const { return size_bytes_; }

 private:
  std::vector<std::string> payloads_;  // what the keys point into
  std::vector<Entry> entries_;
  uint32_t first_row_ = 0;
  size_t size_bytes_ = 0;
};
using StoredKeyPagePtr = std::shared_ptr<const StoredKeyPage>;

/// Looks keys up by id in a stored key dictionary, with the pages used last in memory: rows of
/// state follow each other about as their keys do.
/// Threading: owned by one thread.
class StoredKeys {
 public:
  /// `table` must outlive this. Keys outside of `range` are kCorruption.
  StoredKeys(StoredTable* table, KeyGroupRange range, size_t cache_bytes);

  /// The page with key `id`; kCorruption when the dictionary has none, or no such key.
  Result<StoredKeyPagePtr> Find(uint32_t id, StoredKeyPage::Entry* out);

 private:
  Result<StoredKeyPagePtr> Page(uint32_t index);
  Status FindPageRows();

  StoredTable* table_;
  const KeyGroupRange range_;
  const size_t cache_bytes_;
  uint32_t page_rows_ = 0;  // 0 = not known yet
  size_t used_bytes_ = 0;
  std::list<std::pair<uint32_t, StoredKeyPagePtr>> pages_;  // used last in front
  std::unordered_map<uint32_t, decltype(pages_)::iterator> places_;
};

}  // namespace headrace
