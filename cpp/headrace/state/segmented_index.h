#pragma once

#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include "headrace/base/check.h"
#include "headrace/state/memory_meter.h"

namespace headrace {

/// A hash index of small entries that never rehashes more than one segment of 4,096 slots at a
/// time, so that the worst insertion stays far below 1 ms however large it grows.
///
/// Extendible hashing: the top bits of a 32-bit hash pick a segment through a directory, the hash
/// scrambled a slot (linear probing, at most 17/32 full: mispredicted second probes cost more than
/// the memory). A full segment doubles up to 2,048 slots, has 2,896 and 4,096 next, and then splits
/// in two. So a large index is at least 3/8 full, one below 65,536 entries, which is small whatever
/// it is, half of that. Where equal hashes make splitting useless a segment goes on doubling. The
/// first one has 16 slots: thousands of small indexes are cheap.
///
/// `Entry` is trivially copyable; `Traits` has `Empty() -> Entry`, `IsEmpty(const Entry&)` and
/// `Hash(const Entry&) -> uint32_t`.
/// Threading: owned by one thread.
/// Source: Fagin et al., Extendible Hashing, TODS 1979.
template <typename Entry, typename Traits>
class SegmentedIndex {
 public:
  explicit SegmentedIndex(MemoryMeterPtr meter = nullptr) : meter_(std::move(meter)) {}
  ~SegmentedIndex() {
    FreeSegments();
    Charge(-DirectoryBytes());
  }
  SegmentedIndex(const SegmentedIndex&) = delete;
  SegmentedIndex& operator=(const SegmentedIndex&) = delete;

  /// The entry with this hash for which `equals(entry)`, or null. Valid until the next Insert or
  /// Erase.
  template <typename Equals>
  Entry* Find(uint32_t hash, const Equals& equals) const {
    const Segment segment = segments_[uint64_t{hash} >> shift_];
    for (uint64_t slot = segment.HomeOf(hash);; slot = segment.After(slot)) {
      Entry& entry = segment.entries[slot];
      if (Traits::IsEmpty(entry)) return nullptr;
      if (equals(entry)) return &entry;
    }
  }

  /// The slot where an entry with this hash lies unless others were in its way: what it holds may
  /// be empty or another entry. A loop over many keys can look here first, without a branch.
  const Entry& Home(uint32_t hash) const {
    const Segment& segment = segments_[uint64_t{hash} >> shift_];
    return segment.entries[segment.HomeOf(hash)];
  }

  /// Says how many entries there will be: as far as that is right, none of them is moved when the
  /// next ones are added. A segment takes memory from its first entry on, so a guess too high costs
  /// little. Does nothing for few, nor once there are an eighth of them.
  /// Cost: that of adding those that are there again.
  void Expect(int64_t entries) {
    if (entries < kSparseEntries || size_ > entries / 8) return;
    // Hashes do not fall evenly: a 32nd of them more leaves few segments to be enlarged.
    const auto each = [entries](int depth) {
      return (entries >> depth) + (entries >> (depth + 5));
    };
    int depth = 0;
    while (depth < kExpectedDepthMax && each(depth) > EntriesMax(kSlotsMax)) ++depth;
    first_slots_ = kSlotsMin;
    while (first_slots_ < kSlotsMax && each(depth) > EntriesMax(first_slots_)) {
      first_slots_ = MoreSlots(first_slots_);
    }
    std::vector<Entry> present;
    present.reserve(static_cast<size_t>(size_));
    ForEach([&present](const Entry& entry) { present.push_back(entry); });
    FreeSegments();
    Charge(-DirectoryBytes());
    directory_.assign(size_t{1} << depth, no_segment_);
    Charge(DirectoryBytes());
    segments_ = directory_.data();
    depth_ = depth;
    shift_ = 32 - depth;
    size_ = 0;
    for (const Entry& entry : present) Insert(entry);
  }

  /// Brings what Insert() of such a hash looks at into the processor's caches.
  void PrefetchInsert(uint32_t hash) const {
    const Segment& segment = segments_[uint64_t{hash} >> shift_];
    __builtin_prefetch(reinterpret_cast<const char*>(segment.entries) - sizeof(Header), /*rw=*/1);
    __builtin_prefetch(&segment.entries[segment.HomeOf(hash)], /*rw=*/1);
  }

  /// Adds an entry. REQUIRES: there is no equal one.
  void Insert(const Entry& entry) {
    const uint32_t hash = Traits::Hash(entry);
    if (directory_.empty()) {
      directory_.push_back(no_segment_);
      segments_ = directory_.data();
    }
    Segment* segment = &directory_[uint64_t{hash} >> shift_];
    if (!IsMade(*segment)) *segment = NewSegment(first_slots_, depth_);
    while (segment->header()->count >= EntriesMax(segment->header()->slots)) {
      MakeRoom(hash);
      segment = &directory_[uint64_t{hash} >> shift_];
    }
    Place(*segment, entry);
    ++segment->header()->count;
    ++size_;
  }

  /// Removes an entry that Find returned.
  void Erase(Entry* entry) {
    const Segment& segment = directory_[uint64_t{Traits::Hash(*entry)} >> shift_];
    uint64_t hole = static_cast<uint64_t>(entry - segment.entries);
    // Linear probing without tombstones: move back whatever the hole cuts off from its home slot.
    for (uint64_t slot = segment.After(hole);; slot = segment.After(slot)) {
      const Entry& candidate = segment.entries[slot];
      if (Traits::IsEmpty(candidate)) break;
      const uint64_t home = segment.HomeOf(Traits::Hash(candidate));
      if (segment.Distance(home, slot) >= segment.Distance(hole, slot)) {
        segment.entries[hole] = candidate;
        hole = slot;
      }
    }
    segment.entries[hole] = Traits::Empty();
    --segment.header()->count;
    --size_;
  }

  template <typename Visit>
  void ForEach(const Visit& visit) const {
    for (size_t i = 0; i < directory_.size();) {
      const Segment& segment = directory_[i];
      i += SpanOf(segment);
      for (uint64_t slot = 0; slot < segment.slots; ++slot) {
        if (!Traits::IsEmpty(segment.entries[slot])) visit(segment.entries[slot]);
      }
    }
  }

  int64_t size() const { return size_; }
  int64_t memory_bytes() const { return memory_bytes_; }

 private:
  static constexpr uint32_t kSlotsMin = 16;
  static constexpr uint32_t kSlotsMax = 4096;
  static constexpr uint32_t kSlotsBetween = 2896;  // of kSlotsMax / 2 and kSlotsMax, in proportion
  static constexpr int64_t kSparseEntries = 65536;
  static constexpr int kExpectedDepthMax = 20;  // of a directory before there are entries

  struct alignas(16) Header {
    uint32_t count;
    uint32_t slots;
    int depth;  // hash bits that all entries of the segment share
  };
  struct Segment {
    Entry* entries;
    uint64_t slots;
    // The top bits of a hash are alike in all of a segment: multiplying brings the others up.
    uint64_t HomeOf(uint32_t hash) const { return (uint64_t{hash * 0x9e3779b1u} * slots) >> 32; }
    uint64_t After(uint64_t slot) const { return slot + 1 == slots ? 0 : slot + 1; }
    // From slot `from` on to slot `to`.
    uint64_t Distance(uint64_t from, uint64_t to) const {
      return to >= from ? to - from : to + slots - from;
    }
    Header* header() const { return reinterpret_cast<Header*>(entries) - 1; }
  };

  // False for what stands in the directory for a segment that has no entry yet.
  static bool IsMade(const Segment& segment) { return segment.entries != &no_entry_; }
  // Neighbours in the directory that are one segment.
  size_t SpanOf(const Segment& segment) const {
    return IsMade(segment) ? size_t{1} << (depth_ - segment.header()->depth) : 1;
  }
  static uint32_t EntriesMax(uint32_t slots) { return slots * 17 / 32; }
  // What a segment of so many has next.
  static uint32_t MoreSlots(uint32_t slots) {
    if (slots == kSlotsMax / 2) return kSlotsBetween;
    return slots == kSlotsBetween ? kSlotsMax : slots * 2;
  }
  // What half of a split segment has: room for its entries and an eighth of their number, or more.
  uint32_t SlotsFor(uint32_t entries) const {
    uint32_t slots = size_ < kSparseEntries ? kSlotsMax : kSlotsMax / 2;
    while (EntriesMax(slots) < entries + (slots < kSlotsMax ? entries / 8 : 0)) {
      slots = MoreSlots(slots);
    }
    return slots;
  }

  Segment NewSegment(uint32_t slots, int depth) {
    const size_t bytes = sizeof(Header) + slots * sizeof(Entry);
    auto* header = static_cast<Header*>(std::malloc(bytes));
    HR_CHECK(header != nullptr);
    *header = {0, slots, depth};
    auto* entries = reinterpret_cast<Entry*>(header + 1);
    for (uint32_t i = 0; i < slots; ++i) entries[i] = Traits::Empty();
    Charge(static_cast<int64_t>(bytes));
    return {entries, slots};
  }
  void FreeSegments() {
    for (size_t i = 0; i < directory_.size();) {
      const Segment segment = directory_[i];
      i += SpanOf(segment);
      if (IsMade(segment)) FreeSegment(segment);
    }
  }
  // The first entry is not counted: a small index is its segment.
  int64_t DirectoryBytes() const {
    return directory_.empty() ? 0 : static_cast<int64_t>((directory_.size() - 1) * sizeof(Segment));
  }
  void FreeSegment(const Segment& segment) {
    Charge(-static_cast<int64_t>(sizeof(Header) + segment.header()->slots * sizeof(Entry)));
    std::free(segment.header());
  }
  void Charge(int64_t bytes) {
    memory_bytes_ += bytes;
    if (meter_) meter_->Add(bytes);
  }

  static void Place(const Segment& segment, const Entry& entry) {
    uint64_t slot = segment.HomeOf(Traits::Hash(entry));
    while (!Traits::IsEmpty(segment.entries[slot])) slot = segment.After(slot);
    segment.entries[slot] = entry;
  }

  // Enlarges or splits the segment of `hash`.
  void MakeRoom(uint32_t hash) {
    const Segment old = directory_[uint64_t{hash} >> shift_];
    const int local = old.header()->depth;
    const bool can_split =
        local < depth_ ||
        (depth_ < 31 && directory_.size() < 16 + static_cast<size_t>(size_) / 256);
    if (old.header()->slots < kSlotsMax || !can_split) {
      Segment bigger = NewSegment(MoreSlots(old.header()->slots), local);
      Move(old, [&](const Entry&) -> const Segment& { return bigger; });
      Point(hash, local, bigger);
      FreeSegment(old);
      return;
    }
    if (local == depth_) DoubleDirectory();
    const uint32_t bit = uint32_t{1} << (31 - local);
    uint32_t in_high = 0;
    for (uint64_t i = 0; i < old.slots; ++i) {
      const Entry& entry = old.entries[i];
      in_high += !Traits::IsEmpty(entry) && (Traits::Hash(entry) & bit) != 0;
    }
    // A half that got nearly all is as large as the whole and may have to split again.
    const Segment low = NewSegment(SlotsFor(old.header()->count - in_high), local + 1);
    const Segment high = NewSegment(SlotsFor(in_high), local + 1);
    Move(old, [&](const Entry& e) -> const Segment& { return Traits::Hash(e) & bit ? high : low; });
    Point(hash & ~bit, local + 1, low);
    Point(hash | bit, local + 1, high);
    FreeSegment(old);
  }

  template <typename Target>
  static void Move(const Segment& from, const Target& target) {
    for (uint64_t i = 0; i < from.slots; ++i) {
      const Entry& entry = from.entries[i];
      if (Traits::IsEmpty(entry)) continue;
      const Segment& to = target(entry);
      Place(to, entry);
      ++to.header()->count;
    }
  }

  // Lets all directory slots whose first `depth` hash bits are those of `hash` point to `segment`.
  void Point(uint32_t hash, int depth, const Segment& segment) {
    const size_t span = size_t{1} << (depth_ - depth);
    const size_t first = (uint64_t{hash} >> shift_) & ~(span - 1);
    for (size_t i = 0; i < span; ++i) directory_[first + i] = segment;
  }

  void DoubleDirectory() {
    std::vector<Segment> doubled;
    doubled.reserve(directory_.size() * 2);
    for (const Segment& segment : directory_) doubled.insert(doubled.end(), 2, segment);
    Charge(static_cast<int64_t>(directory_.size() * sizeof(Segment)));
    directory_ = std::move(doubled);
    segments_ = directory_.data();
    ++depth_;
    --shift_;
  }

  // What an index without entries looks into.
  static inline Entry no_entry_ = Traits::Empty();
  static inline const Segment no_segment_{&no_entry_, 1};

  const Segment* segments_ = &no_segment_;  // directory_.data(), once there is one
  MemoryMeterPtr meter_;
  std::vector<Segment> directory_;
  int depth_ = 0;                     // hash bits that index the directory
  int shift_ = 32;                    // 32 - depth_
  uint32_t first_slots_ = kSlotsMin;  // of a segment at its first entry
  int64_t size_ = 0;
  int64_t memory_bytes_ = 0;
};

}  // namespace headrace
