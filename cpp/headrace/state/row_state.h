#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "headrace/state/chunked_array.h"
#include "headrace/state/cold_table.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/state/row_blob.h"

namespace headrace {

/// State of any shape as rows (key, namespace, sub-key) -> encoded value: values of variable size,
/// lists (sub-key = segment number, big-endian), maps (sub-key = encoded map key), and everything
/// with a window as namespace.
///
/// Sub-keys of one (key, namespace) iterate in order of their bytes, on every backend and after any
/// restore. Views returned stay valid until the next write to the same state.
///
/// A row is a block of memory in a slot of a paged table. An update of the same size in the epoch
/// that made the block is done in place; any other makes a new block, and the old one waits for the
/// open snapshot.
/// As a row cache (CacheRows) it holds some rows, the newest of their kind, and looks for others in
/// its ColdTable; a row without namespace and sub-key is there with its key or nowhere.
/// Cost: Get, Put, Remove of a row with empty sub-key O(1), else O(log sub-keys). Without namespace
/// a row is found by key id alone.
/// Threading: owned by one task thread.
class RowState {
 public:
  explicit RowState(KeyDictionary* keys, MemoryMeterPtr meter = nullptr);
  ~RowState();

  /// False when there is no such row.
  bool Get(KeyId key, std::string_view ns, std::string_view sub_key, std::string_view* value) const;
  void Put(KeyId key, std::string_view ns, std::string_view sub_key, std::string_view value);
  /// False when there was none.
  bool Remove(KeyId key, std::string_view ns, std::string_view sub_key);
  /// Removes all sub-keys.
  void Clear(KeyId key, std::string_view ns);
  /// Number of sub-keys.
  uint64_t Count(KeyId key, std::string_view ns) const;
  bool empty(KeyId key, std::string_view ns) const;
  /// A number as sub-key, 4 bytes big-endian, so that rows are walked in its order.
  static std::string NumberedSubKey(uint64_t number);
  /// Count() where the sub-keys are numbers from 0 on without a gap, as those of a list's segments:
  /// O(log n), wherever the rows are.
  uint64_t CountNumbered(KeyId key, std::string_view ns) const;
  /// Walks the sub-keys after `after` (null: from the start), at most until `visit` returns false.
  /// REQUIRES: no write to this (key, namespace) during the walk.
  using Visitor = std::function<bool(std::string_view sub_key, std::string_view value)>;
  void Walk(KeyId key, std::string_view ns, const std::string* after, const Visitor& visit) const;

  /// Called with each row in memory that VisitSlots meets.
  using SlotVisitor = std::function<void(KeyId key, std::string_view ns, std::string_view sub_key,
                                         std::string_view value)>;
  /// Goes over the next `slots` slots, live or free, from `*slot` on, and around at the end: a few
  /// at a time, all rows in memory are met in the end. REQUIRES: no write during the visit.
  void VisitSlots(uint32_t* slot, int64_t slots, const SlotVisitor& visit) const;
  /// From now on rows are left out of whole images in snapshots when their value begins with a time
  /// (8 bytes, little-endian, ms) that is not after `time_ms`; they stay here.
  void LeaveOutOfImages(int64_t time_ms) { left_out_until_ms_ = time_ms; }

  /// Brings the rows of these keys (empty namespace and sub-key) into the processor's caches, where
  /// many are read soon: the misses overlap here, but not between calls of user code.
  void Prefetch(const KeyId* keys, int64_t count) const;

  int64_t rows() const { return table_.live_rows(); }
  int64_t memory_bytes() const;

  // ---- What KeyedState does with it ----

  std::unique_ptr<TableSnapshot> Snapshot(TableMeta meta);
  /// Puts a stored row back into its slot; kCorruption when slot or row is taken.
  Status RestoreRow(uint32_t slot, KeyId key, std::string_view ns, std::string_view sub_key,
                    std::string_view value);
  /// After the last RestoreRow or Put of a restore. `clean`: the next snapshot may be a delta.
  void FinishRestore(bool clean);
  PagedTable& table() { return table_; }
  int64_t live_bytes() const { return live_bytes_; }

  // ---- As a row cache ----

  void CacheRows(ColdTable* cold);
  /// Takes a row from the store. REQUIRES: CacheRows, it is not in memory.
  void LoadRow(KeyId key, std::string_view ns, std::string_view sub_key, std::string_view value);
  /// True when the row without namespace and sub-key is all there is in memory of the key in the
  /// empty namespace.
  bool HasPlainOnly(KeyId key) const {
    const Target* target = by_key_.Find(key);
    return target != nullptr && !target->none() && !target->is_group();
  }
  /// Gives that row to the store. REQUIRES: HasPlainOnly(key).
  void EvictPlain(KeyId key);
  /// Gives rows that have a namespace or a sub-key to the store, those first that were not read for
  /// long; looks at up to `looks_max`. Returns how many.
  int64_t EvictSubRows(int64_t rows_max, int64_t looks_max);
  /// By key id: where plain rows are, which grows with the ids ever in use.
  int64_t memory_bytes_of_ids() const { return by_key_.memory_bytes(); }

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  // Rows of one (key, namespace) that has sub-keys.
  struct Group {
    std::string ns;
    std::map<std::string, uint32_t, std::less<>> slots;
  };
  // Where (key, namespace) lives: its only slot, as long as the only sub-key is the empty one, else
  // a Group. All zero: nowhere.
  struct Target {
    uint64_t bits = 0;  // (slot + 1) · 2, or Group* + 1

    bool none() const { return bits == 0; }
    bool is_group() const { return bits & 1; }
    Group* group() const { return reinterpret_cast<Group*>(bits - 1); }
    uint32_t slot() const { return static_cast<uint32_t>((bits >> 1) - 1); }
    static Target OfSlot(uint32_t slot) { return {(uint64_t{slot} + 1) << 1}; }
    static Target OfGroup(Group* group) { return {reinterpret_cast<uint64_t>(group) + 1}; }
  };
  struct Entry {
    uint32_t hash;
    KeyId key;
    Target target;
  };
  struct EntryTraits {
    static Entry Empty() { return {0, 0, Target()}; }
    static bool IsEmpty(const Entry& entry) { return entry.target.none(); }
    static uint32_t Hash(const Entry& entry) { return entry.hash; }
  };

  static uint32_t HashOf(KeyId key, std::string_view ns);
  std::string_view NamespaceOf(const Target& target) const {
    return target.is_group() ? std::string_view(target.group()->ns) : BlobAt(target.slot())->ns();
  }
  Entry* FindEntry(KeyId key, std::string_view ns) const;
  /// Null when (key, ns) has no row.
  Target* Find(KeyId key, std::string_view ns) const;
  RowBlob* BlobAt(uint32_t slot) const {
    return *reinterpret_cast<RowBlob* const*>(table_.Row(slot));
  }
  uint32_t NewSlot();
  // `loaded`: the store has the value.
  void WriteNew(uint32_t slot, KeyId key, std::string_view ns, std::string_view sub_key,
                std::string_view value, bool loaded);
  void Update(uint32_t slot, std::string_view value);
  void EraseSlot(uint32_t slot);
  void GiveUp(RowBlob* blob);
  void AddTarget(KeyId key, std::string_view ns, Target target);
  void EraseTarget(KeyId key, std::string_view ns, Target* target);
  // Adds a row that is not there, in `slot`; `target` is what Find gave.
  void Insert(Target* target, uint32_t slot, KeyId key, std::string_view ns,
              std::string_view sub_key, std::string_view value, bool loaded = false);
  // Takes a row out of memory; `target` is what Find gave.
  bool Take(Target* target, KeyId key, std::string_view ns, std::string_view sub_key);
  // The row's slot, or kNoSlot.
  uint32_t FindSlot(const Target* target, std::string_view sub_key) const;

  // Of a cache (row_state_cold.cc).
  bool GetCold(KeyId key, std::string_view ns, std::string_view sub_key,
               std::string_view* value) const;
  void NoteRemoved(const Target* target, KeyId key, std::string_view ns);
  void WalkBoth(KeyId key, std::string_view ns, const std::string* after,
                const Visitor& visit) const;
  void GiveToStore(uint32_t slot);

  KeyDictionary* keys_;
  const MemoryMeterPtr meter_;
  PagedTable table_;
  ChunkedArray<Target> by_key_;               // of the empty namespace, by key id
  SegmentedIndex<Entry, EntryTraits> index_;  // of all other namespaces
  std::deque<uint32_t> free_slots_;
  int64_t live_bytes_ = 0;  // encoded
  std::optional<int64_t> left_out_until_ms_;
  // Of a cache.
  ColdTable* cold_ = nullptr;
  mutable ChunkedArray<uint8_t> read_;  // by slot: since the hand came by
  uint32_t hand_ = 0;
  int64_t sub_rows_ = 0;  // that have a namespace or a sub-key
};

}  // namespace headrace
