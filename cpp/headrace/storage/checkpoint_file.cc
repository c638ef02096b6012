#include "headrace/storage/checkpoint_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "headrace/base/bytes.h"
#include "headrace/base/check.h"

namespace headrace {

namespace {

// A checkpoint file, all integers little-endian:
//
//   offset size
//        0    8  magic "HRFILE\r\n"; the line end shows a transfer in text mode
//        8    4  format version: 1, or 2 of an encrypted file
//       12    4  CRC32C of bytes 0..11, then 16 to the end of the header
//       16    8  Hash64 of the job key
//       24    8  checkpoint id
//       32    8  epoch
//       40    1  cipher id: 0 none, 1 AES-256-GCM
//       41    1  K, length of the key id
//       42    1  L, length of the salt
//       43    1  V, length of the check
//       44    4  zero
//       48    K  key id
//     48+K    L  salt: with the named key it makes the file's own key (file_cipher.h)
//   48+K+L    V  check: a wrong key is told from damage by it
// 48+K+L+V       blocks, one after the other (block.cc), to the end of the file
//
// K, L, V are 0 in version 1. The last block of version 2 is of kind "end"; its payload is the
// number of blocks before it (8 bytes), so a file cut between two blocks does not pass for whole.
constexpr std::string_view kMagic = "HRFILE\r\n";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kVersionSealed = 2;
constexpr uint8_t kAes256Gcm = 1;
constexpr size_t kCrcAt = 12;
constexpr size_t kAfterCrc = kCrcAt + 4;
constexpr size_t kVerifyChunkBytes = 1 << 20;
// The disk is given so much at a time, and the last sync has no more left than that.
constexpr uint64_t kWritebackBytes = 2 << 20;

uint32_t HeaderCrc(std::string_view header) {
  const uint32_t crc = Crc32c(0, header.data(), kCrcAt);
  return Crc32c(crc, header.data() + kAfterCrc, header.size() - kAfterCrc);
}

std::string EncodeHeader(const CheckpointFileIdentity& identity, const FileCipher* cipher) {
  const FileKeyHeader key = cipher == nullptr ? FileKeyHeader() : cipher->header();
  ByteWriter header;
  header.Raw(kMagic);
  header.Fixed(cipher == nullptr ? kVersion : kVersionSealed);
  header.Fixed(uint32_t{0});
  header.Fixed(identity.job_key_hash);
  header.Fixed(identity.checkpoint_id);
  header.Fixed(identity.epoch);
  header.Fixed(cipher == nullptr ? uint8_t{0} : kAes256Gcm);
  header.Fixed(static_cast<uint8_t>(key.key_id.size()));
  header.Fixed(static_cast<uint8_t>(key.salt.size()));
  header.Fixed(static_cast<uint8_t>(key.check.size()));
  header.Fixed(uint32_t{0});
  HR_CHECK_EQ(header.size(), kCheckpointFileHeaderBytes);
  header.Raw(key.key_id);
  header.Raw(key.salt);
  header.Raw(key.check);
  const uint32_t crc = HeaderCrc(header.view());
  std::memcpy(header.buffer().data() + kCrcAt, &crc, sizeof(crc));
  return header.Take();
}

std::string Place(const std::string& path, uint64_t offset) {
  return "file '" + path + "', offset " + std::to_string(offset) + ": ";
}

// Whom every chunk of an encrypted file is bound to.
std::string PlaceOf(const std::string& path, const CheckpointFileIdentity& identity) {
  ByteWriter place;
  place.Fixed(identity.job_key_hash);
  place.Fixed(identity.checkpoint_id);
  place.Fixed(identity.epoch);
  place.String(path.substr(path.rfind('/') + 1));
  return place.Take();
}

}  // namespace

Result<std::unique_ptr<FileCipher>> CipherFor(Env* env, const std::string& key_id,
                                              const std::string& path,
                                              const CheckpointFileIdentity& identity) {
  if (key_id.empty()) return std::unique_ptr<FileCipher>();
  return FileCipher::ForWriting(env, key_id, PlaceOf(path, identity));
}

CheckpointFileWriter::CheckpointFileWriter(std::unique_ptr<WritableFile> file, std::string path,
                                           std::unique_ptr<FileCipher> cipher)
    : file_(std::move(file)),
      early_(dynamic_cast<EarlyWriteback*>(file_.get())),
      path_(std::move(path)),
      cipher_(std::move(cipher)) {}

Result<std::unique_ptr<CheckpointFileWriter>> CheckpointFileWriter::Create(
    FileSystem& files, const std::string& path, const CheckpointFileIdentity& identity,
    std::unique_ptr<FileCipher> cipher) {
  auto created = cipher ? files.CreatePrivate(path) : files.Create(path);
  HR_ASSIGN_OR_RETURN(auto file, std::move(created));
  const std::string header = EncodeHeader(identity, cipher.get());
  std::unique_ptr<CheckpointFileWriter> writer(
      new CheckpointFileWriter(std::move(file), path, std::move(cipher)));
  HR_RETURN_IF_ERROR(writer->Write(header));
  return writer;
}

Status CheckpointFileWriter::Write(std::string_view bytes) {
  failure_ = file_->Append(bytes);
  HR_RETURN_IF_ERROR(failure_);
  digest_.Update(bytes);
  size_bytes_ += bytes.size();
  if (early_ == nullptr || size_bytes_ - started_bytes_ < kWritebackBytes) return Status::Ok();
  started_bytes_ = size_bytes_;
  failure_ = early_->StartWriteback();
  return failure_;
}

Result<BlockRef> CheckpointFileWriter::Append(const BlockOptions& wanted,
                                              std::string_view payload) {
  HR_CHECK(file_ != nullptr);
  HR_RETURN_IF_ERROR(failure_);
  BlockOptions options = wanted;
  options.cipher = cipher_.get();
  options.number = blocks_++;
  buffer_.clear();
  BlockRef ref;
  ref.offset = size_bytes_;
  ref.raw_bytes = payload.size();
  auto digest = WriteBlock(options, payload, &buffer_);
  if (!digest.ok()) {
    failure_ = digest.status().WithContext("file '" + path_ + "'");
    return failure_;
  }
  ref.digest = *digest;
  ref.block_bytes = buffer_.size();
  HR_ASSIGN_OR_RETURN(const BlockHeader header, ReadBlockHeader(buffer_, path_, ref.offset));
  ref.codec = header.codec;
  HR_RETURN_IF_ERROR(Write(buffer_));
  return ref;
}

Result<CheckpointFileSummary> CheckpointFileWriter::Finish() {
  HR_CHECK(file_ != nullptr);
  HR_RETURN_IF_ERROR(failure_);
  if (cipher_) {
    ByteWriter count;
    count.Fixed(blocks_);
    const auto end = Append({.kind = BlockKind::kEnd, .codec = CodecId::kNone}, count.view());
    HR_RETURN_IF_ERROR(end.status());
  }
  // Closed also after a failed sync: the descriptor must not leak, the first failure is the one
  // told.
  failure_ = file_->Sync();
  const Status closed = file_->Close();
  if (failure_.ok()) failure_ = closed;
  file_.reset();
  HR_RETURN_IF_ERROR(failure_);
  return CheckpointFileSummary{size_bytes_, digest_.Digest()};
}

CheckpointFileReader::CheckpointFileReader(std::unique_ptr<ReadableFile> file, std::string path,
                                           uint64_t size_bytes)
    : file_(std::move(file)), path_(std::move(path)), size_bytes_(size_bytes) {}

Result<std::unique_ptr<CheckpointFileReader>> CheckpointFileReader::Open(FileSystem& files,
                                                                         const std::string& path) {
  HR_ASSIGN_OR_RETURN(auto file, files.Open(path));
  HR_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  std::unique_ptr<CheckpointFileReader> reader(
      new CheckpointFileReader(std::move(file), path, size_bytes));
  HR_RETURN_IF_ERROR(reader->ReadHeader());
  return reader;
}

Status CheckpointFileReader::ReadHeader() {
  if (size_bytes_ < kCheckpointFileHeaderBytes) {
    return Status::Corruption(Place(path_, 0) + "file header is cut off after " +
                              std::to_string(size_bytes_) + " bytes");
  }
  std::string header;
  HR_RETURN_IF_ERROR(file_->ReadAt(0, kCheckpointFileHeaderBytes, &header));
  uint32_t version = 0, crc = 0;
  ByteReader reader(std::string_view(header).substr(kMagic.size()));
  HR_RETURN_IF_ERROR(reader.Fixed(&version));
  HR_RETURN_IF_ERROR(reader.Fixed(&crc));
  HR_RETURN_IF_ERROR(reader.Fixed(&identity_.job_key_hash));
  HR_RETURN_IF_ERROR(reader.Fixed(&identity_.checkpoint_id));
  HR_RETURN_IF_ERROR(reader.Fixed(&identity_.epoch));
  // Whoever opens a file as ours was told so by a manifest: a foreign file is damage as well.
  if (!std::string_view(header).starts_with(kMagic)) {
    return Status::Corruption(Place(path_, 0) + "not a headrace checkpoint file");
  }
  const auto length = [&header](size_t at) { return uint64_t{static_cast<uint8_t>(header[at])}; };
  const uint64_t key_bytes = length(41) + length(42) + length(43);
  if (key_bytes > 0 && header_bytes_ + key_bytes <= size_bytes_) {
    header_bytes_ += key_bytes;
    std::string rest;
    HR_RETURN_IF_ERROR(file_->ReadAt(kCheckpointFileHeaderBytes, key_bytes, &rest));
    header += rest;
  }
  if (HeaderCrc(header) != crc) {
    return Status::Corruption(Place(path_, 0) + "checksum of the file header does not match");
  }
  if (version == kVersionSealed) return ReadKeyHeader(header);
  if (version != kVersion || key_bytes != 0 || header[40] != 0) {
    return Status::Unimplemented(Place(path_, 8) + "file format version " +
                                 std::to_string(version) + "; this build reads versions 1 and 2");
  }
  return Status::Ok();
}

Status CheckpointFileReader::ReadKeyHeader(const std::string& header) {
  const auto key_id_bytes = static_cast<uint8_t>(header[41]);
  const auto salt_bytes = static_cast<uint8_t>(header[42]);
  if (header[40] != kAes256Gcm || salt_bytes != FileKeyHeader::kSaltBytes ||
      static_cast<uint8_t>(header[43]) != FileKeyHeader::kCheckBytes) {
    return Status::Unimplemented(Place(path_, 40) + "cipher " + std::to_string(header[40]) +
                                 "; this build reads cipher 1");
  }
  FileKeyHeader key;
  key.key_id = header.substr(kCheckpointFileHeaderBytes, key_id_bytes);
  key.salt = header.substr(kCheckpointFileHeaderBytes + key_id_bytes, salt_bytes);
  key.check = header.substr(kCheckpointFileHeaderBytes + key_id_bytes + salt_bytes);
  HR_ASSIGN_OR_RETURN(cipher_, FileCipher::ForReading(key, PlaceOf(path_, identity_), path_));
  return Status::Ok();
}

Status CheckpointFileReader::ExpectIdentity(const CheckpointFileIdentity& expected) const {
  if (identity_ == expected) return Status::Ok();
  return Status::Corruption(
      Place(path_, 16) + "file of another job or checkpoint: checkpoint " +
      std::to_string(identity_.checkpoint_id) + " of run " + std::to_string(identity_.epoch) +
      (identity_.job_key_hash == expected.job_key_hash ? "" : " of another job") + ", expected " +
      std::to_string(expected.checkpoint_id) + " of run " + std::to_string(expected.epoch));
}

Result<Block> CheckpointFileReader::Read(const BlockRef& ref) {
  const uint64_t left = size_bytes_ - std::min(ref.offset, size_bytes_);
  if (ref.block_bytes < kBlockHeaderBytes || ref.block_bytes > left) {
    return Status::Corruption(Place(path_, ref.offset) + "no block of " +
                              std::to_string(ref.block_bytes) + " bytes here, the file has " +
                              std::to_string(size_bytes_) + " bytes");
  }
  std::string bytes;
  HR_RETURN_IF_ERROR(file_->ReadAt(ref.offset, ref.block_bytes, &bytes));
  // Self-consistency first: its messages are the more exact ones.
  HR_ASSIGN_OR_RETURN(Block block, ReadBlock(bytes, path_, ref.offset, cipher_.get()));
  if (BlockDigest(bytes) != ref.digest || block.payload.size() != ref.raw_bytes) {
    return Status::Corruption(Place(path_, ref.offset) +
                              "a whole block, but not the one expected here");
  }
  return block;
}

Status CheckpointFileReader::ForEachBlock(const BlockVisitor& visit) const {
  std::string bytes;
  uint64_t offset = header_bytes_;
  uint64_t index = 0;
  BlockKind last = BlockKind::kRows;
  for (; offset < size_bytes_; ++index) {
    const uint64_t left = size_bytes_ - offset;
    HR_RETURN_IF_ERROR(
        file_->ReadAt(offset, std::min<uint64_t>(left, kSealedBlockHeaderBytes), &bytes));
    HR_ASSIGN_OR_RETURN(const BlockHeader header, ReadBlockHeader(bytes, path_, offset));
    if (header.block_bytes() > left) {
      return Status::Corruption(Place(path_, offset) + "block of " +
                                std::to_string(header.block_bytes()) + " bytes is cut off after " +
                                std::to_string(left));
    }
    HR_RETURN_IF_ERROR(file_->ReadAt(offset, header.block_bytes(), &bytes));
    HR_ASSIGN_OR_RETURN(const Block block, ReadBlock(bytes, path_, offset, cipher_.get()));
    if (last == BlockKind::kEnd) {
      return Status::Corruption(Place(path_, offset) + "a block behind the last one");
    }
    HR_RETURN_IF_ERROR(CheckPlace(index, offset, header, block));
    HR_RETURN_IF_ERROR(visit(offset, header, block));
    last = block.kind;
    offset += header.block_bytes();
  }
  if (cipher_ && last != BlockKind::kEnd) {
    return Status::Corruption(Place(path_, offset) + "the last block of the file is missing");
  }
  return Status::Ok();
}

// Chunks that were moved or left out.
Status CheckpointFileReader::CheckPlace(uint64_t index, uint64_t offset, const BlockHeader& header,
                                        const Block& block) const {
  if (!cipher_) return Status::Ok();
  if (header.number != index) {
    return Status::Corruption(Place(path_, offset) + "block number " +
                              std::to_string(header.number) + " where number " +
                              std::to_string(index) + " belongs");
  }
  uint64_t count = index;
  if (block.kind == BlockKind::kEnd) HR_RETURN_IF_ERROR(ByteReader(block.payload).Fixed(&count));
  if (count == index) return Status::Ok();
  return Status::Corruption(Place(path_, offset) + "the file had " + std::to_string(count) +
                            " blocks and has " + std::to_string(index));
}

namespace {

// First damaged place of a file whose bytes are not the expected ones.
Status FindDamage(FileSystem& files, const std::string& path) {
  HR_ASSIGN_OR_RETURN(const auto reader, CheckpointFileReader::Open(files, path));
  HR_RETURN_IF_ERROR(reader->ForEachBlock(
      [](uint64_t, const BlockHeader&, const Block&) { return Status::Ok(); }));
  return Status::Corruption(Place(path, 0) + "whole blocks, but not the file that was written");
}

}  // namespace

Status VerifyCheckpointFile(FileSystem& files, const std::string& path,
                            const CheckpointFileSummary& expected) {
  HR_ASSIGN_OR_RETURN(auto file, files.Open(path));
  HR_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  if (size_bytes != expected.size_bytes) {
    return Status::Corruption(Place(path, std::min(size_bytes, expected.size_bytes)) + "file has " +
                              std::to_string(size_bytes) + " bytes, expected " +
                              std::to_string(expected.size_bytes));
  }
  Hash128Stream digest;
  std::string chunk;
  for (uint64_t offset = 0; offset < size_bytes; offset += chunk.size()) {
    const auto wanted = std::min<uint64_t>(kVerifyChunkBytes, size_bytes - offset);
    HR_RETURN_IF_ERROR(file->ReadAt(offset, wanted, &chunk));
    digest.Update(chunk);
  }
  if (digest.Digest() == expected.digest) return Status::Ok();
  return FindDamage(files, path);
}

}  // namespace headrace
