#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/keyed_state_impl.h"
#include "headrace/state/table_snapshot.h"

namespace headrace {

/// Brings stored tables of states and timers into a KeyedState with a row cache: rows go to its
/// store in sorted batches, timers into memory; the cache starts empty. Tables that go by ids (of a
/// state without a store) are turned into rows by key on the way.
/// Threading: owned by one thread.
class ColdRestore {
 public:
  /// `same_range`: one former subtask had the same key groups, so what is stored by key can be
  /// built upon.
  ColdRestore(KeyedState::Impl* state, bool same_range) : state_(*state), same_range_(same_range) {}

  /// The key dictionary of a former subtask, for those of its tables that go by ids.
  Status LoadKeys(StoredTable& table);
  /// Any table but dictionaries and slices.
  Status LoadTable(StoredTable& table);
  /// Forgets the keys of a former subtask.
  void EndSubtask();

 private:
  struct Row {
    std::string_view key;
    std::string_view ns;
    std::string_view sub_key;
    std::string_view value;
  };
  using RowSink = std::function<Status(const Row&)>;

  /// Calls `add` for each live row of the table, and `end_partition` before its views go.
  Status ForEachRow(StoredTable& table, bool keyed, const RowSink& add,
                    const std::function<Status()>& end_partition = nullptr);
  Status ReadKeyed(const TableMeta& meta, const std::vector<std::string>& payloads,
                   const RowSink& add) const;
  Status ReadById(const TableMeta& meta, const std::vector<std::string>& payloads,
                  const RowSink& add) const;
  /// True when the next snapshot may be a delta on the table as it is stored.
  bool BuildsUpon(const StoredTable& table, bool keyed) const;
  Status KeyOfId(const TableMeta& meta, uint32_t id, std::string_view* key) const;
  Status LoadState(StoredTable& table, bool keyed);
  Status LoadTimers(StoredTable& table, bool keyed);
  /// Sets `ours`; kCorruption when the bytes are no key, or when it cannot be another subtask's.
  Status CheckKey(std::string_view key, bool keyed, uint64_t* prefix, bool* ours) const;

  KeyedState::Impl& state_;
  const bool same_range_;
  // Canonical keys by old id: where they end in the buffer.
  std::string keys_;
  std::vector<uint64_t> ends_;
  std::vector<uint64_t> begins_;
};

}  // namespace headrace
