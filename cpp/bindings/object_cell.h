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
/// A value that can be changed and was handed out is written back when it leaves the cache and at a
/// barrier, as the user may have changed it in place. Each first value of a key is encoded at once,
/// so that one without an encoding fails where it is written. The cache is direct-mapped by key id:
/// ids are dense.
///
/// Invariant: whatever is in the cache has a row, perhaps an older one. The row counts as a use of
/// the key, so a cached id is never released and given to another key.
/// Threading: owned by one task thread, which holds the GIL.
class ObjectCell {
 public:
  ObjectCell(RowState* rows, StateType type, std::string name)
      : rows_(rows), type_(std::move(type)), name_(std::move(name)) {}
  ~ObjectCell() { Forget(); }
  ObjectCell(const ObjectCell&) = delete;
  ObjectCell& operator=(const ObjectCell&) = delete;

  /// New reference; null when there is no value (no error set) or on failure (error set).
  PyObject* Get(KeyId id);
  /// False with a Python error set when the value cannot be stored.
  bool Set(KeyId id, PyObject* value);
  void Clear(KeyId id);
  /// Encodes what may have been changed in place.
  Status Flush();
  /// Gives the cache up without writing it.
  void Forget();

  const std::string& name() const { return name_; }

 private:
  struct Entry {
    KeyId id = kNoKey;
    bool dirty = false;
    PyObject* value = nullptr;
  };
  static constexpr size_t kEntries = 4096;

  Entry& EntryOf(KeyId id) {
    if (entries_.empty()) entries_.resize(kEntries);
    return entries_[id % kEntries];
  }
  /// Empties the entry; false with a Python error set when its value cannot be written back.
  bool Evict(Entry* entry);
  Status WriteBack(Entry* entry);
  Status Put(KeyId id, PyObject* value);

  RowState* rows_;
  const StateType type_;
  const std::string name_;
  std::vector<Entry> entries_;
  ByteWriter scratch_;
};

}  // namespace headrace::bindings
