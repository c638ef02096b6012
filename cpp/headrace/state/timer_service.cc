#include "headrace/state/timer_service.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/base/planted_bug.h"
#include "headrace/state/state_table_snapshots.h"

namespace headrace {
namespace {

constexpr int64_t kArity = 4;

}  // namespace

TimerService::TimerService(KeyDictionary* keys, MemoryMeterPtr meter)
    : keys_(keys), table_(sizeof(TimerRow), PagedTable::kPagesPerPartition, meter), index_(meter) {
  table_.OwnRowMemory([](const char* content) {
    const auto* row = reinterpret_cast<const TimerRow*>(content);
    if (row->owns_heap()) std::free(row->heap_ns);
  });
}

TimerService::~TimerService() = default;

uint32_t TimerService::HashOf(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time) {
  uint64_t hash = MixInt64(static_cast<uint64_t>(time)) + key;
  if (!ns.empty()) hash ^= Hash64(ns);
  return static_cast<uint32_t>(MixInt64(hash + static_cast<uint64_t>(domain)) >> 32);
}

TimerService::IndexEntry* TimerService::Find(uint32_t hash, TimeDomain domain, KeyId key,
                                             std::string_view ns, TimestampMs time) const {
  return index_.Find(hash, [&](const IndexEntry& entry) {
    if (entry.hash != hash) return false;
    const TimerRow& row = RowAt(entry.slot);
    return row.time == time && row.key == key && row.domain() == static_cast<uint8_t>(domain) &&
           row.ns() == ns;
  });
}

void TimerService::Register(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time) {
  const uint32_t hash = HashOf(domain, key, ns, time);
  if (Find(hash, domain, key, ns, time) != nullptr) return;
  uint32_t slot = table_.size();
  if (free_slots_.empty()) {
    HR_CHECK_LT(slot, kNoKey - 1);
    table_.EnsureSize(slot + 1);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  Insert(hash, slot, domain, key, ns, time);
}

void TimerService::Insert(uint32_t hash, uint32_t slot, TimeDomain domain, KeyId key,
                          std::string_view ns, TimestampMs time) {
  HR_CHECK_LT(ns.size(), size_t{TimerRow::kDomainBit});
  auto* row = reinterpret_cast<TimerRow*>(table_.MutableRow(slot));
  row->time = time;
  row->key = key;
  row->ns_bytes_and_domain = static_cast<uint32_t>(ns.size()) |
                             (domain == TimeDomain::kProcessingTime ? TimerRow::kDomainBit : 0);
  char* target = row->inline_ns;
  if (row->owns_heap()) {
    target = static_cast<char*>(std::malloc(ns.size()));
    HR_CHECK(target != nullptr);
    row->heap_ns = target;
    table_.Charge(static_cast<int64_t>(ns.size()));
  }
  ns.copy(target, ns.size());
  live_bytes_ += row->encoded_bytes();
  index_.Insert({hash, slot});
  keys_->AddUse(key);
  Heap& heap = this->heap(domain);
  SiftUp(heap, heap.size++, {time, keys_->Prefix(key), slot, 0});
  const int64_t bytes = heaps_[0].entries.memory_bytes() + heaps_[1].entries.memory_bytes() +
                        positions_.memory_bytes();
  if (bytes != charged_bytes_) table_.Charge(bytes - std::exchange(charged_bytes_, bytes));
}

void TimerService::Erase(IndexEntry* entry) {
  const uint32_t slot = entry->slot;
  const TimerRow row = RowAt(slot);
  // A timer is never changed, so a dirty one came after the last barrier.
  if (log_ != nullptr && !table_.dirty(slot)) {
    log_->NoteRemovedForGood(row.key, row.ns(), TimerSubKey(row.domain(), row.time));
  }
  RemoveAt(heaps_[row.domain()], positions_[slot]);
  index_.Erase(entry);
  live_bytes_ -= row.encoded_bytes();
  table_.Erase(slot);
  if (row.owns_heap()) table_.Retire(row.heap_ns, row.ns_bytes());
  free_slots_.push_back(slot);
  keys_->DropUse(row.key);
}

void TimerService::Delete(TimeDomain domain, KeyId key, std::string_view ns, TimestampMs time) {
  IndexEntry* entry = Find(HashOf(domain, key, ns, time), domain, key, ns, time);
  if (entry != nullptr) Erase(entry);
}

bool TimerService::PopDue(TimeDomain domain, TimestampMs until, Timer* out) {
  Heap& heap = this->heap(domain);
  if (heap.size == 0) return false;
  const HeapEntry first = heap.entries[0];
  if (first.time > until) return false;
  const TimerRow& row = RowAt(first.slot);
  out->key = row.key;
  out->ns.assign(row.ns());
  out->time = row.time;
  const uint32_t hash = HashOf(domain, out->key, out->ns, out->time);
  Erase(index_.Find(hash, [&](const IndexEntry& entry) { return entry.slot == first.slot; }));
  if (Planted(PlantedBug::kEqualTimerLost) && table_.epoch() > 8 && heap.size > 0 &&
      heap.entries[0].time == first.time && heap.entries[0].key_prefix != first.key_prefix) {
    const TimerRow& next = RowAt(heap.entries[0].slot);
    Delete(domain, next.key, std::string(next.ns()), next.time);
  }
  return true;
}

TimestampMs TimerService::NextTime(TimeDomain domain) const {
  const Heap& heap = this->heap(domain);
  return heap.size == 0 ? kMaxWatermark : heap.entries.Get(0).time;
}

int64_t TimerService::memory_bytes() const { return table_.memory_bytes() + index_.memory_bytes(); }

bool TimerService::Less(const HeapEntry& a, const HeapEntry& b) const {
  if (a.time != b.time) return a.time < b.time;
  if (a.key_prefix != b.key_prefix) return a.key_prefix < b.key_prefix;
  const TimerRow& row_a = RowAt(a.slot);
  const TimerRow& row_b = RowAt(b.slot);
  const int order = keys_->Compare(row_a.key, row_b.key);
  return order != 0 ? order < 0 : row_a.ns() < row_b.ns();
}

void TimerService::SetAt(Heap& heap, int64_t position, const HeapEntry& entry) {
  heap.entries[position] = entry;
  positions_[entry.slot] = static_cast<uint32_t>(position);
}

void TimerService::SiftUp(Heap& heap, int64_t position, HeapEntry entry) {
  while (position > 0) {
    const int64_t parent = (position - 1) / kArity;
    const HeapEntry above = heap.entries[parent];
    if (!Less(entry, above)) break;
    SetAt(heap, position, above);
    position = parent;
  }
  SetAt(heap, position, entry);
}

void TimerService::SiftDown(Heap& heap, int64_t position, HeapEntry entry) {
  for (;;) {
    const int64_t first_child = position * kArity + 1;
    if (first_child >= heap.size) break;
    const int64_t end = std::min(first_child + kArity, heap.size);
    int64_t least = first_child;
    for (int64_t child = first_child + 1; child < end; ++child) {
      if (Less(heap.entries[child], heap.entries[least])) least = child;
    }
    if (!Less(heap.entries[least], entry)) break;
    SetAt(heap, position, heap.entries[least]);
    position = least;
  }
  SetAt(heap, position, entry);
}

void TimerService::RemoveAt(Heap& heap, int64_t position) {
  const HeapEntry last = heap.entries[--heap.size];
  if (position == heap.size) return;
  // The last entry may belong above or below the gap.
  const HeapEntry removed = heap.entries[position];
  if (Less(last, removed)) {
    SiftUp(heap, position, last);
  } else {
    SiftDown(heap, position, last);
  }
}

std::unique_ptr<TableSnapshot> TimerService::Snapshot(TableMeta meta) {
  table_.FitPartitions(static_cast<uint64_t>(live_bytes_));
  return std::make_unique<TimerTableSnapshot>(std::move(meta), table_.BeginSnapshot(), live_bytes_);
}

Status TimerService::RestoreTimer(uint32_t slot, TimeDomain domain, KeyId key, std::string_view ns,
                                  TimestampMs time) {
  table_.EnsureSize(slot + 1);
  const uint32_t hash = HashOf(domain, key, ns, time);
  if (table_.live(slot) || Find(hash, domain, key, ns, time) != nullptr) {
    return Status::Corruption("timer " + std::to_string(slot) + " is stored twice");
  }
  Insert(hash, slot, domain, key, ns, time);
  return Status::Ok();
}

void TimerService::FinishRestore(bool clean) {
  free_slots_.clear();
  for (uint32_t slot = table_.size(); slot-- > 0;) {
    if (!table_.live(slot)) free_slots_.push_back(slot);
  }
  if (clean) table_.MarkClean();
}

}  // namespace headrace
