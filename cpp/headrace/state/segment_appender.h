#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headrace/state/cold_index.h"
#include "headrace/state/segment_file.h"

namespace headrace {

/// Appends records to segments of a directory, one after the other; cuts to a new one when the
/// newest is long enough.
/// Threading: owned by one thread.
class SegmentAppender {
 public:
  using Numbered = std::pair<uint32_t, std::shared_ptr<SegmentFile>>;

  /// `number` is that of the next segment, shared with other appenders. Pointers outlive this.
  SegmentAppender(FileSystem* files, std::string directory, uint32_t* number,
                  std::atomic<int64_t>* disk_bytes)
      : files_(files),
        directory_(std::move(directory)),
        next_number_(number),
        disk_bytes_(disk_bytes) {}

  /// Where the record will lie once Flush() returned Ok. May write what came before.
  Result<RecordPlace> Add(std::string_view key, std::string_view value);
  Status Flush();
  /// After a failure: what is not written yet is forgotten.
  void Abandon() { buffer_.clear(); }

  /// Segments are cut at about this length from now on.
  void set_segment_bytes(uint64_t bytes) { segment_bytes_ = bytes; }
  /// Segments that were made since the last call.
  std::vector<Numbered> TakeNew() { return std::exchange(new_, {}); }
  /// The one that is appended to; 0: none.
  uint32_t open_segment() const { return file_ != nullptr && !file_->sealed() ? number_ : 0; }

 private:
  Status StartSegment();

  FileSystem* const files_;
  const std::string directory_;
  uint32_t* const next_number_;
  std::atomic<int64_t>* const disk_bytes_;
  uint64_t segment_bytes_ = 0;
  uint32_t number_ = 0;
  std::shared_ptr<SegmentFile> file_;
  std::string buffer_;
  std::vector<Numbered> new_;
};

}  // namespace headrace
