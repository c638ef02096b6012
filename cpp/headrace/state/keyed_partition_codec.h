#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/state/cold_key.h"

namespace headrace {

/// Payloads of tables whose rows go by their keys and not by ids (TableKind::kKeyed). On disk
/// (drawn in keyed_partition_codec.cc), so it only ever grows; golden files in
/// tests/cpp/state/golden.

/// Writes one payload row by row. Threading: owned by one thread.
class KeyedPartitionWriter {
 public:
  /// `row_bytes`: of tables of fixed-width values, else 0.
  explicit KeyedPartitionWriter(uint32_t row_bytes) : row_bytes_(row_bytes) {}

  /// No value: a tombstone. REQUIRES: rows ascend by their row keys (cold_key.h); a fixed-width
  /// value has `row_bytes`.
  void Add(std::string_view row_key, std::optional<std::string_view> value);
  void Add(const RowKeyParts& row, std::optional<std::string_view> value);
  uint32_t rows() const { return rows_; }
  /// About what the rows take.
  uint64_t bytes() const { return body_.size(); }
  std::string Finish(bool whole);

 private:
  const uint32_t row_bytes_;
  ByteWriter body_;
  std::string last_key_;
  uint32_t rows_ = 0;
};

/// A row read back. Views point into the payload.
struct StoredKeyedRow {
  std::string_view key;  ///< canonical
  std::string_view ns;
  std::string_view sub_key;
  std::string_view value;
  bool tombstone = false;
};

struct StoredKeyedPartition {
  bool whole = false;
  std::vector<StoredKeyedRow> rows;  ///< no key twice
};

/// kCorruption with the offset when the payload is not one that was written for a table like this.
Result<StoredKeyedPartition> DecodeKeyedPartition(uint32_t row_bytes, std::string_view payload);

/// The payload of a partition that was read: that which it was read from, unless it was changed.
/// REQUIRES: rows in the order in which they were read.
std::string EncodeStoredKeyedPartition(uint32_t row_bytes, const StoredKeyedPartition& partition);

/// Applies a base and its deltas, oldest first; leaves the live rows, in no particular order. The
/// payloads must outlive the result. kCorruption also when the first is not whole.
Result<StoredKeyedPartition> MergeKeyedPartition(uint32_t row_bytes,
                                                 const std::vector<std::string>& payloads);

}  // namespace headrace
