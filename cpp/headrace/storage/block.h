#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/hash.h"
#include "headrace/base/status.h"
#include "headrace/storage/codec.h"
#include "headrace/storage/file_cipher.h"

namespace headrace {

/// What the payload of a block is. The numbers are on disk and never change.
enum class BlockKind : uint8_t {
  kRows = 1,   ///< free-standing rows: operator state, collected output
  kDelta = 2,  ///< changed rows and tombstones of one partition, on top of an earlier block
  kBase = 3,   ///< one partition whole
  kEnd = 4,    ///< the last block of an encrypted file
};

/// Length of the header of a block in the clear, and of an encrypted one.
inline constexpr size_t kBlockHeaderBytes = 48;
inline constexpr size_t kSealedBlockHeaderBytes = 56;
/// The most payload a block holds.
inline constexpr uint64_t kBlockPayloadBytesMax = kCodecBytesMax;

/// How WriteBlock() stores a payload.
struct BlockOptions {
  BlockKind kind = BlockKind::kBase;
  CodecId codec = CodecId::kZstd;
  int codec_level = 0;  ///< 0: the codec's default
  /// Encrypts the block as chunk `number` of its file; null: in the clear.
  const FileCipher* cipher = nullptr;
  uint64_t number = 0;
};

/// The fields of a block's header; the bytes are drawn in block.cc.
struct BlockHeader {
  BlockKind kind = BlockKind::kBase;
  CodecId codec = CodecId::kNone;
  uint64_t raw_bytes = 0;     ///< payload before compression
  uint64_t stored_bytes = 0;  ///< payload as stored, without the header
  Digest128 stored_digest;    ///< XXH3-128 of the payload as stored
  bool sealed = false;        ///< encrypted
  uint64_t number = 0;        ///< of the chunk, if it is

  uint64_t header_bytes() const { return sealed ? kSealedBlockHeaderBytes : kBlockHeaderBytes; }
  uint64_t block_bytes() const { return header_bytes() + stored_bytes; }
};

/// A block as it was read.
struct Block {
  BlockKind kind = BlockKind::kBase;
  std::string payload;
};

/// Appends `payload` to `out` as one block: compressed (stored as it is where that is not smaller),
/// with lengths and checksums. Returns the digest of the block: XXH3-128 of its header, which holds
/// the digest of the rest, so it stands for every byte. kInvalidArgument over
/// kBlockPayloadBytesMax. Threading: thread-safe.
Result<Digest128> WriteBlock(const BlockOptions& options, std::string_view payload,
                             std::string* out);

/// Reads and checks the header at the front of `bytes`; more may follow. `file` and `offset` (of
/// bytes[0]) go into the message of a failure. kCorruption for damage, kUnimplemented for what a
/// newer headrace wrote. Allocates nothing that the header asks for. Threading:
/// thread-safe.
Result<BlockHeader> ReadBlockHeader(std::string_view bytes, std::string_view file, uint64_t offset);

/// Reads `bytes`, which must be exactly one block. Every flipped bit, lost or added byte is
/// kCorruption. An encrypted one needs the cipher of its file. Errors and threading as
/// ReadBlockHeader().
Result<Block> ReadBlock(std::string_view bytes, std::string_view file, uint64_t offset,
                        const FileCipher* cipher = nullptr);

/// The digest WriteBlock() returned for this block, from its bytes; REQUIRES at least
/// kBlockHeaderBytes.
Digest128 BlockDigest(std::string_view bytes);

}  // namespace headrace
