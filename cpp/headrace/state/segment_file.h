#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "headrace/base/env.h"
#include "headrace/state/cold_index.h"

namespace headrace {

/// A key and its value as they lie in a segment; the views are of the buffer they were read into.
struct SegmentRecord {
  std::string_view key;
  std::string_view value;
};

/// One file of records of a PageFileStore, never changed but at its end. The file goes with this
/// object.
/// Threading: Read() by any thread, of what was there when the caller learned of it.
class SegmentFile {
 public:
  /// A new file; kAlreadyExists when there is one. `disk_bytes` is charged with what it holds;
  /// both pointers outlive it.
  static Result<std::shared_ptr<SegmentFile>> Create(FileSystem* files, std::string path,
                                                     std::atomic<int64_t>* disk_bytes);
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  /// Appends whole records. After a failure the segment takes no more, and what it had before is
  /// still good. Threading: one thread at a time.
  Status Append(std::string_view records);
  /// No more is appended. Threading: as Append.
  Status Seal();
  bool sealed() const { return writer_ == nullptr; }

  /// Reads bytes that may hold several records.
  Status Read(uint64_t offset, size_t size, std::string* out) const;
  /// The record at the start of `bytes`, which are the file's from `offset` on. kCorruption with
  /// file and offset where it is not what was written.
  Status Parse(std::string_view bytes, uint64_t offset, SegmentRecord* out) const;

  /// Bytes of records. Threading: as Append.
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

  static size_t RecordBytes(size_t key_bytes, size_t value_bytes);
  /// What is read to learn how long a record is.
  static size_t HeaderBytes();
  /// Length of the record whose header `bytes` start with; unchecked, but at least HeaderBytes().
  static uint64_t BytesOfRecordAt(std::string_view bytes);
  static void AppendRecord(std::string_view key, std::string_view value, std::string* out);

 private:
  SegmentFile(FileSystem* files, std::string path, std::unique_ptr<WritableFile> writer,
              std::unique_ptr<ReadableFile> reader, std::atomic<int64_t>* disk_bytes);

  FileSystem* const files_;
  const std::string path_;
  std::unique_ptr<WritableFile> writer_;  ///< null: sealed
  const std::unique_ptr<ReadableFile> reader_;
  std::atomic<int64_t>* const disk_bytes_;
  uint64_t size_ = 0;
};

}  // namespace headrace
