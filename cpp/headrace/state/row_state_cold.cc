// RowState as a row cache: what happens where memory does not have a row.
#include <algorithm>
#include <utility>

#include "headrace/state/row_state.h"

namespace headrace {
namespace {

constexpr int64_t kLooksPerRow = 8;

bool IsPlain(std::string_view ns, std::string_view sub_key) {
  return ns.empty() && sub_key.empty();
}

}  // namespace

void RowState::CacheRows(ColdTable* cold) {
  cold_ = cold;
  table_.TrackUnsaved();
}

void RowState::LoadRow(KeyId key, std::string_view ns, std::string_view sub_key,
                       std::string_view value) {
  Insert(Find(key, ns), NewSlot(), key, ns, sub_key, value, /*loaded=*/true);
}

bool RowState::GetCold(KeyId key, std::string_view ns, std::string_view sub_key,
                       std::string_view* value) const {
  if (IsPlain(ns, sub_key)) return false;
  const std::optional<std::string> stored = cold_->Get(key, ns, sub_key);
  if (!stored) return false;
  // What is cached does not show.
  auto* self = const_cast<RowState*>(this);
  self->LoadRow(key, ns, sub_key, *stored);
  cold_->NoteLoaded(stored->size());
  *value = BlobAt(FindSlot(Find(key, ns), sub_key))->value();
  return true;
}

void RowState::NoteRemoved(const Target* target, KeyId key, std::string_view ns) {
  if (target == nullptr) return;
  if (!target->is_group()) return cold_->NoteRemoved(key, ns, {});
  for (const auto& [sub_key, slot] : target->group()->slots) cold_->NoteRemoved(key, ns, sub_key);
}

void RowState::WalkBoth(KeyId key, std::string_view ns, const std::string* after,
                        const Visitor& visit) const {
  const Target* target = Find(key, ns);
  std::map<std::string, uint32_t, std::less<>> single;
  const std::map<std::string, uint32_t, std::less<>>* slots = &single;
  if (target != nullptr && target->is_group()) {
    slots = &target->group()->slots;
  } else if (target != nullptr) {
    single.emplace(std::string(), target->slot());
  }
  auto at = after == nullptr ? slots->begin() : slots->upper_bound(*after);
  bool go_on = true;
  cold_->Walk(key, ns, after, [&](std::string_view sub_key, std::string_view value) {
    for (; go_on && at != slots->end() && at->first < sub_key; ++at) {
      go_on = visit(at->first, BlobAt(at->second)->value());
    }
    if (!go_on) return false;
    if (at != slots->end() && at->first == sub_key) {
      value = BlobAt(at->second)->value();
      ++at;
    }
    return go_on = visit(sub_key, value);
  });
  for (; go_on && at != slots->end(); ++at) go_on = visit(at->first, BlobAt(at->second)->value());
}

uint64_t RowState::CountNumbered(KeyId key, std::string_view ns) const {
  if (cold_ == nullptr || !cold_->has_sub_rows()) return Count(key, ns);
  const Target* target = Find(key, ns);
  const auto exists = [&](uint64_t number) {
    const std::string sub_key = NumberedSubKey(number);
    return FindSlot(target, sub_key) != kNoSlot || cold_->Get(key, ns, sub_key).has_value();
  };
  // All below the greatest that is in memory are somewhere.
  uint64_t low = 0;
  if (target != nullptr && target->is_group()) {
    for (const char byte : target->group()->slots.rbegin()->first) {
      low = (low << 8) | static_cast<uint8_t>(byte);
    }
    ++low;
  }
  uint64_t step = 1;
  while (exists(low + step - 1)) step *= 2;
  // The first that is missing is in [low + step / 2, low + step).
  uint64_t first = low + step / 2;
  uint64_t last = low + step - 1;
  while (first < last) {
    const uint64_t middle = first + (last - first) / 2;
    if (exists(middle)) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

void RowState::GiveToStore(uint32_t slot) {
  const RowBlob* blob = BlobAt(slot);
  cold_->NoteEvicted(blob->key, blob->ns(), blob->sub_key(), blob->value(), table_.unsaved(slot),
                     table_.dirty(slot));
  Take(Find(blob->key, blob->ns()), blob->key, blob->ns(), blob->sub_key());
}

void RowState::EvictPlain(KeyId key) { GiveToStore(by_key_.Find(key)->slot()); }

int64_t RowState::EvictSubRows(int64_t rows_max, int64_t looks_max) {
  if (sub_rows_ == 0) return 0;
  int64_t evicted = 0;
  // Where there are few among many plain rows, a call must not be long.
  looks_max = std::min({looks_max, int64_t{2} * table_.size(), kLooksPerRow * rows_max});
  for (; evicted < rows_max && looks_max > 0; --looks_max) {
    if (++hand_ >= table_.size()) hand_ = 0;
    if (!table_.live(hand_)) continue;
    const RowBlob* blob = BlobAt(hand_);
    if (IsPlain(blob->ns(), blob->sub_key())) continue;
    uint8_t* read = read_.Find(hand_);
    if (read != nullptr && *read != 0) {
      *read = 0;
      continue;
    }
    GiveToStore(hand_);
    ++evicted;
  }
  return evicted;
}

}  // namespace headrace
