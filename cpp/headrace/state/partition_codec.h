#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/state/paged_table_snapshot.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Writes partitions of a table as payloads of checkpoint files. On disk (drawn in
/// partition_codec.cc), so it only ever grows; golden files in tests/cpp/state/golden.
///
/// A *whole* payload holds all live rows; a *delta* the rows written since the last barrier and, as
/// tombstones, those erased.

/// Flags of a payload, and of a row of variable size.
inline constexpr uint8_t kWholePayload = 0x01;
inline constexpr uint8_t kRowTombstone = 0x01;

/// Payload of a table of fixed-width rows, by column of the format: which rows, then their values.
std::string EncodeFixedPartition(const PartitionRows& rows, uint32_t row_bytes, bool whole);

/// Appends the fields of one live row of a table of variable rows.
class RowFieldWriter {
 public:
  virtual ~RowFieldWriter() = default;
  virtual void Append(const char* row, ByteWriter* out) const = 0;
};
std::string EncodeRowPartition(const PartitionRows& rows, uint32_t row_bytes, bool whole,
                               const RowFieldWriter& fields);

/// Fields behind row id and flags, by kind of table.
void AppendDictionaryFields(int key_group, std::string_view canonical_key, ByteWriter* out);
void AppendRowFields(uint32_t key, std::string_view ns, std::string_view sub_key,
                     std::string_view value, ByteWriter* out);
void AppendTimerFields(uint8_t domain, uint32_t key, std::string_view ns, int64_t time,
                       ByteWriter* out);

/// A row read back. Views point into the payload.
struct StoredRow {
  uint32_t row = 0;
  bool tombstone = false;    ///< then nothing else is set
  uint16_t key_group = 0;    ///< dictionary
  uint8_t domain = 0;        ///< timers
  uint32_t key = 0;          ///< rows, timers: id in the dictionary table
  int64_t time = 0;          ///< timers
  std::string_view ns;       ///< rows, timers
  std::string_view sub_key;  ///< rows
  std::string_view value;    ///< rows: value; fixed-width: the row; dictionary: canonical key
};

/// What a payload says before its rows.
struct StoredPartitionHeader {
  bool whole = false;
  uint32_t first_row = 0;
  uint32_t row_count = 0;  ///< positions that the partition had
};

/// What one payload says; rows ascend.
struct StoredPartition : StoredPartitionHeader {
  std::vector<StoredRow> rows;
};

/// kCorruption with the offset when the payload is not one that was written for a table like this.
Result<StoredPartition> DecodePartition(TableKind kind, uint32_t row_bytes,
                                        std::string_view payload);

/// The payload of a partition that was read: that which it was read from, unless it was changed.
/// REQUIRES: rows ascend; tombstones only where it is not whole.
std::string EncodeStoredPartition(TableKind kind, const StoredPartition& partition);

/// Applies a base and its deltas, oldest first; leaves the live rows. The payloads must outlive the
/// result. kCorruption also when the first is not whole.
Result<StoredPartition> MergePartition(TableKind kind, uint32_t row_bytes,
                                       const std::vector<std::string>& payloads);

/// Called with rows in order, some at a time, and once with none for a partition that has none.
/// They and the header are good until it returns; views point into the payloads.
using StoredRowsVisitor =
    std::function<Status(const StoredPartitionHeader&, const StoredRow* rows, int64_t count)>;

/// Visits the live rows that MergePartition() gives, without making a list of them where one
/// payload has them all. Damage may be found behind rows that were visited.
Status VisitPartition(TableKind kind, uint32_t row_bytes, const std::vector<std::string>& payloads,
                      const StoredRowsVisitor& visit);

}  // namespace headrace
