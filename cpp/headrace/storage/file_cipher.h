#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "headrace/base/env.h"
#include "headrace/base/status.h"
#include "headrace/storage/secret_key.h"

namespace headrace {

/// What an encrypted file says of its key in the clear.
struct FileKeyHeader {
  static constexpr size_t kSaltBytes = 32;
  static constexpr size_t kCheckBytes = 8;

  std::string key_id;
  std::string salt;   ///< of this file alone
  std::string check;  ///< tells a wrong key from damage

  size_t size_bytes() const { return key_id.size() + salt.size() + check.size(); }
};

/// Encrypts and decrypts the chunks of one file: AES-256-GCM with a key of the file's own, which
/// HKDF-SHA256 derives from the named key and the file's salt. The nonce is the chunk's number, and
/// what is authenticated with a chunk are the place it belongs to (job, checkpoint, file name), its
/// number, whether it is the last one, and the header it stands behind: a chunk moved, swapped, or
/// missing at the end does not open.
/// Threading: immutable.
class FileCipher {
 public:
  static constexpr size_t kTagBytes = 16;

  /// For a new file; the salt comes from `env`. kFailedPrecondition naming the key when the process
  /// does not have it.
  static Result<std::unique_ptr<FileCipher>> ForWriting(Env* env, const std::string& key_id,
                                                        std::string place);
  /// For a file that says this of its key; `file` is for messages. kFailedPrecondition naming the
  /// key when it is not there or not the one that the file was written with.
  static Result<std::unique_ptr<FileCipher>> ForReading(const FileKeyHeader& header,
                                                        std::string place, const std::string& file);
  ~FileCipher();
  FileCipher(const FileCipher&) = delete;
  FileCipher& operator=(const FileCipher&) = delete;

  const FileKeyHeader& header() const { return header_; }

  /// Appends the encrypted chunk and its tag. REQUIRES: no two chunks of a file have one number.
  Status Seal(uint64_t number, bool last, std::string_view associated, std::string_view plain,
              std::string* out) const;
  /// kCorruption when anything differs from what Seal() was given.
  Result<std::string> Open(uint64_t number, bool last, std::string_view associated,
                           std::string_view sealed) const;

 private:
  FileCipher(FileKeyHeader header, std::string place);
  static Result<std::unique_ptr<FileCipher>> Make(FileKeyHeader header, std::string place,
                                                  const SecretKey& key);
  std::string Associated(uint64_t number, bool last, std::string_view associated) const;

  FileKeyHeader header_;
  std::string place_;
  std::string file_key_;  // wiped
};

}  // namespace headrace
