#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "headrace/state/cold_table.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/state/paged_table.h"

namespace headrace {

/// A value of fixed width for each key, without namespace: ValueState of primitive types.
/// Reads and writes are array accesses by key id. Threading: owned by one task thread.
class FixedValueState {
 public:
  static bool IsValueSize(uint32_t size_bytes) {
    return size_bytes == 1 || size_bytes == 2 || size_bytes == 4 || size_bytes == 8 ||
           size_bytes == 16;
  }

  /// REQUIRES: IsValueSize(value_bytes).
  FixedValueState(KeyDictionary* keys, int value_bytes, MemoryMeterPtr meter = nullptr)
      : keys_(keys), table_(value_bytes, PagedTable::kPagesPerPartition, std::move(meter)) {}

  bool Has(KeyId key) const { return key < table_.size() && table_.live(key); }
  /// REQUIRES: Has(key).
  template <typename T>
  T Get(KeyId key) const {
    return *reinterpret_cast<const T*>(table_.Row(key));
  }
  template <typename T>
  void Set(KeyId key, T value) {
    *reinterpret_cast<T*>(MutableRow(key)) = value;
  }
  /// The value for writing (zero when new); counts a use of the key when it had none.
  char* MutableRow(KeyId key) {
    if (__builtin_expect(!Has(key), 0)) {
      table_.EnsureSize(key + 1);
      keys_->AddUse(key);
    }
    return table_.MutableRow(key);
  }
  void Clear(KeyId key) {
    if (!Has(key)) return;
    if (cold_ != nullptr) cold_->NoteRemoved(key, {}, {});
    table_.Erase(key);
    keys_->DropUse(key);
  }

  // ---- What KeyedState does with it ----

  /// Memory is a cache of what `cold` has from now on.
  void CacheRows(ColdTable* cold) {
    cold_ = cold;
    table_.TrackUnsaved();
  }
  /// Takes a value from the store. REQUIRES: CacheRows, !Has(key), the value has the state's width.
  void LoadValue(KeyId key, std::string_view value) {
    table_.EnsureSize(key + 1);
    keys_->AddUse(key);
    std::memcpy(table_.LoadRow(key), value.data(), value.size());
  }
  /// Gives the value to the store. REQUIRES: CacheRows, Has(key).
  void Evict(KeyId key) {
    cold_->NoteEvicted(key, {}, {}, {table_.Row(key), static_cast<size_t>(table_.row_bytes())},
                       table_.unsaved(key), table_.dirty(key));
    table_.Erase(key);
    keys_->DropUse(key);
  }

  /// Values of `count` keys whose ids follow each other, one behind the other.
  void PutRun(KeyId first, uint32_t count, const char* values) {
    if (count == 0) return;
    for (KeyId key = first; key < first + count; ++key) {
      if (!Has(key)) keys_->AddUse(key);
    }
    table_.EnsureSize(first + count);
    table_.WriteRows(first, count, values);
  }
  std::unique_ptr<TableSnapshot> Snapshot(TableMeta meta);
  PagedTable& table() { return table_; }
  const PagedTable& table() const { return table_; }

 private:
  KeyDictionary* keys_;
  PagedTable table_;
  ColdTable* cold_ = nullptr;
};

}  // namespace headrace
