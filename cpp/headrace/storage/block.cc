#include "headrace/storage/block.h"

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"
#include "headrace/base/planted_bug.h"

namespace headrace {

namespace {

// A block, all integers little-endian:
//
//   offset size
//        0    4  magic "HRBK"
//        4    1  format version, 1
//        5    1  codec id: 0 none, 1 lz4, 2 snappy, 3 zstd
//        6    1  kind: 1 rows, 2 delta, 3 base
//        7    1  cipher id: 0 none
//        8    1  K, length of the key id; 0 without a cipher
//        9    1  L, length of the salt; 0 without a cipher
//       10    2  zero
//       12    4  CRC32C of the header: bytes 0..11, then 16..47+K+L
//       16    8  payload length before compression
//       24    8  payload length as stored, N
//       32   16  XXH3-128 of the N stored bytes, low half first
//       48    K  key id
//     48+K    L  salt
//   48+K+L    N  payload
//
// Magic, version and the place of the CRC stay the same in every later version, so that a newer
// block can be told from a damaged one.
constexpr std::string_view kMagic = "HRBK";
constexpr uint8_t kVersion = 1;
constexpr size_t kCrcAt = 12;
constexpr size_t kAfterCrc = kCrcAt + 4;

uint32_t HeaderCrc(std::string_view header) {
  const uint32_t crc = Crc32c(0, header.data(), kCrcAt);
  return Crc32c(crc, header.data() + kAfterCrc, header.size() - kAfterCrc);
}

Status At(std::string_view file, uint64_t offset, StatusCode code, const std::string& what) {
  return Status(code,
                "file '" + std::string(file) + "', offset " + std::to_string(offset) + ": " + what);
}

Status Damaged(std::string_view file, uint64_t offset, const std::string& what) {
  return At(file, offset, StatusCode::kCorruption, what);
}

}  // namespace

Result<Digest128> WriteBlock(const BlockOptions& options, std::string_view payload,
                             std::string* out) {
  if (payload.size() > kBlockPayloadBytesMax) {
    return Status::InvalidArgument("a block holds at most " +
                                   std::to_string(kBlockPayloadBytesMax) + " bytes, not " +
                                   std::to_string(payload.size()));
  }
  CodecId codec = options.codec;
  std::string compressed;
  std::string_view stored = payload;
  if (codec != CodecId::kNone) {
    HR_ASSIGN_OR_RETURN(compressed, Compress(codec, options.codec_level, payload));
    if (compressed.size() < payload.size()) {
      stored = compressed;
    } else {
      codec = CodecId::kNone;
    }
  }
  const Digest128 stored_digest = Hash128(stored);
  ByteWriter header;
  header.Raw(kMagic);
  header.Fixed(kVersion);
  header.Fixed(static_cast<uint8_t>(codec));
  header.Fixed(static_cast<uint8_t>(options.kind));
  header.Fixed(uint8_t{0});
  header.Fixed(uint8_t{0});
  header.Fixed(uint8_t{0});
  header.Fixed(uint16_t{0});
  header.Fixed(uint32_t{0});
  header.Fixed(static_cast<uint64_t>(payload.size()));
  header.Fixed(static_cast<uint64_t>(stored.size()));
  header.Fixed(stored_digest.low);
  header.Fixed(stored_digest.high);
  HR_CHECK_EQ(header.size(), kBlockHeaderBytes);
  const uint32_t crc = HeaderCrc(header.view());
  std::memcpy(header.buffer().data() + kCrcAt, &crc, sizeof(crc));

  out->reserve(out->size() + header.size() + stored.size());
  out->append(header.view());
  out->append(stored);
  return BlockDigest(header.view());
}

Result<BlockHeader> ReadBlockHeader(std::string_view bytes, std::string_view file,
                                    uint64_t offset) {
  if (bytes.size() < kBlockHeaderBytes) {
    return Damaged(file, offset,
                   "block header is cut off after " + std::to_string(bytes.size()) + " bytes");
  }
  const std::string_view header = bytes.substr(0, kBlockHeaderBytes);
  if (!header.starts_with(kMagic)) return Damaged(file, offset, "no block starts here");

  ByteReader reader(header.substr(kMagic.size()));
  uint8_t version = 0, codec = 0, kind = 0, cipher = 0, key_id_bytes = 0, salt_bytes = 0;
  uint16_t zero = 0;
  uint32_t crc = 0;
  BlockHeader result;
  HR_RETURN_IF_ERROR(reader.Fixed(&version));
  HR_RETURN_IF_ERROR(reader.Fixed(&codec));
  HR_RETURN_IF_ERROR(reader.Fixed(&kind));
  HR_RETURN_IF_ERROR(reader.Fixed(&cipher));
  HR_RETURN_IF_ERROR(reader.Fixed(&key_id_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&salt_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&zero));
  HR_RETURN_IF_ERROR(reader.Fixed(&crc));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.raw_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_digest.low));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_digest.high));

  // The CRC may cover a key id and a salt; they are looked at only as far as they are there.
  const size_t header_bytes = kBlockHeaderBytes + key_id_bytes + salt_bytes;
  if (bytes.size() < header_bytes || HeaderCrc(bytes.substr(0, header_bytes)) != crc) {
    return Damaged(file, offset, "checksum of the block header does not match");
  }
  if (version != kVersion || cipher != 0 || key_id_bytes != 0 || salt_bytes != 0 || zero != 0) {
    return At(file, offset, StatusCode::kUnimplemented,
              "block of format version " + std::to_string(version) + ", cipher " +
                  std::to_string(cipher) + "; this build reads version 1 without a cipher");
  }
  if (codec > static_cast<uint8_t>(CodecId::kZstd)) {
    return At(file, offset, StatusCode::kUnimplemented, "unknown codec " + std::to_string(codec));
  }
  if (kind < static_cast<uint8_t>(BlockKind::kRows) ||
      kind > static_cast<uint8_t>(BlockKind::kBase)) {
    return At(file, offset, StatusCode::kUnimplemented,
              "unknown block kind " + std::to_string(kind));
  }
  result.codec = static_cast<CodecId>(codec);
  result.kind = static_cast<BlockKind>(kind);
  if (result.raw_bytes > kBlockPayloadBytesMax || result.stored_bytes > result.raw_bytes) {
    return Damaged(file, offset,
                   "impossible block lengths: " + std::to_string(result.raw_bytes) +
                       " bytes stored as " + std::to_string(result.stored_bytes));
  }
  return result;
}

Result<Block> ReadBlock(std::string_view bytes, std::string_view file, uint64_t offset) {
  HR_ASSIGN_OR_RETURN(const BlockHeader header, ReadBlockHeader(bytes, file, offset));
  const std::string_view stored = bytes.substr(kBlockHeaderBytes);
  if (stored.size() != header.stored_bytes) {
    return Damaged(file, offset,
                   "block payload of " + std::to_string(header.stored_bytes) + " bytes expected, " +
                       std::to_string(stored.size()) + " found");
  }
  const bool lengths_only =
      Planted(PlantedBug::kLengthOnlyChecksum) && stored.size() > 40 && stored.size() < 500;
  if (!lengths_only && Hash128(stored) != header.stored_digest) {
    return Damaged(file, offset, "checksum of the block payload does not match");
  }
  auto payload = Decompress(header.codec, stored, header.raw_bytes);
  if (!payload.ok()) {
    return Damaged(file, offset, payload.status().message());
  }
  return Block{header.kind, std::move(payload).value()};
}

Digest128 BlockDigest(std::string_view bytes) {
  HR_CHECK_GE(bytes.size(), kBlockHeaderBytes);
  return Hash128(bytes.substr(0, kBlockHeaderBytes));
}

}  // namespace headrace
