#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "headrace/state/cold_table.h"
#include "headrace/state/key_dictionary.h"
#include "headrace/state/timer_row.h"
#include "headrace/time/watermark.h"

namespace headrace {

enum class TimeDomain : uint8_t { kEventTime = 0, kProcessingTime = 1 };

struct Timer {
  KeyId key = kNoKey;
  std::string ns;  ///< window or empty
  TimestampMs time = 0;
};

/// Timers as a set of (domain, time, key, namespace): registering twice is once. Due timers come in
/// order of (time, key bytes, namespace), the same after any restore. Rows of keyed state plus an
/// in-memory index: a 4-ary heap for each domain that knows where each row stands, so that a
/// deleted timer is gone at once.
/// Cost: Register O(1) on average, Delete and PopDue O(log n); nothing is ever rebuilt or copied as
/// a whole.
/// Threading: owned by one task thread.
class TimerService {
 public:
  explicit TimerService(KeyDictionary* keys, MemoryMeterPtr meter = nullptr);
  ~TimerService();

  void Register(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time);
  void Delete(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time);
  /// Removes and returns the first timer with time ≤ `until`; false when none is due.
  bool PopDue(TimeDomain domain, TimestampMs until, Timer* out);
  /// Time of the first timer, kMaxWatermark when there is none.
  TimestampMs NextTime(TimeDomain domain) const;
  int64_t count(TimeDomain domain) const { return heap(domain).size; }
  int64_t memory_bytes() const;

  // ---- What KeyedState does with it ----

  std::unique_ptr<TableSnapshot> Snapshot(TableMeta meta);
  /// Puts a stored timer back into its slot; kCorruption when slot or timer is taken.
  Status RestoreTimer(uint32_t slot, TimeDomain domain, KeyId key, std::string_view ns,
                      TimestampMs time);
  /// After the last RestoreTimer or Register of a restore. `clean`: the next snapshot may be a
  /// delta.
  void FinishRestore(bool clean);
  PagedTable& table() { return table_; }
  /// Ids are good for a while only from now on: `log` is told of timers that a checkpoint has and
  /// that are gone. Timers themselves stay in memory.
  void LogRemovals(ColdTable* log) { log_ = log; }
  int64_t live_bytes() const { return live_bytes_; }

 private:
  struct HeapEntry {
    TimestampMs time;
    uint64_t key_prefix;  // decides most comparisons of equal times without touching the key
    uint32_t slot;
    uint32_t unused;
  };
  struct Heap {
    ChunkedArray<HeapEntry> entries;
    int64_t size = 0;
  };
  struct IndexEntry {
    uint32_t hash;
    uint32_t slot;
  };
  struct IndexTraits {
    static IndexEntry Empty() { return {0, kNoKey}; }
    static bool IsEmpty(const IndexEntry& entry) { return entry.slot == kNoKey; }
    static uint32_t Hash(const IndexEntry& entry) { return entry.hash; }
  };

  Heap& heap(TimeDomain domain) { return heaps_[static_cast<size_t>(domain)]; }
  const Heap& heap(TimeDomain domain) const { return heaps_[static_cast<size_t>(domain)]; }
  const TimerRow& RowAt(uint32_t slot) const {
    return *reinterpret_cast<const TimerRow*>(table_.Row(slot));
  }
  static uint32_t HashOf(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time);
  IndexEntry* Find(uint32_t hash, TimeDomain domain, KeyId key, std::string_view ns,
                   TimestampMs time) const;
  void Insert(uint32_t hash, uint32_t slot, TimeDomain domain, KeyId key, std::string_view ns,
              TimestampMs time);
  void Erase(IndexEntry* entry);

  bool Less(const HeapEntry& a, const HeapEntry& b) const;
  void SetAt(Heap& heap, int64_t position, const HeapEntry& entry);
  void SiftUp(Heap& heap, int64_t position, HeapEntry entry);
  void SiftDown(Heap& heap, int64_t position, HeapEntry entry);
  void RemoveAt(Heap& heap, int64_t position);

  KeyDictionary* keys_;
  PagedTable table_;
  SegmentedIndex<IndexEntry, IndexTraits> index_;
  std::array<Heap, 2> heaps_;
  ChunkedArray<uint32_t> positions_;  // by slot: where its entry stands in its heap
  std::deque<uint32_t> free_slots_;
  int64_t live_bytes_ = 0;     // encoded
  int64_t charged_bytes_ = 0;  // of heaps and positions
  ColdTable* log_ = nullptr;
};

}  // namespace headrace
