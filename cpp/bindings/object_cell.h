#pragma once

#include <Python.h>

#include <string>
#include <vector>

#include "bindings/state_type.h"
#include "headrace/state/row_state.h"

namespace headrace::bindings {

/// One Python value for each key: the encoded rows are the truth, with a small cache of live
/// objects before them.
///
/// A value in the cache is encoded when it leaves the cache and at a barrier, so one that is read
/// and written again and again is encoded once; one that can be changed and was handed out counts
/// as written, as the user may have changed it in place. Each first value of a key is encoded at
/// once, and so is one of another kind than before: what has no encoding fails where it is written.
///
/// The cache has sets of four entries, chosen by key id (ids are dense); the one that was not used
/// for longest leaves. Its size bounds what a barrier has to encode.
///
/// Invariant: whatever is in the cache has a row, perhaps an older one. The row counts as a use of
/// the key, so a cached id is not released and given to another key, unless the row leaves memory:
/// then ForgetKey is called.
/// Threading: owned by one task thread, which holds the GIL.
class ObjectCell {
 public:
  ObjectCell(RowState* rows, StateType type, std::string name)
      : rows_(rows), type_(std::move(type)), name_(std::move(name)) {}
  ~ObjectCell() { Forget(); }
  ObjectCell(const ObjectCell&) = delete;
  ObjectCell& operator=(const ObjectCell&) = delete;

  /// Says that these keys are read soon, at most kPrefetchMax of them: the misses of the
  /// processor's caches overlap here, but not between calls of user code.
  void Prefetch(const KeyId* ids, int64_t count);
  static constexpr int64_t kPrefetchMax = 64;

  /// New reference; null when there is no value (no error set) or on failure (error set).
  PyObject* Get(KeyId id);
  /// False with a Python error set when the value cannot be stored.
  bool Set(KeyId id, PyObject* value);
  void Clear(KeyId id);
  /// Encodes what may have been changed in place.
  Status Flush();
  /// The id is released and may become another key's; its value was written back. Needs no GIL.
  void ForgetKey(KeyId id);
  /// Gives the cache up without writing it.
  void Forget();

  const std::string& name() const { return name_; }

 private:
  struct Entry {
    KeyId id = kNoKey;
    bool dirty = false;
    PyObject* value = nullptr;
  };
  static constexpr size_t kWays = 4;
  static constexpr size_t kSets = 1024;

  /// The entries that may hold the key, the one used last in front.
  Entry* SetOf(KeyId id) {
    if (entries_.empty()) entries_.resize(kWays * kSets);
    return &entries_[id % kSets * kWays];
  }
  /// The key's entry, brought to the front; null when it has none.
  static Entry* Find(Entry* set, KeyId id) { return set->id == id ? set : FindBehind(set, id); }
  static Entry* FindBehind(Entry* set, KeyId id);
  /// Puts an entry in front and gives up the last one; null with a Python error set, and `value`
  /// released, when that one cannot be written back.
  Entry* Insert(Entry* set, KeyId id, PyObject* value);
  Status WriteBack(Entry* entry);
  Status Put(KeyId id, PyObject* value);

  RowState* rows_;
  const StateType type_;
  const std::string name_;
  std::vector<Entry> entries_;
  ByteWriter scratch_;
};

}  // namespace headrace::bindings
