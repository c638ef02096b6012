#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "headrace/base/early_writeback.h"
#include "headrace/base/env.h"
#include "headrace/base/hash.h"
#include "headrace/base/status.h"
#include "headrace/storage/block.h"

namespace headrace {

/// Length of the header of a checkpoint file in the clear; that of an encrypted one goes on with a
/// FileKeyHeader.
inline constexpr size_t kCheckpointFileHeaderBytes = 48;

/// Whom a checkpoint file belongs to, so that a file of another job or checkpoint is not taken for
/// it.
struct CheckpointFileIdentity {
  uint64_t job_key_hash = 0;   ///< Hash64 of the job key
  uint64_t checkpoint_id = 0;  ///< that wrote the file
  uint64_t epoch = 0;          ///< fence: number of the process run that wrote it
  bool operator==(const CheckpointFileIdentity&) const = default;
};

/// Makes the cipher of the file `path`, of that identity, with the named key; null for "".
Result<std::unique_ptr<FileCipher>> CipherFor(Env* env, const std::string& key_id,
                                              const std::string& path,
                                              const CheckpointFileIdentity& identity);

/// Where a block lies, and the digest its reader must find (see WriteBlock()).
struct BlockRef {
  uint64_t offset = 0;
  uint64_t block_bytes = 0;        ///< header and payload as stored
  uint64_t raw_bytes = 0;          ///< payload before compression
  CodecId codec = CodecId::kNone;  ///< it is stored with; not compared
  Digest128 digest;
};

/// A finished file: what the manifest says of it.
struct CheckpointFileSummary {
  uint64_t size_bytes = 0;
  Digest128 digest;  ///< XXH3-128 of all bytes
};

/// Writes a file of many blocks; the bytes are drawn in checkpoint_file.cc.
///
/// Create, Append any number of times, Finish. After a failure every later call returns it again:
/// the file is to be abandoned and written anew under another name. Dropping the writer before
/// Finish() abandons it too; the file stays for clean-up. The caller syncs the directory, once for
/// all its files.
/// Threading: owned by one thread.
class CheckpointFileWriter {
 public:
  /// kAlreadyExists when the name is taken. With a cipher (see CipherFor()) all blocks are
  /// encrypted and only the owner may read the file.
  static Result<std::unique_ptr<CheckpointFileWriter>> Create(
      FileSystem& files, const std::string& path, const CheckpointFileIdentity& identity,
      std::unique_ptr<FileCipher> cipher = nullptr);

  Result<BlockRef> Append(const BlockOptions& options, std::string_view payload);
  /// Syncs and closes; from then on the content survives power loss. Called at most once.
  Result<CheckpointFileSummary> Finish();

  uint64_t size_bytes() const { return size_bytes_; }

 private:
  CheckpointFileWriter(std::unique_ptr<WritableFile> file, std::string path,
                       std::unique_ptr<FileCipher> cipher);
  Status Write(std::string_view bytes);

  std::unique_ptr<WritableFile> file_;
  EarlyWriteback* early_ = nullptr;  // the same file, where it can
  uint64_t started_bytes_ = 0;       // when the writing out was started last
  std::string path_;
  std::unique_ptr<FileCipher> cipher_;
  uint64_t blocks_ = 0;
  std::string buffer_;
  uint64_t size_bytes_ = 0;
  Hash128Stream digest_;
  Status failure_;
};

/// Reads blocks of a checkpoint file by reference. Errors name file and offset.
/// Threading: thread-safe after Open().
class CheckpointFileReader {
 public:
  /// kCorruption when the header is damaged or not that of a checkpoint file; kUnimplemented when a
  /// newer headrace wrote it; kFailedPrecondition naming the key when that of an encrypted file is
  /// missing or wrong.
  static Result<std::unique_ptr<CheckpointFileReader>> Open(FileSystem& files,
                                                            const std::string& path);

  const CheckpointFileIdentity& identity() const { return identity_; }
  /// Id of the key that the blocks are encrypted with; "": they are in the clear.
  std::string key_id() const { return cipher_ ? cipher_->header().key_id : ""; }
  /// Where the first block begins.
  uint64_t header_bytes() const { return header_bytes_; }
  const FileCipher* cipher() const { return cipher_.get(); }
  /// kCorruption unless the file is the one of `expected`.
  Status ExpectIdentity(const CheckpointFileIdentity& expected) const;
  /// Reads one block and holds it against `ref`: place, lengths and digest.
  Result<Block> Read(const BlockRef& ref);
  /// Reads all blocks in order and checks that an encrypted file has all of its own.
  using BlockVisitor =
      std::function<Status(uint64_t offset, const BlockHeader& header, const Block& block)>;
  Status ForEachBlock(const BlockVisitor& visit) const;

 private:
  CheckpointFileReader(std::unique_ptr<ReadableFile> file, std::string path, uint64_t size_bytes);
  Status ReadHeader();
  Status ReadKeyHeader(const std::string& header);

  Status CheckPlace(uint64_t index, uint64_t offset, const BlockHeader& header,
                    const Block& block) const;

  std::unique_ptr<ReadableFile> file_;
  std::string path_;
  uint64_t size_bytes_ = 0;
  uint64_t header_bytes_ = kCheckpointFileHeaderBytes;
  CheckpointFileIdentity identity_;
  std::unique_ptr<FileCipher> cipher_;
};

/// Reads all bytes of a file in pieces and holds length and digest against `expected`. On a
/// mismatch of the digest, walks the blocks so that the kCorruption message names the offset of the
/// first damaged one.
Status VerifyCheckpointFile(FileSystem& files, const std::string& path,
                            const CheckpointFileSummary& expected);

}  // namespace headrace
