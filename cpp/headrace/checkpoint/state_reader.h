#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/env.h"
#include "headrace/checkpoint/manifest.h"
#include "headrace/checkpoint/restore.h"
#include "headrace/checkpoint/stored_keys.h"
#include "headrace/time/watermark.h"

namespace headrace {

/// A live row of stored state together with its key. Views hold until the cursor moves on.
struct StateRow {
  int subtask = 0;
  uint32_t key_id = 0;  ///< dense, good within the subtask; 0 in tables without ids
  uint16_t key_group = 0;
  std::string_view key;      ///< canonical encoding (value_codec.h)
  std::string_view ns;       ///< namespace; "" when there is none
  std::string_view sub_key;  ///< map key or number of a list's segment
  std::string_view value;    ///< encoded value; of fixed-width tables the row
  uint8_t domain = 0;        ///< timers: 0 event time, 1 processing time
  int64_t time = 0;          ///< timers: when; slices: the slice's start
};

/// Reads the live rows of some tables of one operator, a stored partition at a time, in the order
/// of subtask, table, row. Memory is bounded by the partition and a cache of keys.
/// Threading: owned by one thread.
class StateCursor {
 public:
  /// How much of a key dictionary is kept for rows that do not follow their keys' order.
  static constexpr size_t kKeyCacheBytes = 64 << 20;

  /// Replaces `rows` by those of the next partition that has any; false at the end. Damage is
  /// kCorruption naming table, partition, file and offset; what a hostile file says is checked as a
  /// restore does.
  Result<bool> Next(std::vector<StateRow>* rows);

 private:
  friend class StateReader;
  struct Source {
    int subtask;
    KeyGroupRange key_groups;
    int max_parallelism;
    std::shared_ptr<StoredTable> table;
    std::shared_ptr<StoredTable> dictionary;  // null: the table is one, or keeps keys in its rows
    int64_t slice_start;
  };
  explicit StateCursor(std::vector<Source> sources) : sources_(std::move(sources)) {}

  Status ReadPartition(Source* source, std::vector<StateRow>* rows);
  Status ReadKeyed(const Source& source, std::vector<StateRow>* rows);
  Status AddKey(uint32_t id, StateRow* row);

  std::vector<Source> sources_;
  size_t source_ = 0;
  uint32_t partition_ = 0;
  std::unique_ptr<StoredKeys> keys_;           // of the current source
  std::vector<std::string> payloads_;          // what the rows point into
  std::vector<StoredKeyPagePtr> pinned_keys_;  // and their keys
};

/// Reads the state in a checkpoint, final checkpoint or savepoint with no job running: takes no
/// lock, changes nothing, runs no code.
/// Threading: immutable; methods are thread-safe.
class StateReader {
 public:
  /// `path` as for LoadManifest().
  static Result<std::unique_ptr<StateReader>> Open(Env* env, const std::string& path);

  const Manifest& manifest() const { return plan_->manifest(); }
  const std::string& directory() const { return plan_->directory(); }

  /// One state as the manifest lists it.
  struct State {
    std::string fingerprint;
    TableKind kind = TableKind::kRows;
    uint32_t row_bytes = 0;
    /// Rows have their keys with them: what Keys() gives need not have all of these.
    bool by_key = false;
  };
  /// kNotFound naming the operators, or the states, that there are.
  Result<State> Describe(const std::string& operator_id, const std::string& state) const;

  /// Rows of a state (Describe must know it), of all timers, of the key dictionary. No rows when
  /// the operator has none.
  Result<std::unique_ptr<StateCursor>> Rows(const std::string& operator_id,
                                            const std::string& state) const;
  /// Rows of the subtask that has the keys of one key group.
  Result<std::unique_ptr<StateCursor>> RowsOfSubtask(const std::string& operator_id,
                                                     const std::string& state, int key_group) const;
  Result<std::unique_ptr<StateCursor>> Timers(const std::string& operator_id) const;
  Result<std::unique_ptr<StateCursor>> Keys(const std::string& operator_id) const;

 private:
  StateReader() = default;
  static constexpr int kAnyKeyGroup = -1;
  using Wanted = bool (*)(const TableMeta& meta, const std::string& state);
  Result<std::unique_ptr<StateCursor>> Tables(const std::string& operator_id,
                                              const std::string& state, Wanted wanted,
                                              int key_group = kAnyKeyGroup) const;
  Result<const OperatorManifest*> Find(const std::string& operator_id) const;

  std::unique_ptr<RestorePlan> plan_;
};

}  // namespace headrace
