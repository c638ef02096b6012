#include "headrace/state/segment_set.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "headrace/base/check.h"

namespace headrace {

namespace {

// Up to this many unwanted bytes are read for the sake of one call less, and this many in one call
// unless a record is longer.
constexpr uint64_t kGapBytesMax = 4096;
constexpr uint64_t kReadBytesMax = 256 << 10;

}  // namespace

std::shared_ptr<const SegmentSet> SegmentSet::With(uint32_t number,
                                                   std::shared_ptr<SegmentFile> file) const {
  auto set = std::make_shared<SegmentSet>(*this);
  set->segments_.push_back({number, std::move(file)});
  return set;
}

std::shared_ptr<const SegmentSet> SegmentSet::Without(uint32_t number) const {
  auto set = std::make_shared<SegmentSet>(*this);
  std::erase_if(set->segments_, [&](const Numbered& one) { return one.number == number; });
  return set;
}

SegmentFile* SegmentSet::Find(uint32_t number) const {
  const auto found =
      std::lower_bound(segments_.begin(), segments_.end(), number,
                       [](const Numbered& one, uint32_t wanted) { return one.number < wanted; });
  HR_CHECK(found != segments_.end() && found->number == number);
  return found->file.get();
}

Status SegmentSet::Read(std::span<RecordRead> reads, ReadCounts* counts) const {
  std::sort(reads.begin(), reads.end(), [](const RecordRead& a, const RecordRead& b) {
    return std::tie(a.place.segment, a.place.offset) < std::tie(b.place.segment, b.place.offset);
  });
  std::string bytes;
  for (size_t from = 0; from < reads.size();) {
    const uint32_t number = reads[from].place.segment;
    const uint64_t begin = reads[from].place.offset;
    uint64_t end = begin + reads[from].place.size;
    size_t to = from + 1;
    for (; to < reads.size() && reads[to].place.segment == number; ++to) {
      const uint64_t next_end = uint64_t{reads[to].place.offset} + reads[to].place.size;
      if (reads[to].place.offset > end + kGapBytesMax || next_end - begin > kReadBytesMax) break;
      end = std::max(end, next_end);
    }
    const SegmentFile* file = Find(number);
    HR_RETURN_IF_ERROR(file->Read(begin, end - begin, &bytes));
    ++counts->reads;
    counts->bytes += static_cast<int64_t>(end - begin);
    for (; from < to; ++from) {
      const RecordRead& read = reads[from];
      const auto record =
          std::string_view(bytes).substr(read.place.offset - begin, read.place.size);
      SegmentRecord found;
      HR_RETURN_IF_ERROR(file->Parse(record, read.place.offset, &found));
      if (found.key != read.key) {
        return Status::Corruption("state file '" + file->path() + "', offset " +
                                  std::to_string(read.place.offset) +
                                  ": the record is another key's");
      }
      read.value->assign(found.value);
    }
  }
  return Status::Ok();
}

}  // namespace headrace
