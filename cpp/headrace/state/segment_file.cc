#include "headrace/state/segment_file.h"

#include <bit>
#include <cstring>
#include <utility>

#include "headrace/base/hash.h"

namespace headrace {

// A segment is records one after the other. It is scratch: no other process reads it.
//
//   u32 crc         CRC32C of all that follows
//   u32 key bytes
//   u32 value bytes
//   key
//   value
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kHeaderBytes = 12;
constexpr size_t kCrcBytes = 4;

uint32_t U32At(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

void SetU32(std::string* bytes, size_t at, uint32_t value) {
  std::memcpy(bytes->data() + at, &value, sizeof(value));
}

}  // namespace

size_t SegmentFile::HeaderBytes() { return kHeaderBytes; }

size_t SegmentFile::RecordBytes(size_t key_bytes, size_t value_bytes) {
  return kHeaderBytes + key_bytes + value_bytes;
}

uint64_t SegmentFile::BytesOfRecordAt(std::string_view bytes) {
  return uint64_t{kHeaderBytes} + U32At(bytes, 4) + U32At(bytes, 8);
}

void SegmentFile::AppendRecord(std::string_view key, std::string_view value, std::string* out) {
  const size_t at = out->size();
  out->append(kHeaderBytes, '\0');
  SetU32(out, at + 4, static_cast<uint32_t>(key.size()));
  SetU32(out, at + 8, static_cast<uint32_t>(value.size()));
  out->append(key);
  out->append(value);
  const size_t checked = at + kCrcBytes;
  SetU32(out, at, Crc32c(0, out->data() + checked, out->size() - checked));
}

SegmentFile::SegmentFile(FileSystem* files, std::string path, std::unique_ptr<WritableFile> writer,
                         std::unique_ptr<ReadableFile> reader, std::atomic<int64_t>* disk_bytes)
    : files_(files),
      path_(std::move(path)),
      writer_(std::move(writer)),
      reader_(std::move(reader)),
      disk_bytes_(disk_bytes) {}

SegmentFile::~SegmentFile() {
  disk_bytes_->fetch_sub(static_cast<int64_t>(size_), std::memory_order_relaxed);
  writer_.reset();
  // What cannot be removed now goes with the directory.
  (void)files_->Remove(path_).ok();
}

Result<std::shared_ptr<SegmentFile>> SegmentFile::Create(FileSystem* files, std::string path,
                                                         std::atomic<int64_t>* disk_bytes) {
  HR_ASSIGN_OR_RETURN(auto writer, files->Create(path));
  auto reader = files->Open(path);
  if (!reader.ok()) {
    writer.reset();
    (void)files->Remove(path).ok();
    return reader.status();
  }
  return std::shared_ptr<SegmentFile>(
      new SegmentFile(files, std::move(path), std::move(writer), std::move(*reader), disk_bytes));
}

Status SegmentFile::Append(std::string_view records) {
  Status status = writer_->Append(records);
  if (!status.ok()) {
    // Part of it may be in the file, so nothing can follow.
    (void)Seal().ok();
    return status;
  }
  size_ += records.size();
  disk_bytes_->fetch_add(static_cast<int64_t>(records.size()), std::memory_order_relaxed);
  return Status::Ok();
}

Status SegmentFile::Seal() {
  if (writer_ == nullptr) return Status::Ok();
  Status status = writer_->Close();
  writer_.reset();
  return status;
}

Status SegmentFile::Read(uint64_t offset, size_t size, std::string* out) const {
  return reader_->ReadAt(offset, size, out);
}

Status SegmentFile::Parse(std::string_view bytes, uint64_t offset, SegmentRecord* out) const {
  const auto damaged = [&](const std::string& what) {
    return Status::Corruption("state file '" + path_ + "', offset " + std::to_string(offset) +
                              ": " + what +
                              "; the disk returned other bytes than were written to it");
  };
  if (bytes.size() < kHeaderBytes || BytesOfRecordAt(bytes) > bytes.size()) {
    return damaged("a record's length is wrong");
  }
  const std::string_view record = bytes.substr(0, BytesOfRecordAt(bytes));
  if (Crc32c(0, record.data() + kCrcBytes, record.size() - kCrcBytes) != U32At(record, 0)) {
    return damaged("a record's checksum is wrong");
  }
  const uint32_t key_bytes = U32At(record, 4);
  out->key = record.substr(kHeaderBytes, key_bytes);
  out->value = record.substr(kHeaderBytes + key_bytes);
  return Status::Ok();
}

}  // namespace headrace
