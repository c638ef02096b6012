#include "headrace/state/row_state.h"

#include <cstring>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/state_table_snapshots.h"

namespace headrace {
namespace {

// Rows hold pointers, so a partition of 1,024 slots is about 64 KiB when encoded.
constexpr int kPagesPerPartition = 8;
constexpr size_t kFieldBytesMax = UINT32_MAX;
// Roughly a node of std::map with a short string.
constexpr int64_t kGroupRowBytes = 80;

}  // namespace

RowBlob* RowBlob::Make(PagedTable* table, uint32_t key, std::string_view ns,
                       std::string_view sub_key, std::string_view value) {
  HR_CHECK(ns.size() <= kFieldBytesMax && sub_key.size() <= kFieldBytesMax);
  HR_CHECK_LE(value.size(), kFieldBytesMax);
  auto* blob = static_cast<RowBlob*>(
      table->AllocateBlock(sizeof(RowBlob) + ns.size() + sub_key.size() + value.size()));
  blob->epoch = table->epoch();
  blob->key = key;
  blob->ns_bytes = static_cast<uint32_t>(ns.size());
  blob->sub_key_bytes = static_cast<uint32_t>(sub_key.size());
  blob->value_bytes = static_cast<uint32_t>(value.size());
  char* at = reinterpret_cast<char*>(blob + 1);
  at += ns.copy(at, ns.size());
  at += sub_key.copy(at, sub_key.size());
  value.copy(at, value.size());
  return blob;
}

RowState::RowState(KeyDictionary* keys, MemoryMeterPtr meter)
    : keys_(keys),
      meter_(meter),
      table_(sizeof(RowBlob*), kPagesPerPartition, meter),
      index_(meter) {}

RowState::~RowState() {
  by_key_.ForEach([](const Target& target) {
    if (target.is_group()) delete target.group();
  });
  index_.ForEach([](const Entry& entry) {
    if (entry.target.is_group()) delete entry.target.group();
  });
  if (meter_) meter_->Add(-by_key_.memory_bytes());
}

uint32_t RowState::HashOf(KeyId key, std::string_view ns) {
  return static_cast<uint32_t>(MixInt64(key ^ Hash64(ns)) >> 32);
}

RowState::Entry* RowState::FindEntry(KeyId key, std::string_view ns) const {
  const uint32_t hash = HashOf(key, ns);
  return index_.Find(hash, [&](const Entry& entry) {
    return entry.key == key && entry.hash == hash && NamespaceOf(entry.target) == ns;
  });
}

RowState::Target* RowState::Find(KeyId key, std::string_view ns) const {
  if (ns.empty()) {
    Target* target = by_key_.Find(key);
    return target != nullptr && !target->none() ? target : nullptr;
  }
  Entry* entry = FindEntry(key, ns);
  return entry != nullptr ? &entry->target : nullptr;
}

void RowState::Prefetch(const KeyId* keys, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) {
    const Target* target = by_key_.Find(keys[i]);
    if (target == nullptr || target->none() || target->is_group()) continue;
    const char* blob = reinterpret_cast<const char*>(BlobAt(target->slot()));
    __builtin_prefetch(blob);
    __builtin_prefetch(blob + 64);
  }
}

bool RowState::Get(KeyId key, std::string_view ns, std::string_view sub_key,
                   std::string_view* value) const {
  const uint32_t slot = FindSlot(Find(key, ns), sub_key);
  if (slot == kNoSlot) return cold_ != nullptr && GetCold(key, ns, sub_key, value);
  if (cold_ != nullptr) read_[slot] = 1;
  *value = BlobAt(slot)->value();
  return true;
}

uint32_t RowState::FindSlot(const Target* target, std::string_view sub_key) const {
  if (target == nullptr) return kNoSlot;
  if (!target->is_group()) return sub_key.empty() ? target->slot() : kNoSlot;
  const auto& slots = target->group()->slots;
  const auto found = slots.find(sub_key);
  return found != slots.end() ? found->second : kNoSlot;
}

uint32_t RowState::NewSlot() {
  if (!free_slots_.empty()) {
    const uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  const uint32_t slot = table_.size();
  HR_CHECK_LT(slot, UINT32_MAX - 1);
  table_.EnsureSize(slot + 1);
  return slot;
}

void RowState::WriteNew(uint32_t slot, KeyId key, std::string_view ns, std::string_view sub_key,
                        std::string_view value, bool loaded) {
  RowBlob* blob = RowBlob::Make(&table_, key, ns, sub_key, value);
  // Not to be changed in place, which would not be seen as a change.
  if (loaded) blob->epoch |= RowBlob::kLoaded;
  *reinterpret_cast<RowBlob**>(loaded ? table_.LoadRow(slot) : table_.MutableRow(slot)) = blob;
  live_bytes_ += blob->encoded_bytes();
}

void RowState::Update(uint32_t slot, std::string_view value) {
  RowBlob* old = BlobAt(slot);
  if (old->value_bytes == value.size() && old->epoch == table_.epoch()) {
    std::memmove(old->mutable_value(), value.data(), value.size());
    return;
  }
  // The value may lie in the old block, which is given up last.
  WriteNew(slot, old->key, old->ns(), old->sub_key(), value, /*loaded=*/false);
  live_bytes_ -= old->encoded_bytes();
  GiveUp(old);
}

void RowState::GiveUp(RowBlob* blob) {
  if (blob->unseen(table_.epoch())) {
    table_.FreeBlock(blob, blob->block_bytes());
  } else {
    table_.RetireBlock(blob, blob->block_bytes());
  }
}

void RowState::AddTarget(KeyId key, std::string_view ns, Target target) {
  keys_->AddUse(key);
  if (!ns.empty()) return index_.Insert({HashOf(key, ns), key, target});
  const int64_t former_bytes = by_key_.memory_bytes();
  by_key_[key] = target;
  if (meter_) meter_->Add(by_key_.memory_bytes() - former_bytes);
}

void RowState::Insert(Target* target, uint32_t slot, KeyId key, std::string_view ns,
                      std::string_view sub_key, std::string_view value, bool loaded) {
  WriteNew(slot, key, ns, sub_key, value, loaded);
  sub_rows_ += ns.empty() && sub_key.empty() ? 0 : 1;
  if (target == nullptr && sub_key.empty()) return AddTarget(key, ns, Target::OfSlot(slot));
  if (target == nullptr) {
    auto* group = new Group{std::string(ns), {}};
    group->slots.emplace(sub_key, slot);
    AddTarget(key, ns, Target::OfGroup(group));
  } else {
    if (!target->is_group()) {
      auto* group = new Group{std::string(ns), {}};
      group->slots.emplace(std::string(), target->slot());
      *target = Target::OfGroup(group);
      table_.Charge(kGroupRowBytes);
    }
    target->group()->slots.emplace(sub_key, slot);
  }
  table_.Charge(kGroupRowBytes + static_cast<int64_t>(sub_key.size()));
}

void RowState::Put(KeyId key, std::string_view ns, std::string_view sub_key,
                   std::string_view value) {
  Target* target = Find(key, ns);
  if (target != nullptr && !target->is_group() && sub_key.empty()) {
    Update(target->slot(), value);
    return;
  }
  if (target != nullptr && target->is_group()) {
    const auto found = target->group()->slots.find(sub_key);
    if (found != target->group()->slots.end()) {
      Update(found->second, value);
      return;
    }
  }
  const bool plain = ns.empty() && sub_key.empty();
  Insert(target, NewSlot(), key, ns, sub_key, value);
  if (cold_ != nullptr && !plain) cold_->NoteAdded();
}

void RowState::EraseSlot(uint32_t slot) {
  RowBlob* blob = BlobAt(slot);
  sub_rows_ -= blob->ns_bytes == 0 && blob->sub_key_bytes == 0 ? 0 : 1;
  live_bytes_ -= blob->encoded_bytes();
  table_.Erase(slot);
  GiveUp(blob);
  free_slots_.push_back(slot);
}

void RowState::EraseTarget(KeyId key, std::string_view ns, Target* target) {
  Entry* entry = ns.empty() ? nullptr : FindEntry(key, ns);
  if (target->is_group()) delete target->group();
  if (entry != nullptr) {
    index_.Erase(entry);
  } else {
    *target = Target();
  }
  keys_->DropUse(key);
}

bool RowState::Remove(KeyId key, std::string_view ns, std::string_view sub_key) {
  Target* target = Find(key, ns);
  if (cold_ != nullptr) {
    if (FindSlot(target, sub_key) == kNoSlot) {
      return !(ns.empty() && sub_key.empty()) && cold_->RemoveStored(key, ns, sub_key);
    }
    cold_->NoteRemoved(key, ns, sub_key);
  }
  return Take(target, key, ns, sub_key);
}

bool RowState::Take(Target* target, KeyId key, std::string_view ns, std::string_view sub_key) {
  if (target == nullptr) return false;
  if (!target->is_group()) {
    if (!sub_key.empty()) return false;
    const uint32_t slot = target->slot();
    EraseTarget(key, ns, target);
    EraseSlot(slot);
    return true;
  }
  auto& slots = target->group()->slots;
  const auto found = slots.find(sub_key);
  if (found == slots.end()) return false;
  const uint32_t slot = found->second;
  table_.Charge(-kGroupRowBytes - static_cast<int64_t>(sub_key.size()));
  if (slots.size() == 1) {
    EraseTarget(key, ns, target);
  } else {
    slots.erase(found);
    // In a cache a row that has no namespace can only leave memory by itself.
    if (cold_ != nullptr && slots.size() == 1 && slots.begin()->first.empty()) {
      const uint32_t last = slots.begin()->second;
      delete target->group();
      *target = Target::OfSlot(last);
      table_.Charge(-kGroupRowBytes);
    }
  }
  EraseSlot(slot);  // last: the arguments may lie in the row
  return true;
}

void RowState::Clear(KeyId key, std::string_view ns) {
  Target* target = Find(key, ns);
  if (cold_ != nullptr) {
    NoteRemoved(target, key, ns);
    cold_->Clear(key, ns);
  }
  if (target == nullptr) return;
  if (!target->is_group()) {
    const uint32_t slot = target->slot();
    EraseTarget(key, ns, target);
    EraseSlot(slot);
    return;
  }
  const auto slots = std::move(target->group()->slots);
  EraseTarget(key, ns, target);
  for (const auto& [sub_key, slot] : slots) {
    table_.Charge(-kGroupRowBytes - static_cast<int64_t>(sub_key.size()));
    EraseSlot(slot);
  }
}

uint64_t RowState::Count(KeyId key, std::string_view ns) const {
  if (cold_ != nullptr && cold_->has_sub_rows()) {
    uint64_t count = 0;
    WalkBoth(key, ns, nullptr,
             [&count](std::string_view, std::string_view) { return ++count > 0; });
    return count;
  }
  const Target* target = Find(key, ns);
  if (target == nullptr) return 0;
  return target->is_group() ? target->group()->slots.size() : 1;
}

std::string RowState::NumberedSubKey(uint64_t number) {
  std::string sub_key(4, '\0');
  for (size_t i = 0; i < 4; ++i) sub_key[i] = static_cast<char>(number >> (24 - 8 * i));
  return sub_key;
}

bool RowState::empty(KeyId key, std::string_view ns) const {
  bool none = true;
  Walk(key, ns, nullptr, [&none](std::string_view, std::string_view) { return none = false; });
  return none;
}

void RowState::Walk(KeyId key, std::string_view ns, const std::string* after,
                    const Visitor& visit) const {
  if (cold_ != nullptr && cold_->has_sub_rows()) return WalkBoth(key, ns, after, visit);
  const Target* target = Find(key, ns);
  if (target == nullptr) return;
  if (!target->is_group()) {
    if (after == nullptr) visit({}, BlobAt(target->slot())->value());
    return;
  }
  const auto& slots = target->group()->slots;
  auto at = after == nullptr ? slots.begin() : slots.upper_bound(*after);
  for (; at != slots.end(); ++at) {
    if (!visit(at->first, BlobAt(at->second)->value())) return;
  }
}

int64_t RowState::memory_bytes() const {
  return table_.memory_bytes() + by_key_.memory_bytes() + index_.memory_bytes();
}

void RowState::VisitSlots(uint32_t* slot, int64_t slots, const SlotVisitor& visit) const {
  const uint32_t size = table_.size();
  for (int64_t left = std::min<int64_t>(slots, size); left > 0; --left) {
    if (*slot >= size) *slot = 0;
    const uint32_t at = (*slot)++;
    if (!table_.live(at)) continue;
    const RowBlob* blob = BlobAt(at);
    visit(blob->key, blob->ns(), blob->sub_key(), blob->value());
  }
}

std::unique_ptr<TableSnapshot> RowState::Snapshot(TableMeta meta) {
  table_.FitPartitions(static_cast<uint64_t>(live_bytes_));
  return std::make_unique<RowTableSnapshot>(std::move(meta), table_.BeginSnapshot(), live_bytes_,
                                            left_out_until_ms_);
}

Status RowState::RestoreRow(uint32_t slot, KeyId key, std::string_view ns, std::string_view sub_key,
                            std::string_view value) {
  table_.EnsureSize(slot + 1);
  std::string_view stored;
  if (table_.live(slot) || Get(key, ns, sub_key, &stored)) {
    return Status::Corruption("row " + std::to_string(slot) + " is stored twice");
  }
  Insert(Find(key, ns), slot, key, ns, sub_key, value);
  return Status::Ok();
}

void RowState::FinishRestore(bool clean) {
  free_slots_.clear();
  for (uint32_t slot = table_.size(); slot-- > 0;) {
    if (!table_.live(slot)) free_slots_.push_back(slot);
  }
  if (clean) table_.MarkClean();
}

}  // namespace headrace
