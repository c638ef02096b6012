#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "headrace/state/keyed_state.h"

namespace headrace::testing {

/// Keeps what a checkpoint writer would have stored of one keyed subtask: for each table and
/// partition the last whole payload and the deltas after it.
class SnapshotStore {
 public:
  struct Table {
    TableMeta meta;
    uint32_t partitions = 0;
    std::map<uint32_t, std::vector<std::string>> payloads;
  };

  /// Reads and finishes every table; `want_whole` asks for bases.
  Status Write(KeyedStateSnapshot snapshot, bool want_whole = false) {
    for (const std::string& name : snapshot.dropped) tables_.erase(name);
    std::erase_if(tables_, [&snapshot](const auto& known) {
      return std::none_of(
          snapshot.tables.begin(), snapshot.tables.end(),
          [&known](const auto& table) { return table->meta().name == known.first; });
    });
    for (const auto& table : snapshot.tables) HR_RETURN_IF_ERROR(Write(*table, want_whole));
    return Status::Ok();
  }

  Status Write(TableSnapshot& snapshot, bool want_whole) {
    Table& table = tables_[snapshot.meta().name];
    if (snapshot.full()) table.payloads.clear();
    table.meta = snapshot.meta();
    table.partitions = snapshot.partition_count();
    for (const uint32_t index : snapshot.ChangedPartitions()) {
      PartitionImage image;
      HR_RETURN_IF_ERROR(snapshot.ReadPartition(index, want_whole, &image));
      if (image.payload.empty()) continue;
      auto& payloads = table.payloads[index];
      if (image.whole) payloads.clear();
      ++(image.whole ? wholes_ : deltas_);
      payloads.push_back(std::move(image.payload));
    }
    snapshot.Finish();
    return Status::Ok();
  }

  StoredSubtask AsSubtask(int former_index) const {
    StoredSubtask subtask;
    subtask.former_index = former_index;
    for (const auto& [name, table] : tables_) {
      subtask.tables.push_back(std::make_unique<Reader>(table));
    }
    return subtask;
  }
  StoredKeyedState AsSame() const {
    StoredKeyedState stored;
    stored.subtasks.push_back(AsSubtask(0));
    return stored;
  }

  std::map<std::string, Table>& tables() { return tables_; }
  int wholes() const { return wholes_; }
  int deltas() const { return deltas_; }

 private:
  class Reader final : public StoredTable {
   public:
    explicit Reader(Table table) : table_(std::move(table)) {}
    const TableMeta& meta() const override { return table_.meta; }
    uint32_t partition_count() const override { return table_.partitions; }
    Result<std::vector<std::string>> ReadPartition(uint32_t index) override {
      return table_.payloads[index];
    }

   private:
    Table table_;
  };

  std::map<std::string, Table> tables_;
  int wholes_ = 0;
  int deltas_ = 0;
};

/// What becomes of the snapshots of a random test, round by round: some are given up, some fail
/// after their tables were written, some are written as bases.
class SnapshotFate {
 public:
  explicit SnapshotFate(int round) : round_(round) {}

  bool abandoned() const { return round_ % 8 == 5; }
  bool aborted() const { return round_ % 8 == 7; }
  bool lost() const { return abandoned() || aborted(); }
  Status Write(KeyedStateSnapshot snapshot, SnapshotStore* store) const {
    if (abandoned()) return Status::Ok();
    SnapshotStore lost;
    return aborted() ? lost.Write(std::move(snapshot))
                     : store->Write(std::move(snapshot), round_ % 9 == 8);
  }

 private:
  const int round_;
};

}  // namespace headrace::testing
