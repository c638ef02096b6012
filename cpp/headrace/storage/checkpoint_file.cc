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
//        8    4  format version, 1
//       12    4  CRC32C of bytes 0..11, then 16..47
//       16    8  Hash64 of the job key
//       24    8  checkpoint id
//       32    8  epoch
//       40    8  zero
//       48       blocks, one after the other (block.cc), to the end of the file
constexpr std::string_view kMagic = "HRFILE\r\n";
constexpr uint32_t kVersion = 1;
constexpr size_t kCrcAt = 12;
constexpr size_t kAfterCrc = kCrcAt + 4;
constexpr size_t kVerifyChunkBytes = 1 << 20;

uint32_t HeaderCrc(std::string_view header) {
  const uint32_t crc = Crc32c(0, header.data(), kCrcAt);
  return Crc32c(crc, header.data() + kAfterCrc, kCheckpointFileHeaderBytes - kAfterCrc);
}

std::string EncodeHeader(const CheckpointFileIdentity& identity) {
  ByteWriter header;
  header.Raw(kMagic);
  header.Fixed(kVersion);
  header.Fixed(uint32_t{0});
  header.Fixed(identity.job_key_hash);
  header.Fixed(identity.checkpoint_id);
  header.Fixed(identity.epoch);
  header.Fixed(uint64_t{0});
  HR_CHECK_EQ(header.size(), kCheckpointFileHeaderBytes);
  const uint32_t crc = HeaderCrc(header.view());
  std::memcpy(header.buffer().data() + kCrcAt, &crc, sizeof(crc));
  return header.Take();
}

std::string Place(const std::string& path, uint64_t offset) {
  return "file '" + path + "', offset " + std::to_string(offset) + ": ";
}

}  // namespace

CheckpointFileWriter::CheckpointFileWriter(std::unique_ptr<WritableFile> file, std::string path)
    : file_(std::move(file)), path_(std::move(path)) {}

Result<std::unique_ptr<CheckpointFileWriter>> CheckpointFileWriter::Create(
    FileSystem& files, const std::string& path, const CheckpointFileIdentity& identity) {
  HR_ASSIGN_OR_RETURN(auto file, files.Create(path));
  std::unique_ptr<CheckpointFileWriter> writer(new CheckpointFileWriter(std::move(file), path));
  HR_RETURN_IF_ERROR(writer->Write(EncodeHeader(identity)));
  return writer;
}

Status CheckpointFileWriter::Write(std::string_view bytes) {
  failure_ = file_->Append(bytes);
  HR_RETURN_IF_ERROR(failure_);
  digest_.Update(bytes);
  size_bytes_ += bytes.size();
  return Status::Ok();
}

Result<BlockRef> CheckpointFileWriter::Append(const BlockOptions& options,
                                              std::string_view payload) {
  HR_CHECK(file_ != nullptr);
  HR_RETURN_IF_ERROR(failure_);
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
  HR_RETURN_IF_ERROR(Write(buffer_));
  return ref;
}

Result<CheckpointFileSummary> CheckpointFileWriter::Finish() {
  HR_CHECK(file_ != nullptr);
  HR_RETURN_IF_ERROR(failure_);
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
  if (HeaderCrc(header) != crc) {
    return Status::Corruption(Place(path_, 0) + "checksum of the file header does not match");
  }
  if (version != kVersion) {
    return Status::Unimplemented(Place(path_, 8) + "file format version " +
                                 std::to_string(version) + "; this build reads version 1");
  }
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
  HR_ASSIGN_OR_RETURN(Block block, ReadBlock(bytes, path_, ref.offset));
  if (BlockDigest(bytes) != ref.digest || block.payload.size() != ref.raw_bytes) {
    return Status::Corruption(Place(path_, ref.offset) +
                              "a whole block, but not the one expected here");
  }
  return block;
}

namespace {

// First damaged place of a file whose bytes are not the expected ones.
Status FindDamage(FileSystem& files, const std::string& path, uint64_t size_bytes) {
  HR_ASSIGN_OR_RETURN(auto header_reader, CheckpointFileReader::Open(files, path));
  HR_ASSIGN_OR_RETURN(auto file, files.Open(path));
  std::string bytes;
  uint64_t offset = kCheckpointFileHeaderBytes;
  while (offset < size_bytes) {
    const uint64_t left = size_bytes - offset;
    HR_RETURN_IF_ERROR(file->ReadAt(offset, std::min<uint64_t>(left, kBlockHeaderBytes), &bytes));
    HR_ASSIGN_OR_RETURN(const BlockHeader header, ReadBlockHeader(bytes, path, offset));
    if (header.block_bytes() > left) {
      return Status::Corruption(Place(path, offset) + "block of " +
                                std::to_string(header.block_bytes()) + " bytes is cut off after " +
                                std::to_string(left));
    }
    HR_RETURN_IF_ERROR(file->ReadAt(offset, header.block_bytes(), &bytes));
    HR_RETURN_IF_ERROR(ReadBlock(bytes, path, offset).status());
    offset += header.block_bytes();
  }
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
  return FindDamage(files, path, size_bytes);
}

}  // namespace headrace
