#include "headrace/state/row_state.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/state_table_snapshots.h"

namespace headrace {
namespace {

// Rows hold pointers, so a partition of 1,024 slots is about 64 KiB when encoded.
constexpr int kPagesPerPartition = 2;
constexpr size_t kFieldBytesMax = UINT32_MAX;
// Roughly a node of std::map with a short string.
constexpr int64_t kGroupRowBytes = 80;

}  // namespace

RowBlob* RowBlob::Make(uint64_t epoch, uint32_t key, std::string_view ns, std::string_view sub_key,
                       std::string_view value) {
  HR_CHECK(ns.size() <= kFieldBytesMax && sub_key.size() <= kFieldBytesMax);
  HR_CHECK_LE(value.size(), kFieldBytesMax);
  void* memory = std::malloc(sizeof(RowBlob) + ns.size() + sub_key.size() + value.size());
  HR_CHECK(memory != nullptr);
  auto* blob = static_cast<RowBlob*>(memory);
  blob->epoch = epoch;
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
    : keys_(keys), table_(sizeof(RowBlob*), kPagesPerPartition, meter), index_(meter) {
  table_.OwnRowMemory([](const char* row) { std::free(*reinterpret_cast<RowBlob* const*>(row)); });
}

RowState::~RowState() {
  index_.ForEach([](const Entry& entry) {
    if (entry.is_group()) delete entry.group();
  });
}

uint32_t RowState::HashOf(KeyId key, std::string_view ns) {
  const uint64_t ns_hash = ns.empty() ? 0 : Hash64(ns);
  return static_cast<uint32_t>(MixInt64(key ^ ns_hash) >> 32);
}

RowState::Entry* RowState::Find(uint32_t hash, KeyId key, std::string_view ns) const {
  return index_.Find(hash, [&](const Entry& entry) {
    if (entry.key != key || entry.hash != hash) return false;
    return (entry.is_group() ? std::string_view(entry.group()->ns) : BlobAt(entry.slot())->ns()) ==
           ns;
  });
}

bool RowState::Get(KeyId key, std::string_view ns, std::string_view sub_key,
                   std::string_view* value) const {
  const Entry* entry = Find(HashOf(key, ns), key, ns);
  if (entry == nullptr) return false;
  if (!entry->is_group()) {
    if (!sub_key.empty()) return false;
    *value = BlobAt(entry->slot())->value();
    return true;
  }
  const auto& slots = entry->group()->slots;
  const auto found = slots.find(sub_key);
  if (found == slots.end()) return false;
  *value = BlobAt(found->second)->value();
  return true;
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
                        std::string_view value) {
  RowBlob* blob = RowBlob::Make(table_.epoch(), key, ns, sub_key, value);
  *reinterpret_cast<RowBlob**>(table_.MutableRow(slot)) = blob;
  table_.Charge(blob->memory_bytes());
  live_bytes_ += blob->encoded_bytes();
}

void RowState::Update(uint32_t slot, std::string_view value) {
  RowBlob* old = BlobAt(slot);
  if (old->value_bytes == value.size() && old->epoch == table_.epoch()) {
    std::memmove(old->mutable_value(), value.data(), value.size());
    return;
  }
  // The value may lie in the old block, which is given up last.
  WriteNew(slot, old->key, old->ns(), old->sub_key(), value);
  live_bytes_ -= old->encoded_bytes();
  table_.Retire(old, old->memory_bytes());
}

void RowState::Insert(Entry* entry, uint32_t hash, uint32_t slot, KeyId key, std::string_view ns,
                      std::string_view sub_key, std::string_view value) {
  WriteNew(slot, key, ns, sub_key, value);
  if (entry == nullptr && sub_key.empty()) {
    index_.Insert({hash, key, Entry::OfSlot(slot)});
    keys_->AddUse(key);
    return;
  }
  if (entry == nullptr) {
    auto* group = new Group{std::string(ns), {}};
    group->slots.emplace(sub_key, slot);
    index_.Insert({hash, key, Entry::OfGroup(group)});
    keys_->AddUse(key);
  } else {
    if (!entry->is_group()) {
      auto* group = new Group{std::string(ns), {}};
      group->slots.emplace(std::string(), entry->slot());
      entry->target = Entry::OfGroup(group);
      table_.Charge(kGroupRowBytes);
    }
    entry->group()->slots.emplace(sub_key, slot);
  }
  table_.Charge(kGroupRowBytes + static_cast<int64_t>(sub_key.size()));
}

void RowState::Put(KeyId key, std::string_view ns, std::string_view sub_key,
                   std::string_view value) {
  const uint32_t hash = HashOf(key, ns);
  Entry* entry = Find(hash, key, ns);
  if (entry != nullptr && !entry->is_group() && sub_key.empty()) {
    Update(entry->slot(), value);
    return;
  }
  if (entry != nullptr && entry->is_group()) {
    const auto found = entry->group()->slots.find(sub_key);
    if (found != entry->group()->slots.end()) {
      Update(found->second, value);
      return;
    }
  }
  Insert(entry, hash, NewSlot(), key, ns, sub_key, value);
}

void RowState::EraseSlot(uint32_t slot) {
  RowBlob* blob = BlobAt(slot);
  live_bytes_ -= blob->encoded_bytes();
  table_.Erase(slot);
  table_.Retire(blob, blob->memory_bytes());
  free_slots_.push_back(slot);
}

void RowState::EraseEntry(Entry* entry) {
  const KeyId key = entry->key;
  if (entry->is_group()) delete entry->group();
  index_.Erase(entry);
  keys_->DropUse(key);
}

bool RowState::Remove(KeyId key, std::string_view ns, std::string_view sub_key) {
  Entry* entry = Find(HashOf(key, ns), key, ns);
  if (entry == nullptr) return false;
  if (!entry->is_group()) {
    if (!sub_key.empty()) return false;
    const uint32_t slot = entry->slot();
    EraseEntry(entry);
    EraseSlot(slot);
    return true;
  }
  auto& slots = entry->group()->slots;
  const auto found = slots.find(sub_key);
  if (found == slots.end()) return false;
  const uint32_t slot = found->second;
  // Both arguments may lie in what goes now: use them no more.
  table_.Charge(-kGroupRowBytes - static_cast<int64_t>(sub_key.size()));
  slots.erase(found);
  if (slots.empty()) EraseEntry(entry);
  EraseSlot(slot);
  return true;
}

void RowState::Clear(KeyId key, std::string_view ns) {
  Entry* entry = Find(HashOf(key, ns), key, ns);
  if (entry == nullptr) return;
  if (!entry->is_group()) {
    const uint32_t slot = entry->slot();
    EraseEntry(entry);
    EraseSlot(slot);
    return;
  }
  for (const auto& [sub_key, slot] : entry->group()->slots) {
    table_.Charge(-kGroupRowBytes - static_cast<int64_t>(sub_key.size()));
    EraseSlot(slot);
  }
  EraseEntry(entry);
}

uint64_t RowState::Count(KeyId key, std::string_view ns) const {
  const Entry* entry = Find(HashOf(key, ns), key, ns);
  if (entry == nullptr) return 0;
  return entry->is_group() ? entry->group()->slots.size() : 1;
}

void RowState::Walk(KeyId key, std::string_view ns, const std::string* after,
                    const Visitor& visit) const {
  const Entry* entry = Find(HashOf(key, ns), key, ns);
  if (entry == nullptr) return;
  if (!entry->is_group()) {
    if (after == nullptr) visit({}, BlobAt(entry->slot())->value());
    return;
  }
  const auto& slots = entry->group()->slots;
  auto at = after == nullptr ? slots.begin() : slots.upper_bound(*after);
  for (; at != slots.end(); ++at) {
    if (!visit(at->first, BlobAt(at->second)->value())) return;
  }
}

int64_t RowState::memory_bytes() const { return table_.memory_bytes() + index_.memory_bytes(); }

std::unique_ptr<TableSnapshot> RowState::Snapshot(TableMeta meta) {
  return std::make_unique<RowTableSnapshot>(std::move(meta), table_.BeginSnapshot(), live_bytes_);
}

Status RowState::RestoreRow(uint32_t slot, KeyId key, std::string_view ns, std::string_view sub_key,
                            std::string_view value) {
  table_.EnsureSize(slot + 1);
  std::string_view stored;
  if (table_.live(slot) || Get(key, ns, sub_key, &stored)) {
    return Status::Corruption("row " + std::to_string(slot) + " is stored twice");
  }
  const uint32_t hash = HashOf(key, ns);
  Insert(Find(hash, key, ns), hash, slot, key, ns, sub_key, value);
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
