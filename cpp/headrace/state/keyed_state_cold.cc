// KeyedState as a row cache: what leaves memory, and its snapshot by keys.
#include <algorithm>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/keyed_state.h"
#include "headrace/state/keyed_state_impl.h"

namespace headrace {
namespace {

// Evicting goes a little below the limit, so that it is not needed after each batch.
constexpr int64_t kSlackShare = 64;
constexpr int64_t kEvictionsAtOnce = 512;
constexpr int64_t kLooksAtOnce = 4096;
// Evictions of one call, unless the budget is exceeded: about a millisecond for each thousand.
constexpr int64_t kEvictionsPerCall = 16 * 1024;
// What a partition takes, before it is compressed.
constexpr int64_t kBucketBytes = 64 * 1024;

}  // namespace

int64_t KeyedState::Impl::UsedBytes() const {
  // Tables by id keep the place of a released key for the next one.
  int64_t by_id = keys.memory_bytes_of_ids();
  // Rows that left memory but for an open snapshot: counted, evicting would go on to the last row
  // and gain nothing. They are no more than the cache held at the barrier, and go when the snapshot
  // is written, however slow the disk.
  int64_t retired = 0;
  for (const auto& [name, state] : states) {
    if (state.fixed) by_id += state.meter->bytes();
    if (!state.rows) continue;
    by_id += state.rows->memory_bytes_of_ids();
    retired += state.rows->table().retired_block_bytes();
  }
  const double unused = keys.size() == 0 ? 0
                                         : 1 - static_cast<double>(keys.live_keys()) /
                                                   static_cast<double>(keys.size());
  // The store's share is set aside whole, also while it needs less: rows that an open snapshot
  // reads could not make room for it later.
  const int64_t store_bytes = cold ? cold->store()->memory_bytes() : 0;
  const int64_t store_share = cold ? memory_budget_bytes / KeyedState::kColdStoreShare : 0;
  // A row that is evicted takes more until the flush than it did before: counted, evicting would go
  // on to the last one.
  const int64_t staged_bytes = cold ? cold->staged_bytes() : 0;
  return MemoryBytes() - staged_bytes - retired - store_bytes + store_share -
         static_cast<int64_t>(static_cast<double>(by_id) * unused);
}

bool KeyedState::Impl::NeedsRoom() const { return cold && UsedBytes() > cache_bytes_max; }

void KeyedState::LimitCache(int64_t bytes) { impl_->cache_bytes_max = bytes; }

void KeyedState::SetWriteBack(std::function<Status()> write_back) {
  impl_->write_back = std::move(write_back);
}

bool KeyedState::caches_rows() const { return impl_->cold != nullptr; }

const Status& KeyedState::cold_status() const {
  static const Status ok;
  return impl_->cold ? impl_->cold->status() : ok;
}

std::map<std::string, int64_t> KeyedState::ColdStatistics() const {
  if (!impl_->cold) return {};
  std::map<std::string, int64_t> numbers = impl_->cold->store()->Statistics();
  numbers["disk_bytes"] = impl_->cold->store()->disk_bytes();
  numbers["rows_written"] = impl_->cold->rows_written();
  return numbers;
}

// A key can go when its plain rows are all that uses it.
bool KeyedState::Impl::EvictKey(KeyId id) {
  uint32_t plain = 0;
  for (const ColdTable& table : cold->tables()) {
    if (table.fixed() != nullptr && table.fixed()->Has(id)) ++plain;
    if (table.rows() != nullptr && table.rows()->HasPlainOnly(id)) ++plain;
  }
  if (plain != keys.uses(id)) return false;
  for (const ColdTable& table : cold->tables()) {
    if (table.fixed() != nullptr && table.fixed()->Has(id)) table.fixed()->Evict(id);
    if (table.rows() != nullptr && table.rows()->HasPlainOnly(id)) table.rows()->EvictPlain(id);
  }
  keys.ReleaseNow(id);
  return true;
}

int64_t KeyedState::Impl::EvictKeys(int64_t keys_max, int64_t looks_max) {
  int64_t evicted = 0;
  // Two rounds of the clock find every key that can go, however few there are.
  looks_max = std::min(looks_max, int64_t{2} * keys.size());
  for (; evicted < keys_max && looks_max > 0 && keys.live_keys() > 0; --looks_max) {
    if (++hand >= keys.size()) hand = 0;
    if (!keys.live(hand) || keys.TakeTouched(hand)) continue;
    if (EvictKey(hand)) ++evicted;
  }
  return evicted;
}

void KeyedState::Impl::MakeRoom() {
  if (write_back) {
    if (const Status status = write_back(); !status.ok()) return cold->Fail(status);
  }
  const int64_t target = cache_bytes_max - cache_bytes_max / kSlackShare;
  int64_t evicted = 0;
  // Two rounds of each clock come by every row that could go.
  int64_t looks = int64_t{2} * keys.size() + kEvictionsAtOnce;
  for (const ColdTable& table : cold->tables()) {
    if (table.rows() != nullptr) looks += int64_t{2} * table.rows()->table().size();
  }
  while (true) {
    const int64_t used = UsedBytes();
    if (used <= target || (evicted >= kEvictionsPerCall && used <= memory_budget_bytes)) break;
    // Rows with sub-keys first: they keep their keys in memory.
    int64_t round = 0;
    for (const ColdTable& table : cold->tables()) {
      if (table.rows() == nullptr) continue;
      round += table.rows()->EvictSubRows(kEvictionsAtOnce, kLooksAtOnce);
    }
    round += EvictKeys(kEvictionsAtOnce, kLooksAtOnce);
    looks -= kLooksAtOnce;
    evicted += round;
    if (round == 0 && looks <= 0) break;
  }
  cold->Flush();
  over_budget = UsedBytes() > memory_budget_bytes;
}

std::unique_ptr<TableSnapshot> KeyedState::Impl::FreezeTable(
    TableMeta meta, PagedTable* table, ColdTable* log, int64_t live_bytes,
    const std::shared_ptr<FrozenKeys>& frozen_keys) {
  KeyedTableSnapshot::Parts parts;
  parts.content = KeyedTableSnapshot::Content::kBlob;
  if (meta.row_bytes != 0) parts.content = KeyedTableSnapshot::Content::kValueById;
  if (log == timer_log) parts.content = KeyedTableSnapshot::Content::kTimer;
  meta.kind = TableKind::kKeyed;
  parts.meta = std::move(meta);
  parts.keys = frozen_keys;
  parts.table = log->number();
  parts.in_store = log->has_plain_rows() || log->has_sub_rows();
  parts.left_out_until_ms = cold->left_out_until_ms(log->number());
  parts.rows = table->live_rows() + log->stored_rows();
  parts.live_bytes = static_cast<uint64_t>(live_bytes + log->stored_bytes());
  uint32_t buckets = log->buckets();
  while (static_cast<int64_t>(parts.live_bytes) > kBucketBytes * buckets &&
         buckets < ColdBuckets::kMax) {
    buckets *= 2;
  }
  if (buckets != log->buckets()) {
    table->RequireFullSnapshot();
    log->set_buckets(buckets);
  }
  parts.buckets = {range, buckets};
  const bool changed = log->log_bytes() > 0 || table->dirty_rows() > 0;
  parts.log = log->TakeLog(&parts.whole);
  parts.pages = table->BeginSnapshot(/*frozen=*/changed || !parts.whole.empty());
  return std::make_unique<KeyedTableSnapshot>(std::move(parts));
}

void KeyedState::Impl::FreezeCache(KeyedStateSnapshot* snapshot) {
  auto frozen_keys = std::make_shared<FrozenKeys>();
  frozen_keys->keys = keys.Freeze();
  frozen_keys->arena = keys.arena();
  frozen_keys->store = cold->store();
  frozen_keys->view = cold->store()->MakeView();
  TableMeta meta;
  meta.name = kTimersTable;
  snapshot->tables.push_back(
      FreezeTable(meta, &timers.table(), timer_log, timers.live_bytes(), frozen_keys));
  for (const auto& [name, state] : states) {
    if (state.cold == nullptr) continue;
    meta.name = TableNameOf(name);
    meta.state_name = name;
    meta.fingerprint = state.fingerprint;
    meta.row_bytes = static_cast<uint32_t>(state.row_bytes);
    meta.compression = state.compression;
    PagedTable& table = state.fixed ? state.fixed->table() : state.rows->table();
    const int64_t live_bytes =
        state.fixed ? table.live_rows() * (state.row_bytes + 8) : state.rows->live_bytes();
    snapshot->tables.push_back(FreezeTable(meta, &table, state.cold, live_bytes, frozen_keys));
  }
  cold->EndEpoch();
}

}  // namespace headrace
