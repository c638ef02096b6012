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
//        7    1  cipher id: 0 none, 1 AES-256-GCM with the key that the file's header names
//        8    1  0 (room for the length of a key id)
//        9    1  L, length of the chunk's number: 8 with a cipher, else 0
//       10    2  zero
//       12    4  CRC32C of the header: bytes 0..11, then 16..47+L
//       16    8  payload length before compression
//       24    8  payload length as stored, N
//       32   16  XXH3-128 of the N stored bytes, low half first
//       48    L  number of the chunk in its file, from 0
//     48+L    N  payload; encrypted it is followed by a tag of 16 bytes, counted in N
//
// With an encrypted payload bytes 0..11 and 16..23 are authenticated.
//
// Magic, version and the place of the CRC stay the same in every later version, so that a newer
// block can be told from a damaged one.
constexpr std::string_view kMagic = "HRBK";
constexpr uint8_t kVersion = 1;
constexpr uint8_t kAes256Gcm = 1;
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

namespace {

// What of a header is authenticated with an encrypted payload: all but what depends on that.
std::string Authenticated(std::string_view header) {
  std::string fields(header.substr(0, kCrcAt));
  fields.append(header.substr(kAfterCrc, sizeof(uint64_t)));
  return fields;
}

std::string EncodeHeader(const BlockHeader& block) {
  ByteWriter header;
  header.Raw(kMagic);
  header.Fixed(kVersion);
  header.Fixed(static_cast<uint8_t>(block.codec));
  header.Fixed(static_cast<uint8_t>(block.kind));
  header.Fixed(block.sealed ? kAes256Gcm : uint8_t{0});
  header.Fixed(uint8_t{0});
  header.Fixed(static_cast<uint8_t>(block.sealed ? sizeof(block.number) : 0));
  header.Fixed(uint16_t{0});
  header.Fixed(uint32_t{0});
  header.Fixed(block.raw_bytes);
  header.Fixed(block.stored_bytes);
  header.Fixed(block.stored_digest.low);
  header.Fixed(block.stored_digest.high);
  if (block.sealed) header.Fixed(block.number);
  HR_CHECK_EQ(header.size(), block.header_bytes());
  const uint32_t crc = HeaderCrc(header.view());
  std::memcpy(header.buffer().data() + kCrcAt, &crc, sizeof(crc));
  return header.Take();
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
  BlockHeader header{.kind = options.kind, .codec = codec, .raw_bytes = payload.size()};
  std::string sealed;
  if (options.cipher != nullptr) {
    header.sealed = true;
    header.number = options.number;
    HR_RETURN_IF_ERROR(options.cipher->Seal(options.number, options.kind == BlockKind::kEnd,
                                            Authenticated(EncodeHeader(header)), stored, &sealed));
    stored = sealed;
  }
  header.stored_bytes = stored.size();
  header.stored_digest = Hash128(stored);
  const std::string encoded = EncodeHeader(header);
  out->reserve(out->size() + encoded.size() + stored.size());
  out->append(encoded);
  out->append(stored);
  return BlockDigest(encoded);
}

Result<BlockHeader> ReadBlockHeader(std::string_view bytes, std::string_view file,
                                    uint64_t offset) {
  if (bytes.size() < kBlockHeaderBytes) {
    return Damaged(file, offset,
                   "block header is cut off after " + std::to_string(bytes.size()) + " bytes");
  }
  if (!bytes.starts_with(kMagic)) return Damaged(file, offset, "no block starts here");

  ByteReader reader(bytes.substr(kMagic.size()));
  uint8_t version = 0, codec = 0, kind = 0, cipher = 0, key_id_bytes = 0, number_bytes = 0;
  uint16_t zero = 0;
  uint32_t crc = 0;
  BlockHeader result;
  HR_RETURN_IF_ERROR(reader.Fixed(&version));
  HR_RETURN_IF_ERROR(reader.Fixed(&codec));
  HR_RETURN_IF_ERROR(reader.Fixed(&kind));
  HR_RETURN_IF_ERROR(reader.Fixed(&cipher));
  HR_RETURN_IF_ERROR(reader.Fixed(&key_id_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&number_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&zero));
  HR_RETURN_IF_ERROR(reader.Fixed(&crc));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.raw_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_bytes));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_digest.low));
  HR_RETURN_IF_ERROR(reader.Fixed(&result.stored_digest.high));

  // The CRC may cover more than 48 bytes; they are looked at only as far as they are there.
  const size_t header_bytes = kBlockHeaderBytes + key_id_bytes + number_bytes;
  if (bytes.size() < header_bytes || HeaderCrc(bytes.substr(0, header_bytes)) != crc) {
    return Damaged(file, offset, "checksum of the block header does not match");
  }
  result.sealed = cipher == kAes256Gcm;
  if (version != kVersion || cipher > kAes256Gcm || key_id_bytes != 0 ||
      number_bytes != (result.sealed ? sizeof(result.number) : 0) || zero != 0) {
    return At(file, offset, StatusCode::kUnimplemented,
              "block of format version " + std::to_string(version) + ", cipher " +
                  std::to_string(cipher) + "; this build reads version 1, ciphers 0 and 1");
  }
  if (result.sealed) HR_RETURN_IF_ERROR(reader.Fixed(&result.number));
  if (codec > static_cast<uint8_t>(CodecId::kZstd)) {
    return At(file, offset, StatusCode::kUnimplemented, "unknown codec " + std::to_string(codec));
  }
  if (kind < static_cast<uint8_t>(BlockKind::kRows) ||
      kind > static_cast<uint8_t>(result.sealed ? BlockKind::kEnd : BlockKind::kBase)) {
    return At(file, offset, StatusCode::kUnimplemented,
              "unknown block kind " + std::to_string(kind));
  }
  result.codec = static_cast<CodecId>(codec);
  result.kind = static_cast<BlockKind>(kind);
  const uint64_t tag_bytes = result.sealed ? FileCipher::kTagBytes : 0;
  if (result.raw_bytes > kBlockPayloadBytesMax || result.stored_bytes < tag_bytes ||
      result.stored_bytes - tag_bytes > result.raw_bytes) {
    return Damaged(file, offset,
                   "impossible block lengths: " + std::to_string(result.raw_bytes) +
                       " bytes stored as " + std::to_string(result.stored_bytes));
  }
  return result;
}

Result<Block> ReadBlock(std::string_view bytes, std::string_view file, uint64_t offset,
                        const FileCipher* cipher) {
  HR_ASSIGN_OR_RETURN(const BlockHeader header, ReadBlockHeader(bytes, file, offset));
  std::string_view stored = bytes.substr(header.header_bytes());
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
  if (header.sealed != (cipher != nullptr)) {
    // Nothing in the clear may pass for a part of an encrypted file.
    return Damaged(file, offset,
                   header.sealed ? "an encrypted block in a file without a key"
                                 : "a block in the clear in an encrypted file");
  }
  std::string opened;
  if (header.sealed) {
    auto plain =
        cipher->Open(header.number, header.kind == BlockKind::kEnd, Authenticated(bytes), stored);
    if (!plain.ok()) return Damaged(file, offset, plain.status().message());
    opened = std::move(plain).value();
    stored = opened;
  }
  auto payload = Decompress(header.codec, stored, header.raw_bytes);
  if (!payload.ok()) {
    return Damaged(file, offset, payload.status().message());
  }
  return Block{header.kind, std::move(payload).value()};
}

Digest128 BlockDigest(std::string_view bytes) {
  HR_CHECK_GE(bytes.size(), kBlockHeaderBytes);
  const size_t number_bytes = static_cast<uint8_t>(bytes[9]);
  return Hash128(bytes.substr(0, kBlockHeaderBytes + number_bytes));
}

}  // namespace headrace
