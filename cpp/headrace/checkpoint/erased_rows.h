#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/base/status.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Rows of one stored payload that go, by their positions among its rows; ascending.
struct ErasedRows {
  TableKind kind = TableKind::kRows;
  uint32_t row_bytes = 0;
  std::vector<uint32_t> ordinals;
};

/// The payload without these rows: a base has them no more, and in a delta of rows that go by ids a
/// tombstone stands for each, so that what it covered stays covered.
Result<std::string> WithoutRows(const ErasedRows& erased, std::string_view payload);

/// What a checkpoint loses, as its manifest counts it.
struct ErasedCount {
  int64_t rows = 0;
  int64_t bytes = 0;  ///< about: encoded
};

/// Finds the rows of one key in all that the checkpoints of a directory store of one partition.
///
/// Rows go by the key, or by an id that the dictionary of the same checkpoint gives it. A row that
/// no checkpoint shows any more, because a later delta erased it or gave its place to another id,
/// may have been the key's: ids are used again. It goes too, which changes no checkpoint.
/// Threading: owned by one thread.
class PartitionErasure {
 public:
  /// File and offset of a block.
  using Place = std::pair<std::string, uint64_t>;
  using Payloads = std::map<Place, std::string>;

  PartitionErasure(TableKind kind, uint32_t row_bytes, std::string_view key)
      : kind_(kind), row_bytes_(row_bytes), key_(key) {}

  /// The chain of one checkpoint, oldest first, whose payloads are in `payloads`; `id`: of the key
  /// in that checkpoint. Returns what it loses. kCorruption when a payload is malformed.
  Result<ErasedCount> AddChain(const std::vector<Place>& chain, const Payloads& payloads,
                               std::optional<uint32_t> id);
  /// The blocks that lose rows.
  std::map<Place, ErasedRows> Finish() const;

 private:
  // Of a row, over all checkpoints; a larger one wins.
  enum class Verdict : uint8_t { kCovered = 0, kErased = 1, kKept = 2 };
  using Verdicts = std::vector<Verdict>;

  Result<ErasedCount> AddById(const std::vector<Place>& chain, const Payloads& payloads,
                              std::optional<uint32_t> id);
  Result<ErasedCount> AddDictionary(const std::vector<Place>& chain, const Payloads& payloads);
  Result<ErasedCount> AddKeyed(const std::vector<Place>& chain, const Payloads& payloads);
  Verdicts& VerdictsOf(const Place& place, size_t rows);

  const TableKind kind_;
  const uint32_t row_bytes_;
  const std::string_view key_;
  std::map<Place, Verdicts> verdicts_;
};

}  // namespace headrace
