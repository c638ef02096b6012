#include "headrace/state/cold_tier.h"

#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/cold_key.h"

namespace headrace {
namespace {

constexpr int64_t kKeysPerLoad = 1024;
constexpr int64_t kStagedRowBytes = 96;

}  // namespace

ColdTier::ColdTier(std::unique_ptr<ColdStore> store, KeyDictionary* keys, KeyGroupRange range,
                   int max_parallelism)
    : store_(std::move(store)), keys_(keys), range_(range), max_parallelism_(max_parallelism) {}

ColdTier::~ColdTier() = default;

ColdTable* ColdTier::AddTable(FixedValueState* fixed, RowState* rows) {
  HR_CHECK_LT(tables_.size(), size_t{UINT16_MAX});
  return &tables_.emplace_back(this, static_cast<uint16_t>(tables_.size()), fixed, rows);
}

uint64_t ColdTier::KeyOf(KeyId id, std::string_view* canonical) {
  scratch_.Clear();
  keys_->KeyOf(id).Encode(&scratch_);
  *canonical = scratch_.view();
  return ColdPrefixOf(*canonical, static_cast<uint16_t>(keys_->KeyGroupOf(id)));
}

void ColdTier::Load(const KeyId* ids, int64_t count) {
  for (int64_t i = 0; i < count; ++i) born_[ids[i]] = epoch_;
  const bool any = std::any_of(tables_.begin(), tables_.end(),
                               [](const ColdTable& table) { return table.has_plain_rows(); });
  if (!any) return;
  for (int64_t done = 0; done < count; done += kKeysPerLoad) {
    LoadRun(ids + done, std::min(kKeysPerLoad, count - done));
  }
}

void ColdTier::LoadRun(const KeyId* ids, int64_t count) {
  // One buffer for all keys; views are taken when it no longer grows.
  struct Lookup {
    size_t at;
    size_t bytes;
    KeyId id;
    ColdTable* table;
  };
  std::string buffer;
  std::vector<Lookup> lookups;
  lookups.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    std::string_view canonical;
    const uint64_t prefix = KeyOf(ids[i], &canonical);
    for (ColdTable& table : tables_) {
      if (!table.has_plain_rows()) continue;
      const size_t at = buffer.size();
      AppendColdKey(prefix, canonical, table.number(), {}, {}, &buffer);
      lookups.push_back({at, buffer.size() - at, ids[i], &table});
    }
  }
  const auto key_of = [&buffer](const Lookup& lookup) {
    return std::string_view(buffer).substr(lookup.at, lookup.bytes);
  };
  std::sort(lookups.begin(), lookups.end(),
            [&](const Lookup& a, const Lookup& b) { return key_of(a) < key_of(b); });
  std::vector<std::string_view> keys;
  keys.reserve(lookups.size());
  for (const Lookup& lookup : lookups) keys.push_back(key_of(lookup));
  std::vector<std::optional<std::string>> values;
  Status status = store_->MultiGet(keys, &values);
  if (!status.ok()) return Fail(status);
  for (size_t i = 0; i < lookups.size(); ++i) {
    if (!values[i]) continue;
    born_[lookups[i].id] = kStored;
    status = lookups[i].table->LoadPlain(lookups[i].id, *values[i]);
    if (!status.ok()) return Fail(status);
  }
}

void ColdTier::StageWrite(std::string cold_key, std::string_view value) {
  staged_bytes_ += kStagedRowBytes + static_cast<int64_t>(cold_key.size() + value.size());
  writes_.emplace_back(std::move(cold_key), value);
}

void ColdTier::StageRemoval(std::string cold_key) {
  const auto bytes = static_cast<int64_t>(cold_key.size());
  if (removals_.insert(std::move(cold_key)).second) staged_bytes_ += kStagedRowBytes + bytes;
}

void ColdTier::Flush() {
  if (removals_.empty() && writes_.empty()) return;
  std::sort(writes_.begin(), writes_.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  // Both in order, a removal before the write of the same key.
  std::vector<ColdWrite> batch;
  batch.reserve(removals_.size() + writes_.size());
  auto removal = removals_.begin();
  for (const auto& [key, value] : writes_) {
    for (; removal != removals_.end() && *removal <= key; ++removal) {
      if (*removal < key) batch.push_back({*removal, std::nullopt});
    }
    batch.push_back({key, value});
  }
  for (; removal != removals_.end(); ++removal) batch.push_back({*removal, std::nullopt});
  if (const Status status = store_->Apply(batch); !status.ok()) Fail(status);
  rows_written_ += static_cast<int64_t>(writes_.size());
  removals_.clear();
  writes_.clear();
  staged_bytes_ = 0;
}

std::optional<std::string> ColdTier::Get(const std::string& cold_key) {
  const std::string_view key = cold_key;
  std::vector<std::optional<std::string>> values;
  const Status status = store_->MultiGet(std::span(&key, 1), &values);
  if (!status.ok()) Fail(status);
  return status.ok() ? std::move(values[0]) : std::nullopt;
}

void ColdTier::Scan(const std::string& prefix, const std::string* after, const ColdVisitor& visit) {
  Flush();
  std::string begin = prefix;
  if (after != nullptr) {
    begin += *after;
    begin.push_back('\0');  // the next key there can be
  }
  const Status status = store_->Scan(begin, {}, [&](std::string_view key, std::string_view value) {
    return key.starts_with(prefix) && visit(key, value);
  });
  if (!status.ok()) Fail(status);
}

int64_t ColdTier::memory_bytes() const {
  return store_->memory_bytes() + log_bytes_ + staged_bytes_ + born_.memory_bytes();
}

}  // namespace headrace
