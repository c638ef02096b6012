#include "headrace/state/ttl_rows.h"

#include <algorithm>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/state/list_rows.h"

namespace headrace {
namespace {

using TimedElement = std::pair<int64_t, std::string>;

constexpr size_t kTimeBytes = sizeof(int64_t);
// A visit to the store costs a search.
constexpr int64_t kStoreLooksMin = 256;
// Of all looks, those at rows in the store: they may be reads of a disk.
constexpr int64_t kStoreShare = 5;

// Rows are what Put wrote, or came through the checks of a restore.
int64_t TimeOf(std::string_view row) {
  int64_t time_ms = 0;
  ByteReader in(row);
  return in.Fixed(&time_ms).ok() ? time_ms : 0;
}

std::string_view ValueOf(std::string_view row) {
  return row.substr(std::min(row.size(), kTimeBytes));
}

std::vector<TimedElement> ParseList(std::string_view list) {
  std::vector<TimedElement> elements;
  ByteReader in(list);
  while (!in.done()) {
    int64_t time_ms = 0;
    std::string_view element;
    // What is no list was never written by Append; it would end here.
    if (!in.Fixed(&time_ms).ok() || !in.String(&element).ok()) break;
    elements.emplace_back(time_ms, element);
  }
  return elements;
}

}  // namespace

void TtlRows::PutAt(KeyId key, std::string_view ns, std::string_view sub_key, int64_t time_ms,
                    std::string_view value) {
  ByteWriter row;
  row.Fixed(time_ms);
  row.Raw(value);
  rows_->Put(key, ns, sub_key, row.view());
}

bool TtlRows::Get(KeyId key, std::string_view ns, std::string_view sub_key, std::string* value) {
  ++accesses_;
  std::string_view row;
  if (!rows_->Get(key, ns, sub_key, &row)) return false;
  *value = ValueOf(row);
  const int64_t now_ms = now();
  if (Over(TimeOf(row), now_ms)) {
    rows_->Remove(key, ns, sub_key);
    return spec_.return_expired;
  }
  if (spec_.update_on_read) PutAt(key, ns, sub_key, now_ms, *value);
  return true;
}

void TtlRows::Put(KeyId key, std::string_view ns, std::string_view sub_key,
                  std::string_view value) {
  ++accesses_;
  PutAt(key, ns, sub_key, now(), value);
}

void TtlRows::Remove(KeyId key, std::string_view ns, std::string_view sub_key) {
  ++accesses_;
  rows_->Remove(key, ns, sub_key);
}

bool TtlRows::ReadPage(KeyId key, std::string_view ns, const std::string* after, size_t entries_max,
                       std::deque<Entry>* page) {
  page->clear();
  const int64_t now_ms = now();
  std::string last;
  bool more = true;
  while (page->empty() && more) {
    std::vector<Entry> rows;
    rows_->Walk(key, ns, after, [&](std::string_view sub_key, std::string_view row) {
      rows.emplace_back(sub_key, row);
      return rows.size() < entries_max;
    });
    more = rows.size() >= entries_max;
    accesses_ += static_cast<int64_t>(rows.size());
    for (Entry& entry : rows) {
      std::string value(ValueOf(entry.second));
      last = entry.first;
      if (Over(TimeOf(entry.second), now_ms)) {
        rows_->Remove(key, ns, entry.first);
        if (!spec_.return_expired) continue;
      } else if (spec_.update_on_read) {
        PutAt(key, ns, entry.first, now_ms, value);
      }
      page->emplace_back(std::move(entry.first), std::move(value));
    }
    after = &last;
  }
  return more;
}

bool TtlRows::Empty(KeyId key, std::string_view ns) {
  ++accesses_;
  const int64_t now_ms = now();
  bool empty = true;
  rows_->Walk(key, ns, nullptr, [&](std::string_view, std::string_view row) {
    empty = !spec_.return_expired && Over(TimeOf(row), now_ms);
    return empty;
  });
  return empty;
}

void TtlRows::WriteList(KeyId key, std::string_view ns, const std::vector<TimedElement>& elements) {
  rows_->Clear(key, ns);
  ListAppender list(rows_, key, ns);
  for (const auto& [time_ms, element] : elements) {
    ByteWriter timed;
    timed.Fixed(time_ms);
    timed.String(element);
    list.Append(timed.view());
  }
  list.Finish();
}

std::vector<std::string> TtlRows::ReadList(KeyId key, std::string_view ns) {
  ++accesses_;
  const int64_t now_ms = now();
  std::vector<TimedElement> elements = ParseList(headrace::ReadList(*rows_, key, ns));
  std::vector<std::string> shown;
  std::vector<TimedElement> left;
  for (TimedElement& element : elements) {
    const bool over = Over(element.first, now_ms);
    if (!over || spec_.return_expired) shown.push_back(element.second);
    if (over) continue;
    left.emplace_back(spec_.update_on_read ? now_ms : element.first, std::move(element.second));
  }
  if (left.size() < elements.size() || (spec_.update_on_read && !left.empty())) {
    WriteList(key, ns, left);
  }
  return shown;
}

void TtlRows::Append(KeyId key, std::string_view ns, const std::vector<std::string>& elements) {
  ++accesses_;
  const int64_t now_ms = now();
  ListAppender list(rows_, key, ns);
  for (const std::string& element : elements) {
    ByteWriter timed;
    timed.Fixed(now_ms);
    timed.String(element);
    list.Append(timed.view());
  }
  list.Finish();
}

void TtlRows::Clear(KeyId key, std::string_view ns) {
  ++accesses_;
  rows_->Clear(key, ns);
}

void TtlRows::CleanUp(int64_t records) {
  const int64_t accesses = accesses_ + (spec_.sweep_by_record ? records : 0);
  accesses_ = 0;
  int64_t looks = accesses * spec_.sweep_rows;
  if (looks <= 0) return;
  if (sweep_ && sweep_->any()) {
    store_looks_ += looks;
    looks -= looks / kStoreShare;
    if (store_looks_ >= kStoreLooksMin * kStoreShare) {
      RemoveOverInStore(std::exchange(store_looks_, 0) / kStoreShare);
    }
  }
  RemoveOver(looks);
}

void TtlRows::RemoveOver(int64_t rows) {
  std::vector<Place> over;
  const int64_t now_ms = now();
  rows_->VisitSlots(
      &next_slot_, rows,
      [&](KeyId key, std::string_view ns, std::string_view sub_key, std::string_view row) {
        // A list segment begins with its oldest element, unless the clock was set back.
        if (Over(TimeOf(row), now_ms)) over.push_back({key, std::string(ns), std::string(sub_key)});
      });
  RemoveOver(over, now_ms);
}

void TtlRows::RemoveOverInStore(int64_t rows) {
  const int64_t now_ms = now();
  RemoveOver(sweep_->Next(rows, [&](std::string_view row) { return Over(TimeOf(row), now_ms); }),
             now_ms);
}

// What is at the places may have been used, or removed, since it was stored there.
void TtlRows::RemoveOver(const std::vector<Place>& places, int64_t now_ms) {
  for (const Place& place : places) {
    if (layout_ == Layout::kValues) {
      std::string_view row;
      const bool there = rows_->Get(place.key, place.ns, place.sub_key, &row);
      if (there && Over(TimeOf(row), now_ms)) rows_->Remove(place.key, place.ns, place.sub_key);
      continue;
    }
    // Segments are numbered without gaps, so the list is written anew. Its other segments may have
    // been met in this round too.
    std::vector<TimedElement> elements = ParseList(headrace::ReadList(*rows_, place.key, place.ns));
    const auto dead =
        std::remove_if(elements.begin(), elements.end(),
                       [&](const TimedElement& element) { return Over(element.first, now_ms); });
    if (dead == elements.end()) continue;
    elements.erase(dead, elements.end());
    WriteList(place.key, place.ns, elements);
  }
}

void TtlRows::BeforeSnapshot() {
  if (!spec_.leave_out_of_images || layout_ == Layout::kLists) return;
  rows_->LeaveOutOfImages(now() - spec_.ttl_ms);
  if (sweep_) sweep_->LeaveOutOfImages(now() - spec_.ttl_ms);
}

}  // namespace headrace
