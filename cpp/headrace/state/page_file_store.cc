#include "headrace/state/page_file_store.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "headrace/base/check.h"
#include "headrace/state/cold_index.h"
#include "headrace/state/record_cache.h"
#include "headrace/state/scratch_directory.h"
#include "headrace/state/segment_appender.h"
#include "headrace/state/segment_set.h"

namespace headrace {

namespace {

constexpr size_t kRowBytesMax = (size_t{1} << 30) - 1;
// Segments are cut so that there are about this many: each is an open file.
constexpr int64_t kSegmentsWanted = 32;
constexpr int64_t kSegmentBytesMin = 4 << 20;
constexpr int64_t kSegmentBytesMax = 1 << 30;
// Dead bytes are let be up to the live ones and this many.
constexpr int64_t kDeadBytesFree = 2 * kSegmentBytesMin;
// For each byte that a call writes or kills, so many are looked through for live ones. Where half
// is dead, the worst segment gives back at least half of what is looked through.
constexpr int64_t kLookedThroughPerByte = 4;
constexpr uint64_t kCompactionReadBytes = 256 << 10;
// A walk holds so many rows' bytes, and one row at least.
constexpr size_t kScanBytes = 1 << 20;
constexpr size_t kScanRows = 1024;

struct ScannedRow {
  std::string key;
  RecordPlace place;
  std::string value;
};

}  // namespace

class PageFileStore final : public ColdStore {
 public:
  PageFileStore(Env* env, const ColdStoreOptions& options,
                std::unique_ptr<ScratchDirectory> directory)
      : options_(options),
        directory_(std::move(directory)),
        segments_(std::make_shared<SegmentSet>()),
        written_(&env->files(), options.directory, &next_segment_, &disk_bytes_),
        moved_(&env->files(), options.directory, &next_segment_, &disk_bytes_) {}
  ~PageFileStore() override { HR_CHECK_EQ(open_views_.load(), 0); }

  Status Apply(std::span<const ColdWrite> writes) override;
  Status MultiGet(std::span<const std::string_view> keys,
                  std::vector<std::optional<std::string>>* values) override;
  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override;
  std::unique_ptr<ColdView> MakeView() override;

  int64_t memory_bytes() const override { return index_.total_bytes() + cache_.bytes(); }
  int64_t disk_bytes() const override { return disk_bytes_.load(std::memory_order_relaxed); }
  std::map<std::string, int64_t> Statistics() const override;

 private:
  class View;
  using Segments = std::shared_ptr<const SegmentSet>;

  /// What the Apply thread knows of a segment.
  struct SegmentUse {
    std::shared_ptr<SegmentFile> file;
    int64_t live_bytes = 0;
  };

  std::vector<ColdWrite> InOrder(std::span<const ColdWrite> writes) const;
  Status CheckRoom(std::span<const ColdWrite> writes) const;
  Status Write(std::span<const ColdWrite> writes, std::vector<IndexChange>* changes);
  /// Makes the changes seen, with the new segments of `appender`, and accounts for them. Returns
  /// the bytes that died.
  int64_t Publish(std::span<const IndexChange> changes, SegmentAppender* appender);
  /// Gives up segments that nothing is appended to and no key names; counts what is left.
  void DropDead();

  Status Compact(int64_t bytes_now);
  bool ChooseVictim();
  Result<uint64_t> CompactSome();

  Status ReadRecords(const SegmentSet& segments, std::span<RecordRead> reads) const;
  template <typename ReadIndex>
  Status ScanBy(std::string_view begin, const ReadIndex& read_index,
                const ColdVisitor& visit) const;
  int64_t CacheBytesMax() const {
    return std::max<int64_t>(0, options_.memory_bytes - index_.total_bytes());
  }

  const ColdStoreOptions options_;
  const std::unique_ptr<ScratchDirectory> directory_;  ///< goes last, with all files closed
  std::atomic<int64_t> disk_bytes_{0};

  mutable std::shared_mutex mutex_;  ///< guards the two below; written by the Apply thread only
  ColdIndex index_;
  Segments segments_;

  // Of the Apply thread.
  uint32_t next_segment_ = 1;
  SegmentAppender written_;
  SegmentAppender moved_;  ///< of their own: what outlived a compaction will live on
  std::unordered_map<uint32_t, SegmentUse> uses_;
  uint32_t victim_ = 0;  ///< segment that is being compacted; 0: none
  uint64_t victim_offset_ = 0;
  int64_t debt_bytes_ = 0;  ///< to be looked through by later calls

  RecordCache cache_;
  std::atomic<int> open_views_{0};
  std::atomic<int64_t> keys_{0};
  std::atomic<int64_t> stored_bytes_{0};  ///< of segments that are not dropped
  std::atomic<int64_t> live_bytes_{0};
  std::atomic<int64_t> bytes_written_{0};
  std::atomic<int64_t> bytes_moved_{0};
  mutable std::atomic<int64_t> block_reads_{0};
  mutable std::atomic<int64_t> bytes_read_{0};
};

class PageFileStore::View final : public ColdView {
 public:
  View(PageFileStore* store, ColdIndex::Version version, Segments segments)
      : store_(store), version_(std::move(version)), segments_(std::move(segments)) {
    ++store_->open_views_;
  }
  ~View() override {
    version_ = ColdIndex::Version();
    segments_.reset();
    --store_->open_views_;
  }

  Status Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) override {
    const auto read = [&](std::string_view from, const ColdIndex::Visitor& found) {
      version_.Read(from, end, found);
      return segments_;
    };
    return store_->ScanBy(begin, read, visit);
  }

 private:
  PageFileStore* const store_;
  ColdIndex::Version version_;
  Segments segments_;
};

// ------------------------------------------------------------------------------------- writing

std::vector<ColdWrite> PageFileStore::InOrder(std::span<const ColdWrite> writes) const {
  std::vector<ColdWrite> ordered(writes.begin(), writes.end());
  const auto less = [](const ColdWrite& a, const ColdWrite& b) { return a.key < b.key; };
  if (!std::is_sorted(ordered.begin(), ordered.end(), less)) {
    std::stable_sort(ordered.begin(), ordered.end(), less);
  }
  size_t kept = 0;  // only the last write of a key counts
  for (size_t i = 0; i < ordered.size(); ++i) {
    if (i + 1 < ordered.size() && ordered[i + 1].key == ordered[i].key) continue;
    ordered[kept++] = ordered[i];
  }
  ordered.resize(kept);
  return ordered;
}

Status PageFileStore::CheckRoom(std::span<const ColdWrite> writes) const {
  int64_t growth = 0;
  for (const ColdWrite& write : writes) {
    const size_t value_bytes = write.value ? write.value->size() : 0;
    if (write.key.size() > kRowBytesMax || value_bytes > kRowBytesMax - write.key.size()) {
      return Status::InvalidArgument("a row of state has " +
                                     std::to_string(write.key.size() + value_bytes) +
                                     " bytes; the disk state backend holds rows below 1 GiB");
    }
    if (write.value) growth += ColdIndex::BytesOfNewKey(write.key.size());
  }
  if (index_.newest_bytes() + growth <= options_.memory_bytes) return Status::Ok();
  // Near the limit it matters which keys are new.
  for (const ColdWrite& write : writes) {
    if (write.value && index_.Find(write.key)) growth -= ColdIndex::BytesOfNewKey(write.key.size());
  }
  if (growth <= 0 || index_.newest_bytes() + growth <= options_.memory_bytes) return Status::Ok();
  return Status::ResourceExhausted(
      "the disk state backend keeps all keys in memory, and " + std::to_string(index_.keys()) +
      " keys in '" + options_.directory + "' fill its " + std::to_string(options_.memory_bytes) +
      " bytes; raise state.memory-budget, or use the RocksDB state backend "
      "(EmbeddedRocksDBStateBackend, state.backend.type: rocksdb), which keeps keys on disk");
}

Status PageFileStore::Write(std::span<const ColdWrite> writes, std::vector<IndexChange>* changes) {
  changes->reserve(writes.size());
  for (const ColdWrite& write : writes) {
    IndexChange& change = changes->emplace_back(IndexChange{write.key, std::nullopt});
    if (!write.value) continue;
    HR_ASSIGN_OR_RETURN(change.place, written_.Add(write.key, *write.value));
  }
  return written_.Flush();
}

Status PageFileStore::Apply(std::span<const ColdWrite> writes) {
  if (writes.empty()) return Status::Ok();
  const std::vector<ColdWrite> ordered = InOrder(writes);
  HR_RETURN_IF_ERROR(CheckRoom(ordered));
  int64_t bytes = 0;
  for (const ColdWrite& write : ordered) {
    if (!write.value) continue;
    bytes += static_cast<int64_t>(SegmentFile::RecordBytes(write.key.size(), write.value->size()));
  }
  HR_RETURN_IF_ERROR(Compact(bytes + static_cast<int64_t>(kCompactionReadBytes)));
  const int64_t segment_bytes =
      std::clamp(stored_bytes_.load() / kSegmentsWanted, kSegmentBytesMin, kSegmentBytesMax);
  written_.set_segment_bytes(static_cast<uint64_t>(segment_bytes));
  moved_.set_segment_bytes(static_cast<uint64_t>(segment_bytes));
  std::vector<IndexChange> changes;
  const Status status = Write(ordered, &changes);
  if (!status.ok()) {
    // What did get written is dead from the start.
    written_.Abandon();
    Publish({}, &written_);
    return status.WithContext("state of the disk backend could not be written");
  }
  const int64_t died = Publish(changes, &written_);
  bytes_written_ += bytes;
  debt_bytes_ += kLookedThroughPerByte * (bytes + died);
  return Status::Ok();
}

int64_t PageFileStore::Publish(std::span<const IndexChange> changes, SegmentAppender* appender) {
  std::vector<RecordPlace> replaced;
  replaced.reserve(changes.size());
  auto made = appender->TakeNew();
  for (auto& [number, file] : made) uses_[number].file = file;
  {
    Segments kept;  // freed after the lock
    const std::unique_lock lock(mutex_);
    kept = segments_;
    for (auto& [number, file] : made) segments_ = segments_->With(number, std::move(file));
    index_.Update(changes, &replaced);
    keys_ = index_.keys();
  }
  int64_t died = 0;
  for (const IndexChange& change : changes) {
    if (!change.place) continue;
    uses_[change.place->segment].live_bytes += change.place->size;
    live_bytes_ += change.place->size;
  }
  for (const RecordPlace& place : replaced) {
    cache_.Erase(place);
    SegmentUse& use = uses_[place.segment];
    use.live_bytes -= place.size;
    live_bytes_ -= place.size;
    died += place.size;
  }
  DropDead();
  cache_.Shrink(CacheBytesMax());
  return died;
}

void PageFileStore::DropDead() {
  std::vector<uint32_t> dead;
  int64_t stored = 0;
  for (const auto& [number, use] : uses_) {
    if (use.live_bytes == 0 && use.file->sealed()) {
      dead.push_back(number);
    } else {
      stored += static_cast<int64_t>(use.file->size());
    }
  }
  stored_bytes_ = stored;
  for (const uint32_t number : dead) {
    const auto use = uses_.extract(number);  // whose last reference deletes the file, unlocked
    Segments kept;
    const std::unique_lock lock(mutex_);
    kept = std::exchange(segments_, segments_->Without(number));
    if (number == victim_) victim_ = 0;
  }
}

// ---------------------------------------------------------------------------------- compaction

bool PageFileStore::ChooseVictim() {
  const int64_t dead = stored_bytes_ - live_bytes_;
  if (dead <= live_bytes_ + kDeadBytesFree) return false;
  double most = 0;
  for (const auto& [number, use] : uses_) {
    if (!use.file->sealed() || use.file->size() == 0) continue;
    const double dead_share =
        1 - static_cast<double>(use.live_bytes) / static_cast<double>(use.file->size());
    // The lowest number among equals, so that a run can be repeated.
    if (dead_share < most || (dead_share == most && (victim_ == 0 || number > victim_))) continue;
    most = dead_share;
    victim_ = number;
  }
  victim_offset_ = 0;
  return victim_ != 0;
}

Status PageFileStore::Compact(int64_t bytes_now) {
  int64_t budget = std::min(debt_bytes_, kLookedThroughPerByte * bytes_now);
  while (budget > 0) {
    if (victim_ == 0 && !ChooseVictim()) {
      debt_bytes_ = 0;
      return Status::Ok();
    }
    auto looked_through = CompactSome();
    if (!looked_through.ok()) {
      moved_.Abandon();
      Publish({}, &moved_);
      return looked_through.status().WithContext(
          "files of the disk backend could not be compacted");
    }
    budget -= static_cast<int64_t>(*looked_through);
    debt_bytes_ -= static_cast<int64_t>(*looked_through);
  }
  debt_bytes_ = std::max<int64_t>(0, debt_bytes_);
  return Status::Ok();
}

// Looks through the next records of the victim and moves those that are still named.
Result<uint64_t> PageFileStore::CompactSome() {
  const std::shared_ptr<SegmentFile> file = uses_[victim_].file;
  uint64_t size = std::min(kCompactionReadBytes, file->size() - victim_offset_);
  std::string bytes;
  HR_RETURN_IF_ERROR(file->Read(victim_offset_, size, &bytes));
  if (bytes.size() >= SegmentFile::HeaderBytes() &&
      SegmentFile::BytesOfRecordAt(bytes) > bytes.size() &&
      SegmentFile::BytesOfRecordAt(bytes) <= file->size() - victim_offset_) {
    size = SegmentFile::BytesOfRecordAt(bytes);
    HR_RETURN_IF_ERROR(file->Read(victim_offset_, size, &bytes));
  }
  std::vector<IndexChange> changes;
  size_t at = 0;
  const std::string_view all = bytes;
  while (at < all.size()) {
    const std::string_view rest = all.substr(at);
    const bool whole = rest.size() >= SegmentFile::HeaderBytes() &&
                       SegmentFile::BytesOfRecordAt(rest) <= rest.size();
    if (!whole && at > 0) break;  // the next call begins with it
    SegmentRecord record;
    HR_RETURN_IF_ERROR(file->Parse(rest, victim_offset_ + at, &record));
    const size_t record_bytes = SegmentFile::RecordBytes(record.key.size(), record.value.size());
    const RecordPlace place{victim_, static_cast<uint32_t>(victim_offset_ + at),
                            static_cast<uint32_t>(record_bytes)};
    if (index_.Find(record.key) == place) {
      HR_ASSIGN_OR_RETURN(const RecordPlace moved, moved_.Add(record.key, record.value));
      changes.push_back({record.key, moved});
    }
    at += record_bytes;
  }
  HR_RETURN_IF_ERROR(moved_.Flush());
  std::sort(changes.begin(), changes.end(),
            [](const IndexChange& a, const IndexChange& b) { return a.key < b.key; });
  for (const IndexChange& change : changes) {
    bytes_moved_ += change.place->size;
    bytes_written_ += change.place->size;
  }
  victim_offset_ += at;
  const uint32_t victim = victim_;
  const bool done = victim_offset_ == file->size();
  Publish(changes, &moved_);
  if (done) HR_CHECK_EQ(uses_.count(victim), 0u);  // every live record was found
  return at;
}

// ------------------------------------------------------------------------------------- reading

Status PageFileStore::ReadRecords(const SegmentSet& segments, std::span<RecordRead> reads) const {
  ReadCounts counts;
  const Status status = segments.Read(reads, &counts);
  block_reads_ += counts.reads;
  bytes_read_ += counts.bytes;
  return status;
}

Status PageFileStore::MultiGet(std::span<const std::string_view> keys,
                               std::vector<std::optional<std::string>>* values) {
  values->assign(keys.size(), std::nullopt);
  std::vector<std::optional<RecordPlace>> places(keys.size());
  Segments segments;
  {
    const std::shared_lock lock(mutex_);
    segments = segments_;
    for (size_t i = 0; i < keys.size(); ++i) places[i] = index_.Find(keys[i]);
  }
  std::vector<RecordRead> reads;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!places[i]) continue;
    std::string* value = &(*values)[i].emplace();
    if (!cache_.Get(*places[i], value)) reads.push_back({keys[i], *places[i], value});
  }
  HR_RETURN_IF_ERROR(ReadRecords(*segments, reads));
  for (const RecordRead& read : reads) cache_.Put(read.place, *read.value, CacheBytesMax());
  return Status::Ok();
}

template <typename ReadIndex>
Status PageFileStore::ScanBy(std::string_view begin, const ReadIndex& read_index,
                             const ColdVisitor& visit) const {
  std::string from(begin);
  std::vector<ScannedRow> rows;
  std::vector<RecordRead> reads;
  bool more = true;
  while (more) {
    rows.clear();
    reads.clear();
    size_t bytes = 0;
    more = false;
    const Segments segments = read_index(from, [&](std::string_view key, const RecordPlace& place) {
      if (!rows.empty() && (rows.size() == kScanRows || bytes + place.size > kScanBytes)) {
        more = true;
        return false;
      }
      bytes += place.size;
      rows.push_back({std::string(key), place, {}});
      return true;
    });
    for (ScannedRow& row : rows) reads.push_back({row.key, row.place, &row.value});
    HR_RETURN_IF_ERROR(ReadRecords(*segments, reads));
    for (const ScannedRow& row : rows) {
      if (!visit(row.key, row.value)) return Status::Ok();
    }
    if (more) from = rows.back().key + '\0';
  }
  return Status::Ok();
}

Status PageFileStore::Scan(std::string_view begin, std::string_view end, const ColdVisitor& visit) {
  const auto read = [&](std::string_view from, const ColdIndex::Visitor& found) {
    const std::shared_lock lock(mutex_);
    index_.Read(from, end, found);
    return segments_;
  };
  return ScanBy(begin, read, visit);
}

std::unique_ptr<ColdView> PageFileStore::MakeView() {
  const std::shared_lock lock(mutex_);
  return std::make_unique<View>(this, index_.MakeVersion(), segments_);
}

std::map<std::string, int64_t> PageFileStore::Statistics() const {
  int64_t files = 0;
  {
    const std::shared_lock lock(mutex_);
    files = static_cast<int64_t>(segments_->size());
  }
  return {{"keys", keys_},
          {"index_bytes", index_.total_bytes()},
          {"block_cache_bytes", cache_.bytes()},
          {"block_cache_hits", cache_.hits()},
          {"block_cache_misses", cache_.misses()},
          {"block_reads", block_reads_},
          {"bytes_read", bytes_read_},
          {"bytes_written", bytes_written_},
          {"bytes_moved", bytes_moved_},
          {"disk_bytes", disk_bytes()},
          {"live_bytes", live_bytes_},
          {"files", files}};
}

namespace {

class PageFileStoreFactory final : public ColdStoreFactory {
 public:
  std::string_view name() const override { return "disk"; }
  Result<std::unique_ptr<ColdStore>> Open(Env* env, const ColdStoreOptions& options) override {
    HR_ASSIGN_OR_RETURN(auto directory, ScratchDirectory::Make(&env->files(), options.directory));
    return std::unique_ptr<ColdStore>(
        std::make_unique<PageFileStore>(env, options, std::move(directory)));
  }
};

}  // namespace

std::shared_ptr<ColdStoreFactory> MakePageFileStoreFactory() {
  return std::make_shared<PageFileStoreFactory>();
}

}  // namespace headrace
