#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/bytes.h"
#include "headrace/base/status.h"
#include "headrace/storage/codec.h"

namespace headrace {

/// What a table of keyed state holds; on disk.
enum class TableKind : uint8_t {
  kDictionary = 1,  ///< row id -> (key group, canonical key bytes)
  kFixedValue = 2,  ///< row id = key id of `dictionary` -> native value of `row_bytes` bytes
  kRows = 3,        ///< slot -> (key id of `dictionary`, namespace, sub-key, encoded value)
  kTimers = 4,      ///< slot -> (key id of `dictionary`, namespace, domain, timestamp)
  kSlice = 5,  ///< row id = id of the slice's own dictionary -> accumulators of `row_bytes` bytes
  /// (canonical key, namespace, sub-key) -> value, of `row_bytes` bytes unless that is 0: rows of
  /// any state and timers where ids come and go with a cache. Partitions are ranges of key group
  /// and hash.
  kKeyed = 6,
  kOperatorState = 7,  ///< in registries only: a list or map of OperatorState, which has no table
};

/// Identity of a table within one keyed operator subtask; goes into the manifest.
struct TableMeta {
  std::string name;  ///< unique in the subtask: "keys", "count", "slices/total/1357000000000"
  TableKind kind = TableKind::kRows;
  std::string state_name;   ///< as the user registered it; several slices share one
  std::string fingerprint;  ///< type of key, sub-key, value; compared at restore
  std::string dictionary;   ///< table whose ids index or appear in the rows; "" for dictionaries
  uint32_t row_bytes = 0;   ///< fixed-width kinds
  uint32_t partition_rows = 0;   ///< rows of each partition but the last; 0: not known
  uint32_t partition_bytes = 0;  ///< Z when it was cut; 0: not known
  /// What the program asked for in the state's descriptor; not on disk.
  std::optional<Compression> compression;
};

/// One partition as the snapshot writer stores it.
struct PartitionImage {
  bool whole = false;         ///< all live rows, else changed rows and tombstones
  uint32_t changed_rows = 0;  ///< dirty rows in it
  uint32_t live_rows = 0;     ///< live rows of the partition after the change
  std::string payload;        ///< format drawn in partition_codec.h; empty when nothing changed
};

/// The frozen view of one table at a barrier, written by one background thread after the task went
/// on.
///
/// Every partition in ChangedPartitions() is read once, in any order; Finish() then releases the
/// table. Destroying it unfinished releases it too: the next snapshot of the table then reports
/// itself full.
class TableSnapshot {
 public:
  virtual ~TableSnapshot() = default;
  virtual const TableMeta& meta() const = 0;
  /// True when no earlier snapshot can be a base (first, after a rescale or an abandoned one):
  /// every partition is written whole.
  virtual bool full() const = 0;
  virtual uint32_t partition_count() const = 0;
  virtual const std::vector<uint32_t>& ChangedPartitions() const = 0;
  /// Reads partition `index`, which must be changed and not yet read; whole when `want_whole`, when
  /// full(), or when a quarter or more of its rows changed.
  virtual Status ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) = 0;
  /// Live bytes of the table (encoded) after this snapshot: the s_i of S = Σ s_i.
  virtual uint64_t live_bytes() const = 0;
  /// Releases the table. When not every changed partition was read this counts as abandoning it.
  virtual void Finish() = 0;
};

/// All tables of one keyed operator subtask at one barrier. Taking it is O(tables), never O(rows).
struct KeyedStateSnapshot {
  /// Counts the snapshots of one KeyedState from 1: for OnCheckpointComplete and
  /// OnCheckpointAborted.
  uint64_t number = 0;
  std::vector<std::unique_ptr<TableSnapshot>> tables;
  /// Names of tables of earlier snapshots that are gone (dropped slices); repeated until a
  /// checkpoint without them is complete.
  std::vector<std::string> dropped;
};

/// Stored partitions of one table of one former subtask, in the order base, delta, delta…
class StoredTable {
 public:
  virtual ~StoredTable() = default;
  virtual const TableMeta& meta() const = 0;
  virtual uint32_t partition_count() const = 0;
  /// Payloads of partition `index`, oldest first; verified by the caller of the store.
  virtual Result<std::vector<std::string>> ReadPartition(uint32_t index) = 0;
};

/// What a subtask restores from: the tables of every former subtask whose key groups overlap with
/// its own.
struct StoredSubtask {
  int former_index = 0;
  std::vector<std::unique_ptr<StoredTable>> tables;
};
struct StoredKeyedState {
  bool same_parallelism = true;  ///< exactly one former subtask with the same range: ids are kept
  std::vector<StoredSubtask> subtasks;
};

}  // namespace headrace
