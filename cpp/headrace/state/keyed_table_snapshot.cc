#include "headrace/state/keyed_table_snapshot.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/state/cold_key.h"
#include "headrace/state/key_row.h"
#include "headrace/state/row_blob.h"
#include "headrace/state/timer_row.h"

namespace headrace {
namespace {

// What a partition of this many rows takes to read again is less than the pieces it saves.
constexpr int64_t kWholeShare = 4;

bool ByPrefix(uint64_t a, uint64_t b) { return a < b; }

}  // namespace

// Walks places and reads each row once. Threading: owned by one thread.
class KeyedTableSnapshot::MemoryRows {
 public:
  MemoryRows(const KeyedTableSnapshot& table, std::pair<const Place*, const Place*> places)
      : table_(table), at_(places.first), end_(places.second) {
    Read();
  }

  bool done() const { return done_; }
  const std::string& row_key() const { return row_key_; }
  std::string_view value() const { return value_; }
  void Next() {
    ++at_;
    Read();
  }

 private:
  void Read() {
    while (at_ != end_ && !table_.ReadRow(at_->row, &row_key_, &value_)) ++at_;
    done_ = at_ == end_;
  }

  const KeyedTableSnapshot& table_;
  const Place* at_;
  const Place* end_;
  bool done_ = false;
  std::string row_key_;
  std::string_view value_;
};

KeyedTableSnapshot::KeyedTableSnapshot(Parts parts) : parts_(std::move(parts)) {
  content_.resize(std::max<size_t>(parts_.meta.row_bytes, sizeof(TimerRow)));
}

uint64_t KeyedTableSnapshot::PrefixOf(uint32_t row, const char* content) const {
  uint32_t id = row;
  if (parts_.content == Content::kBlob) {
    id = (*reinterpret_cast<const RowBlob* const*>(content))->key;
  } else if (parts_.content == Content::kTimer) {
    id = reinterpret_cast<const TimerRow*>(content)->key;
  }
  KeyRow key_row;
  HR_CHECK(parts_.keys->keys->ReadRow(id, reinterpret_cast<char*>(&key_row)));
  key_.Clear();
  key_row.key().Encode(&key_);
  return ColdPrefixOf(key_.view(), key_row.key_group);
}

bool KeyedTableSnapshot::ReadRow(uint32_t row, std::string* row_key,
                                 std::string_view* value) const {
  if (!parts_.pages->ReadRow(row, content_.data())) return false;
  const uint64_t prefix = PrefixOf(row, content_.data());
  std::string_view ns;
  std::string_view sub_key;
  std::string timer_key;
  switch (parts_.content) {
    case Content::kValueById:
      *value = {content_.data(), parts_.meta.row_bytes};
      break;
    case Content::kBlob: {
      const RowBlob* blob = *reinterpret_cast<const RowBlob* const*>(content_.data());
      ns = blob->ns();
      sub_key = blob->sub_key();
      *value = blob->value();
      break;
    }
    case Content::kTimer: {
      const auto* timer = reinterpret_cast<const TimerRow*>(content_.data());
      ns = timer->ns();
      timer_key = TimerSubKey(timer->domain(), timer->time);
      sub_key = timer_key;
      *value = {};
      break;
    }
  }
  row_key->clear();
  AppendRowKey(prefix, key_.view(), ns, sub_key, row_key);
  return true;
}

std::vector<KeyedTableSnapshot::Place> KeyedTableSnapshot::PlacesIn(bool changed_only,
                                                                    uint64_t begin,
                                                                    uint64_t end) const {
  std::vector<Place> places;
  parts_.pages->ForEachLive(changed_only, [&](uint32_t row, const char* content) {
    const uint64_t prefix = PrefixOf(row, content);
    if (begin <= prefix && prefix < end) places.push_back({prefix, row});
  });
  SortPlaces(&places);
  return places;
}

// Few keys have equal prefixes, but a key may have very many rows.
void KeyedTableSnapshot::SortPlaces(std::vector<Place>* places) const {
  std::sort(places->begin(), places->end(),
            [](const Place& a, const Place& b) { return ByPrefix(a.prefix, b.prefix); });
  std::vector<std::pair<std::string, Place>> keyed;
  std::string_view value;
  for (auto first = places->begin(); first != places->end();) {
    auto last = first + 1;
    while (last != places->end() && last->prefix == first->prefix) ++last;
    if (last - first > 1) {
      keyed.clear();
      for (auto at = first; at != last; ++at) {
        keyed.emplace_back(std::string(), *at);
        ReadRow(at->row, &keyed.back().first, &value);
      }
      std::sort(keyed.begin(), keyed.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
      std::transform(keyed.begin(), keyed.end(), first,
                     [](const auto& entry) { return entry.second; });
    }
    first = last;
  }
}

void KeyedTableSnapshot::ListChanges() const {
  if (listed_) return;
  listed_ = true;
  const ColdBuckets& buckets = parts_.buckets;
  if (full()) {
    partitions_.resize(buckets.count);
    std::iota(partitions_.begin(), partitions_.end(), 0);
    return;
  }
  changed_ = PlacesIn(/*changed_only=*/true, buckets.Begin(0), buckets.Begin(buckets.count));
  parts_.log.Sort();
  partitions_ = parts_.whole;
  const auto add = [this](uint32_t bucket) {
    if (partitions_.empty() || partitions_.back() != bucket) partitions_.push_back(bucket);
  };
  for (const Place& place : changed_) add(buckets.Of(place.prefix));
  for (const EpochLog::Entry& entry : parts_.log.entries()) {
    add(buckets.Of(ReadColdPrefix(entry.row_key)));
  }
  std::sort(partitions_.begin(), partitions_.end());
  partitions_.erase(std::unique(partitions_.begin(), partitions_.end()), partitions_.end());
}

const std::vector<uint32_t>& KeyedTableSnapshot::ChangedPartitions() const {
  ListChanges();
  return partitions_;
}

std::pair<const KeyedTableSnapshot::Place*, const KeyedTableSnapshot::Place*>
KeyedTableSnapshot::Changed(uint32_t bucket) const {
  const auto less = [](const Place& place, uint64_t prefix) { return place.prefix < prefix; };
  const auto first =
      std::lower_bound(changed_.begin(), changed_.end(), parts_.buckets.Begin(bucket), less);
  const auto last = std::lower_bound(first, changed_.end(), parts_.buckets.Begin(bucket + 1), less);
  return {changed_.data() + (first - changed_.begin()),
          changed_.data() + (last - changed_.begin())};
}

// Rows of memory are listed for as many buckets at once as hold about rows_per_pass of them: a walk
// over all pages for each bucket would be too long, a list of all rows too large.
std::pair<const KeyedTableSnapshot::Place*, const KeyedTableSnapshot::Place*>
KeyedTableSnapshot::Live(uint32_t bucket) {
  const ColdBuckets& buckets = parts_.buckets;
  if (bucket < live_first_ || bucket >= live_last_) {
    const int64_t rows = std::max<int64_t>(parts_.pages->live_rows(), 1);
    const int64_t share = parts_.keys->rows_per_pass * buckets.count / rows;
    const int64_t span =
        std::clamp<int64_t>(share, std::max<int64_t>(buckets.count / 4, 1), buckets.count);
    live_first_ = bucket;
    live_last_ = static_cast<uint32_t>(std::min<int64_t>(bucket + span, buckets.count));
    live_ = PlacesIn(/*changed_only=*/false, buckets.Begin(live_first_), buckets.Begin(live_last_));
  }
  const auto less = [](const Place& place, uint64_t prefix) { return place.prefix < prefix; };
  const auto first = std::lower_bound(live_.begin(), live_.end(), buckets.Begin(bucket), less);
  const auto last = std::lower_bound(first, live_.end(), buckets.Begin(bucket + 1), less);
  return {live_.data() + (first - live_.begin()), live_.data() + (last - live_.begin())};
}

Status KeyedTableSnapshot::EncodeDelta(uint32_t bucket, PartitionImage* out) {
  KeyedPartitionWriter writer(parts_.meta.row_bytes);
  MemoryRows memory(*this, Changed(bucket));
  const std::vector<EpochLog::Entry>& log = parts_.log.entries();
  const auto less = [](const EpochLog::Entry& entry, uint64_t prefix) {
    return ReadColdPrefix(entry.row_key) < prefix;
  };
  auto logged = std::lower_bound(log.begin(), log.end(), parts_.buckets.Begin(bucket), less);
  const auto end = std::lower_bound(logged, log.end(), parts_.buckets.Begin(bucket + 1), less);
  while (!memory.done() || logged != end) {
    const int order = memory.done()   ? 1
                      : logged == end ? -1
                                      : std::string_view(memory.row_key()).compare(logged->row_key);
    if (order <= 0) {
      writer.Add(memory.row_key(), memory.value());
      memory.Next();
    } else {
      writer.Add(logged->row_key, logged->value);
    }
    // What is dirty in memory came after what was logged.
    if (order >= 0) ++logged;
  }
  out->changed_rows = writer.rows();
  if (writer.rows() > 0) out->payload = writer.Finish(/*whole=*/false);
  return Status::Ok();
}

bool KeyedTableSnapshot::LeftOut(std::string_view value) const {
  if (!parts_.left_out_until_ms) return false;
  int64_t time_ms = 0;
  ByteReader in(value);
  return in.Fixed(&time_ms).ok() && time_ms <= *parts_.left_out_until_ms;
}

Status KeyedTableSnapshot::EncodeWhole(uint32_t bucket, PartitionImage* out) {
  KeyedPartitionWriter writer(parts_.meta.row_bytes);
  MemoryRows memory(*this, Live(bucket));
  Status bad;
  const auto add = [&](std::string_view row_key, std::string_view value) {
    if (!LeftOut(value)) writer.Add(row_key, value);
  };
  const auto visit = [&](std::string_view cold_key, std::string_view value) {
    uint16_t table = 0;
    if (!RowKeyOfColdKey(cold_key, &table, &value_)) {
      bad = Status::Corruption("the local store of rows gave a key that is none");
      return false;
    }
    if (table != parts_.table) return true;
    if (parts_.meta.row_bytes != 0 && value.size() != parts_.meta.row_bytes) {
      bad = Status::Corruption("the local store of rows gave a value of " +
                               std::to_string(value.size()) + " bytes");
      return false;
    }
    for (; !memory.done() && memory.row_key() < value_; memory.Next()) {
      add(memory.row_key(), memory.value());
    }
    if (!memory.done() && memory.row_key() == value_) return true;
    add(value_, value);
    return true;
  };
  if (parts_.in_store) {
    std::string begin;
    std::string end;
    AppendColdPrefix(parts_.buckets.Begin(bucket), &begin);
    AppendColdPrefix(parts_.buckets.Begin(bucket + 1), &end);
    HR_RETURN_IF_ERROR(parts_.keys->view->Scan(begin, end, visit));
    HR_RETURN_IF_ERROR(bad);
  }
  for (; !memory.done(); memory.Next()) add(memory.row_key(), memory.value());
  out->whole = true;
  out->live_rows = writer.rows();
  // A bucket without rows takes no block where nothing can be left of it.
  if (writer.rows() > 0 || !full()) out->payload = writer.Finish(/*whole=*/true);
  return Status::Ok();
}

Status KeyedTableSnapshot::ReadPartition(uint32_t index, bool want_whole, PartitionImage* out) {
  const std::vector<uint32_t>& partitions = ChangedPartitions();
  if (!std::binary_search(partitions.begin(), partitions.end(), index)) {
    return Status::Internal("partition " + std::to_string(index) + " is not part of the snapshot");
  }
  *out = {};
  if (!full() && !want_whole &&
      !std::binary_search(parts_.whole.begin(), parts_.whole.end(), index)) {
    HR_RETURN_IF_ERROR(EncodeDelta(index, out));
    const int64_t rows = std::max<int64_t>(parts_.rows / parts_.buckets.count, 1);
    out->live_rows = static_cast<uint32_t>(std::min<int64_t>(rows, UINT32_MAX));
    if (int64_t{out->changed_rows} * kWholeShare < rows) return Status::Ok();
    const uint32_t changed_rows = out->changed_rows;
    *out = {};
    HR_RETURN_IF_ERROR(EncodeWhole(index, out));
    out->changed_rows = changed_rows;
    return Status::Ok();
  }
  return EncodeWhole(index, out);
}

void KeyedTableSnapshot::Finish() {
  if (!parts_.pages) return;
  parts_.pages->Finish();
  parts_.keys.reset();
  parts_.log = EpochLog();
}

}  // namespace headrace
