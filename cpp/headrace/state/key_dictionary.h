#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/base/hash.h"
#include "headrace/state/chunked_array.h"
#include "headrace/state/key_arena.h"
#include "headrace/state/key_group.h"
#include "headrace/state/key_row.h"
#include "headrace/state/paged_table.h"
#include "headrace/state/segmented_index.h"
#include "headrace/state/table_snapshot.h"
#include "headrace/types/column.h"
#include "headrace/types/key_codec.h"

namespace headrace {

/// Dense number of a key within one subtask's dictionary.
using KeyId = uint32_t;
inline constexpr KeyId kNoKey = 0xffffffffu;

/// Maps keys to dense ids (document 001's key dictionary): one probe a record, then every state of
/// the key is an array access.
///
/// int64 and string keys have tables of their own; any other key goes by its canonical bytes. The
/// index is cut into segments of bounded size, so growing never rehashes more than one (≤ 1 ms).
/// Keys are kept in a paged table and snapshotted with it.
///
/// Releasing ids: states count their uses of a key (AddUse, DropUse); a key without any is *idle*.
/// Idle keys are released by ReleaseIdle() only, in the order in which they became idle and at most
/// as many as asked for; KeyedState calls it where no operator holds an id (at barriers, and
/// between elements). A released id that no snapshot can have seen is free at once, any other after
/// the checkpoint that holds its tombstone is complete (OnCheckpointComplete).
///
/// As the index of a row cache (CacheKeys) it holds keys for a while only: new ones are loaded
/// before a lookup returns, released ids are free at once, and lookups of many keys at once leave a
/// mark that tells which were in use.
///
/// Hot: LookupOrInsertInt / …String are inline and allocation-free for known keys.
/// Threading: owned by one task thread.
class KeyDictionary {
 public:
  /// How the key is stored, for decoding it fast.
  enum class Form : uint8_t {
    kInt,      ///< int64
    kString,   ///< UTF-8
    kEncoded,  ///< canonical bytes of any other key
  };

  explicit KeyDictionary(int max_parallelism, MemoryMeterPtr meter = nullptr);
  ~KeyDictionary();

  KeyId LookupOrInsertInt(int64_t key) {
    const uint32_t hash = HashInt(key);
    const IntEntry* found =
        ints_.Find(hash, [key](const IntEntry& entry) { return entry.key == key; });
    return found != nullptr ? found->id : Insert(Key::OfInt(key), hash);
  }
  KeyId LookupOrInsertString(std::string_view utf8) {
    const uint32_t hash = HashBytes(utf8);
    const BytesEntry* found = FindBytes(strings_, hash, utf8);
    return found != nullptr ? found->id : Insert(Key::OfStr(utf8), hash);
  }
  KeyId LookupOrInsert(const Key& key);
  KeyId Lookup(const Key& key) const;  ///< kNoKey when absent
  /// `canonical`: any key in key encoding; ints and strs end up in the same tables as above.
  KeyId LookupOrInsertEncoded(std::string_view canonical) {
    return LookupOrInsert(Key::OfCanonical(canonical));
  }
  KeyId LookupEncoded(std::string_view canonical) const {  ///< kNoKey when absent
    return Lookup(Key::OfCanonical(canonical));
  }
  /// Many at once, at a fraction of the cost: lookups that miss the processor's caches overlap. Ids
  /// of new keys come in the order of `keys`.
  void LookupOrInsertInts(const int64_t* keys, int64_t count, KeyId* ids);
  void LookupOrInsertStrings(const std::string_view* utf8, int64_t count, KeyId* ids);
  /// Ids of rows [start, start + count) of a key column; kInvalidArgument when a value cannot be a
  /// key. Null is a key (None).
  Status LookupOrInsertBatch(const Column& keys, int64_t start, int64_t count, KeyId* ids);

  int KeyGroupOf(KeyId id) const { return Row(id).key_group; }
  /// Canonical encoding of the key.
  std::string EncodedKey(KeyId id) const;
  /// The key; its bytes are valid until the key is released.
  Key KeyOf(KeyId id) const { return Row(id).key(); }
  Form FormOf(KeyId id) const { return static_cast<Form>(Row(id).form); }
  int64_t IntOf(KeyId id) const { return Row(id).number; }  ///< REQUIRES: kInt
  /// REQUIRES: kString (utf-8) or kEncoded.
  std::string_view BytesOf(KeyId id) const { return Row(id).bytes->bytes(); }
  /// True for a key that is in the dictionary. REQUIRES: id < size().
  bool live(KeyId id) const { return rows_.live(id); }

  /// Order of the keys' canonical bytes: < 0, 0, > 0.
  int Compare(KeyId a, KeyId b) const;
  /// First 8 canonical bytes as a big-endian number, zero-padded: unequal prefixes order as the
  /// keys do.
  uint64_t Prefix(KeyId id) const;

  /// Reference counts by states: a key without any may be released at the next barrier.
  void AddUse(KeyId id) { ++uses_[id]; }
  void DropUse(KeyId id);

  uint32_t size() const { return rows_.size(); }  ///< ids ever in use, live or released
  int64_t live_keys() const { return rows_.live_rows(); }
  int64_t memory_bytes() const;

  // ---- What KeyedState does with it ----

  /// From now on idle keys are remembered. Off for dictionaries of slices, which are dropped as a
  /// whole.
  void TrackIdleKeys() { track_idle_ = true; }
  int64_t idle_keys() const { return static_cast<int64_t>(idle_.size()); }
  /// Releases up to `keys_max` idle keys. REQUIRES: nobody holds ids without a use.
  void ReleaseIdle(int64_t keys_max);
  /// Called with each id that ReleaseIdle() releases, before it can be used again: for caches by
  /// id.
  void SetReleaseListener(std::function<void(KeyId)> listener) { listener_ = std::move(listener); }

  /// From now on the dictionary is the index of a row cache. `load` is called with ids of new keys
  /// before the lookup that added them returns.
  void CacheKeys(std::function<void(const KeyId* ids, int64_t count)> load);
  /// Collects new keys of single lookups as well, so that many are loaded at once: until EndBatch.
  void BeginBatch() { ++open_batches_; }
  void EndBatch() {
    if (--open_batches_ == 0 && !new_ids_.empty()) LoadNew();
  }
  /// Uses that states have counted.
  uint32_t uses(KeyId id) const { return uses_.Get(id) & ~kQueued; }
  /// True when the key was looked up since the last call; forgets it. REQUIRES: CacheKeys.
  bool TakeTouched(KeyId id) {
    uint8_t* touched = touched_.Find(id);
    return touched != nullptr && *touched != 0 && (*touched = 0, true);
  }
  /// Releases a key at once. REQUIRES: CacheKeys, live(id), uses(id) == 0, nobody holds the id.
  void ReleaseNow(KeyId id) { Release(id); }
  /// Memory that grows with the ids ever in use, and not with the keys.
  int64_t memory_bytes_of_ids() const;
  /// Freezes the table so that every row can be read at any time until it is finished.
  std::shared_ptr<PagedTableSnapshot> Freeze() { return rows_.BeginSnapshot(/*frozen=*/true); }
  const std::shared_ptr<KeyArena>& arena() const { return arena_; }

  /// Freezes the table; snapshots are numbered from 1 by `snapshot_number`.
  std::unique_ptr<TableSnapshot> Snapshot(TableMeta meta, uint64_t snapshot_number);
  /// Frees the ids whose tombstones are in snapshots up to `snapshot_number`.
  void OnCheckpointComplete(uint64_t snapshot_number);

  /// From now until FinishRestore() keys are stored ones that come back: whether one is idle is
  /// looked at in the end, when states have counted their uses.
  void BeginRestore() { restoring_ = true; }
  /// Says how many keys of a form there will be; a guess (see SegmentedIndex::Expect).
  void ExpectKeys(KeyForm form, int64_t count) {
    if (form == KeyForm::kInt) return ints_.Expect(count);
    IndexOf(form).Expect(count);
  }
  /// Puts a stored key back under its id; kCorruption when key or id is there already, or when the
  /// stored group is not the key's.
  Status RestoreKey(KeyId id, std::string_view canonical, int key_group);
  /// The id of a stored key, which may become another than it was; kCorruption as above.
  Result<KeyId> AdoptKey(std::string_view canonical, int key_group);
  /// After the last RestoreKey and AddUse: dead ids are free. `clean`: the next snapshot may be a
  /// delta.
  void FinishRestore(bool clean);
  PagedTable& table() { return rows_; }

 private:
  // Packed: the index is the largest part of what a key takes.
  struct [[gnu::packed, gnu::aligned(4)]] IntEntry {
    int64_t key;
    KeyId id;
  };
  struct IntTraits {
    static IntEntry Empty() { return {0, kNoKey}; }
    static bool IsEmpty(const IntEntry& entry) { return entry.id == kNoKey; }
    static uint32_t Hash(const IntEntry& entry) { return HashInt(entry.key); }
  };
  struct BytesEntry {
    uint32_t hash;
    KeyId id;
    const ArenaKey* key;
  };
  struct BytesTraits {
    static BytesEntry Empty() { return {0, kNoKey, nullptr}; }
    static bool IsEmpty(const BytesEntry& entry) { return entry.id == kNoKey; }
    static uint32_t Hash(const BytesEntry& entry) { return entry.hash; }
  };
  using IntIndex = SegmentedIndex<IntEntry, IntTraits>;
  using BytesIndex = SegmentedIndex<BytesEntry, BytesTraits>;

  static uint32_t HashInt(int64_t key) {
    return static_cast<uint32_t>(MixInt64(static_cast<uint64_t>(key)) >> 32);
  }
  // The upper half: the lower one decides the key group, so it is not spread within a subtask.
  static uint32_t HashBytes(std::string_view bytes) {
    return static_cast<uint32_t>(Hash64(bytes) >> 32);
  }
  static BytesEntry* FindBytes(const BytesIndex& index, uint32_t hash, std::string_view bytes) {
    return index.Find(hash, [hash, bytes](const BytesEntry& entry) {
      return entry.hash == hash && entry.key->bytes() == bytes;
    });
  }
  const KeyRow& Row(KeyId id) const { return *reinterpret_cast<const KeyRow*>(rows_.Row(id)); }

  static uint32_t HashKey(const Key& key) {
    return key.form == KeyForm::kInt ? HashInt(key.number) : HashBytes(key.bytes);
  }
  BytesIndex& IndexOf(KeyForm form) { return form == KeyForm::kStr ? strings_ : encoded_; }
  KeyId Insert(const Key& key, uint32_t hash) {
    return Insert(key, hash, key.Group(max_parallelism_));
  }
  KeyId Insert(const Key& key, uint32_t hash, uint16_t key_group);
  void LoadNew();
  // Where keys are cached: marks ids of a lookup and loads the new ones among them.
  void Settle(const KeyId* ids, int64_t count);
  Status CheckStored(std::string_view canonical, int key_group) const;
  void Place(KeyId id, const Key& key, uint32_t hash, uint16_t key_group);
  void NoteIdle(KeyId id);
  void Release(KeyId id);

  // Batch lookups by kind of column (key_dictionary_batch.cc).
  template <typename Integer>
  void LookupRun(const Integer* keys, int64_t count, KeyId* ids);
  template <typename Integer>
  void InsertMissed(const Integer* keys, const uint16_t* missed, int64_t count, KeyId* ids);
  template <typename Integer>
  void LookupRuns(const Integer* keys, int64_t count, KeyId* ids);
  template <typename Integer>
  void LookupIntegers(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  void LookupManyStrings(const std::string_view* utf8, int64_t count, KeyId* ids);
  Status LookupColumn(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  void LookupStrings(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  Status LookupObjects(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  Status LookupByDictionary(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  Status LookupAny(const Column& keys, int64_t start, int64_t count, KeyId* ids);
  KeyId NoneKey();

  static constexpr uint32_t kQueued = 0x80000000u;  // bit of uses_: the id is in idle_

  const int max_parallelism_;
  bool track_idle_ = false;
  bool restoring_ = false;
  IntIndex ints_;
  BytesIndex strings_;
  BytesIndex encoded_;
  PagedTable rows_;
  std::shared_ptr<KeyArena> arena_;
  ChunkedArray<uint32_t> uses_;
  std::deque<KeyId> free_ids_;
  std::deque<KeyId> idle_;
  std::deque<KeyId> released_;  // since the last snapshot
  struct PendingIds {
    uint64_t snapshot_number;
    std::deque<KeyId> ids;
  };
  std::deque<PendingIds> pending_;
  std::function<void(KeyId)> listener_;
  // Of a cache.
  std::function<void(const KeyId*, int64_t)> load_;
  int open_batches_ = 0;
  std::vector<KeyId> new_ids_;
  ChunkedArray<uint8_t> touched_;
  int64_t key_bytes_ = 0;  // encoded size of all live keys
};

}  // namespace headrace
