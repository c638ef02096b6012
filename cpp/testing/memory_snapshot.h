#pragma once

#include <map>
#include <string>
#include <vector>

#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Keyed state in memory as a checkpoint directory would hold it: bases and deltas of every
/// partition.
///
/// Snapshots are added one on the other, so that a test also restores from deltas.
/// Threading: owned by one thread.
class MemorySnapshot {
 public:
  /// Reads every changed partition and finishes the tables. A delta without a base is kInternal.
  Status Add(KeyedStateSnapshot snapshot);
  /// What a subtask of the same range restores from.
  StoredKeyedState Stored() const;
  /// Tables that hold anything.
  size_t tables() const { return tables_.size(); }

 private:
  struct Table {
    TableMeta meta;
    std::vector<std::vector<std::string>> partitions;  // payloads, oldest first
  };
  std::map<std::string, Table> tables_;
};

}  // namespace headrace
