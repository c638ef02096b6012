#pragma once

#include <memory>
#include <string>

#include "headrace/base/env.h"
#include "headrace/base/hash.h"

namespace headrace {

/// A new file written through a buffer, whose size and digest are known when it is closed.
///
/// Every failure names the path. After one the file's content is unknown: abandon it.
/// Threading: owned by one thread at a time.
class DigestingFile {
 public:
  static constexpr size_t kBufferBytes = 256 << 10;

  /// kAlreadyExists when the name is taken.
  static Result<std::unique_ptr<DigestingFile>> Create(FileSystem& files, const std::string& path);

  Status Append(std::string_view bytes);
  /// Writes the buffer out, syncs and closes. Nothing may follow.
  Status SyncAndClose();

  const std::string& path() const { return path_; }
  /// Bytes appended so far, buffered ones included.
  uint64_t size_bytes() const { return size_bytes_; }
  /// XXH3-128 of the content. REQUIRES: SyncAndClose() returned Ok.
  Digest128 digest() const { return digest_.Digest(); }

 private:
  DigestingFile(std::string path, std::unique_ptr<WritableFile> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  Status WriteOut();

  const std::string path_;
  std::unique_ptr<WritableFile> file_;
  std::string buffer_;
  Hash128Stream digest_;
  uint64_t size_bytes_ = 0;
};

}  // namespace headrace
