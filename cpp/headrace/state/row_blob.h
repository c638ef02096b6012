#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "headrace/state/paged_table.h"

namespace headrace {

/// A row of RowState in one block of memory: header, namespace, sub-key, value. Its bytes are
/// constant once a snapshot may see it, that is from the barrier after `epoch` on; only `epoch`,
/// which no snapshot reads, is overwritten when the block is given up.
struct RowBlob {
  static constexpr uint64_t kLoaded = uint64_t{1} << 63;

  /// Of the table, when it was made; with kLoaded where another store has the value.
  uint64_t epoch;
  uint32_t key;
  uint32_t ns_bytes;
  uint32_t sub_key_bytes;
  uint32_t value_bytes;

  std::string_view ns() const { return {data(), ns_bytes}; }
  std::string_view sub_key() const { return {data() + ns_bytes, sub_key_bytes}; }
  std::string_view value() const { return {data() + ns_bytes + sub_key_bytes, value_bytes}; }
  /// False when an open snapshot may read it. `current`: the table's epoch.
  bool unseen(uint64_t current) const { return (epoch & ~kLoaded) == current; }
  char* mutable_value() { return reinterpret_cast<char*>(this + 1) + ns_bytes + sub_key_bytes; }
  /// About what the row takes when encoded.
  int64_t encoded_bytes() const {
    return 8 + int64_t{ns_bytes} + int64_t{sub_key_bytes} + int64_t{value_bytes};
  }
  /// Size of its block.
  size_t block_bytes() const {
    return sizeof(RowBlob) + size_t{ns_bytes} + sub_key_bytes + value_bytes;
  }

  /// A row in a block of `table`.
  static RowBlob* Make(PagedTable* table, uint32_t key, std::string_view ns,
                       std::string_view sub_key, std::string_view value);

 private:
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
};

}  // namespace headrace
