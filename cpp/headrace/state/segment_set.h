#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/cold_index.h"
#include "headrace/state/segment_file.h"

namespace headrace {

/// A record to read, and where its value goes. The key is what the record must have.
struct RecordRead {
  std::string_view key;
  RecordPlace place;
  std::string* value = nullptr;
};

/// How much a read took from files.
struct ReadCounts {
  int64_t reads = 0;
  int64_t bytes = 0;
};

/// The segments that a place may name, by number. Holds the files, so that a view reads on in
/// segments which its store has dropped.
/// Threading: immutable.
class SegmentSet {
 public:
  SegmentSet() = default;

  /// The same with one more, whose number is the highest, or with one less.
  std::shared_ptr<const SegmentSet> With(uint32_t number, std::shared_ptr<SegmentFile> file) const;
  std::shared_ptr<const SegmentSet> Without(uint32_t number) const;

  size_t size() const { return segments_.size(); }
  /// REQUIRES: there is such a segment.
  SegmentFile* Find(uint32_t number) const;

  /// Reads in order of places, what lies close together at once. kCorruption with file and offset
  /// when a record is damaged or another key's. `reads` is sorted.
  Status Read(std::span<RecordRead> reads, ReadCounts* counts) const;

 private:
  struct Numbered {
    uint32_t number;
    std::shared_ptr<SegmentFile> file;
  };
  std::vector<Numbered> segments_;  ///< ascending
};

}  // namespace headrace
