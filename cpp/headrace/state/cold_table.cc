#include "headrace/state/cold_table.h"

#include "headrace/state/cold_buckets.h"
#include "headrace/state/cold_key.h"
#include "headrace/state/cold_tier.h"
#include "headrace/state/fixed_value_state.h"
#include "headrace/state/row_state.h"

namespace headrace {
namespace {

// Removals of a large namespace go to the store in pieces of this many rows.
constexpr size_t kClearedAtOnce = 4096;

}  // namespace

ColdTable::ColdTable(ColdTier* tier, uint16_t number, FixedValueState* fixed, RowState* rows)
    : tier_(tier), number_(number), fixed_(fixed), rows_(rows) {}

std::string ColdTable::RowKey(KeyId key, std::string_view ns, std::string_view sub_key) const {
  std::string_view canonical;
  const uint64_t prefix = tier_->KeyOf(key, &canonical);
  std::string row_key;
  AppendRowKey(prefix, canonical, ns, sub_key, &row_key);
  return row_key;
}

std::string ColdTable::ColdKey(KeyId key, std::string_view ns, std::string_view sub_key) const {
  std::string_view canonical;
  const uint64_t prefix = tier_->KeyOf(key, &canonical);
  std::string cold_key;
  AppendColdKey(prefix, canonical, number_, ns, sub_key, &cold_key);
  return cold_key;
}

void ColdTable::Log(std::string_view row_key, std::optional<std::string_view> value) {
  if (!whole_buckets_.empty()) {
    const ColdBuckets buckets{tier_->range(), buckets_};
    if (whole_buckets_[buckets.Of(ReadColdPrefix(row_key))]) return;
  }
  const int64_t former_bytes = log_.memory_bytes();
  log_.Add(row_key, value);
  tier_->AddLogBytes(log_.memory_bytes() - former_bytes);
  if (tier_->log_bytes() > tier_->log_bytes_max()) DropLog();
}

// The log must not outgrow its share of the budget however long an epoch lasts: the buckets that it
// tells of are written whole instead.
void ColdTable::DropLog() {
  const ColdBuckets buckets{tier_->range(), buckets_};
  whole_buckets_.resize(buckets_);
  for (const EpochLog::Entry& entry : log_.entries()) {
    whole_buckets_[buckets.Of(ReadColdPrefix(entry.row_key))] = true;
  }
  tier_->AddLogBytes(-log_.memory_bytes());
  log_ = EpochLog();
}

EpochLog ColdTable::TakeLog(std::vector<uint32_t>* whole) {
  whole->clear();
  for (uint32_t bucket = 0; bucket < whole_buckets_.size(); ++bucket) {
    if (whole_buckets_[bucket]) whole->push_back(bucket);
  }
  whole_buckets_.clear();
  tier_->AddLogBytes(-log_.memory_bytes());
  return std::exchange(log_, EpochLog());
}

void ColdTable::set_buckets(uint32_t count) {
  if (count == buckets_) return;
  buckets_ = count;
  // Only with a full snapshot, which needs no list of changes.
  if (!whole_buckets_.empty()) whole_buckets_.assign(count, true);
}

void ColdTable::NoteRemoved(KeyId key, std::string_view ns, std::string_view sub_key) {
  const bool plain = ns.empty() && sub_key.empty();
  const bool stored = plain ? tier_->InStore(key) : has_sub_rows_;
  if (stored) tier_->StageRemoval(ColdKey(key, ns, sub_key));
  if (stored || tier_->MayBeElsewhere(key)) Log(RowKey(key, ns, sub_key), std::nullopt);
}

void ColdTable::NoteRemovedForGood(KeyId key, std::string_view ns, std::string_view sub_key) {
  Log(RowKey(key, ns, sub_key), std::nullopt);
}

void ColdTable::NoteEvicted(KeyId key, std::string_view ns, std::string_view sub_key,
                            std::string_view value, bool unsaved, bool dirty) {
  (ns.empty() && sub_key.empty() ? has_plain_rows_ : has_sub_rows_) = true;
  ++stored_rows_;
  stored_bytes_ += kRowOverheadBytes + static_cast<int64_t>(value.size());
  if (unsaved) tier_->StageWrite(ColdKey(key, ns, sub_key), value);
  if (dirty) Log(RowKey(key, ns, sub_key), value);
}

void ColdTable::MakeRoom() {
  while (tier_->NeedsRoom() && rows_->EvictSubRows(kAddedPerCheck, INT64_MAX) > 0) tier_->Flush();
}

std::optional<std::string> ColdTable::Get(KeyId key, std::string_view ns,
                                          std::string_view sub_key) {
  if (!has_sub_rows_) return std::nullopt;
  const std::string cold_key = ColdKey(key, ns, sub_key);
  if (tier_->removal_staged(cold_key)) return std::nullopt;
  return tier_->Get(cold_key);
}

bool ColdTable::RemoveStored(KeyId key, std::string_view ns, std::string_view sub_key) {
  const std::optional<std::string> value = Get(key, ns, sub_key);
  if (!value) return false;
  Took(value->size());
  tier_->StageRemoval(ColdKey(key, ns, sub_key));
  Log(RowKey(key, ns, sub_key), std::nullopt);
  return true;
}

void ColdTable::Walk(KeyId key, std::string_view ns, const std::string* after,
                     const Visitor& visit) {
  std::string_view canonical;
  const uint64_t prefix = tier_->KeyOf(key, &canonical);
  std::string start;
  AppendColdNamespace(prefix, canonical, number_, ns, &start);
  tier_->Scan(start, after, [&](std::string_view cold_key, std::string_view value) {
    return visit(cold_key.substr(start.size()), value);
  });
}

void ColdTable::Clear(KeyId key, std::string_view ns) {
  if (!has_sub_rows_) return;
  std::vector<std::string> sub_keys;
  std::string after;
  do {
    const bool first = after.empty() && sub_keys.empty();
    sub_keys.clear();
    Walk(key, ns, first ? nullptr : &after, [&](std::string_view sub_key, std::string_view value) {
      sub_keys.emplace_back(sub_key);
      Took(value.size());
      return sub_keys.size() < kClearedAtOnce;
    });
    for (const std::string& sub_key : sub_keys) {
      tier_->StageRemoval(ColdKey(key, ns, sub_key));
      Log(RowKey(key, ns, sub_key), std::nullopt);
    }
    if (!sub_keys.empty()) after = sub_keys.back();
  } while (sub_keys.size() == kClearedAtOnce);
}

Status ColdTable::LoadPlain(KeyId key, std::string_view value) {
  Took(value.size());
  if (rows_ != nullptr) {
    rows_->LoadRow(key, {}, {}, value);
    return Status::Ok();
  }
  if (value.size() != static_cast<size_t>(fixed_->table().row_bytes())) {
    return Status::Corruption("the local store of rows gave a value of " +
                              std::to_string(value.size()) + " bytes where each has " +
                              std::to_string(fixed_->table().row_bytes()));
  }
  fixed_->LoadValue(key, value);
  return Status::Ok();
}

void ColdTable::NoteRestored(int64_t rows, int64_t bytes, bool plain, bool sub_rows) {
  stored_rows_ += rows;
  stored_bytes_ += bytes + rows * kRowOverheadBytes;
  has_plain_rows_ |= plain;
  has_sub_rows_ |= sub_rows;
}

}  // namespace headrace
