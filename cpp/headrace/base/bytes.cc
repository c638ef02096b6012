#include "headrace/base/bytes.h"

#include "headrace/base/check.h"

namespace headrace {

Status ByteReader::Varint(uint64_t* out) {
  uint64_t value = 0;
  size_t at = offset_;
  for (int shift = 0; shift < 64; shift += 7) {
    if (at == bytes_.size()) return Truncated(at - offset_ + 1);
    const auto byte = static_cast<uint8_t>(bytes_[at++]);
    // The tenth byte has room for one bit only.
    if (shift == 63 && byte > 1) break;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      // One number has one encoding, so equal values stay equal bytes.
      if (byte == 0 && shift > 0) break;
      offset_ = at;
      *out = value;
      return Status::Ok();
    }
  }
  return Status::Corruption("malformed varint at offset " + std::to_string(offset_));
}

Status ByteReader::ZigZag(int64_t* out) {
  uint64_t raw = 0;
  HR_RETURN_IF_ERROR(Varint(&raw));
  *out = OfZigZag(raw);
  return Status::Ok();
}

Status ByteReader::Raw(size_t size, std::string_view* out) {
  if (remaining() < size) return Truncated(size);
  *out = bytes_.substr(offset_, size);
  offset_ += size;
  return Status::Ok();
}

Status ByteReader::String(std::string_view* out) {
  const size_t start = offset_;
  uint64_t size = 0;
  HR_RETURN_IF_ERROR(Varint(&size));
  Status status = Raw(size, out);
  // A failed read leaves the reader where it was.
  if (!status.ok()) offset_ = start;
  return status;
}

Status ByteReader::Count(size_t bytes_each, uint64_t* out) {
  HR_CHECK_GE(bytes_each, 1u);
  const size_t start = offset_;
  uint64_t count = 0;
  HR_RETURN_IF_ERROR(Varint(&count));
  // Division, as the product could overflow.
  if (count > remaining() / bytes_each) {
    const std::string left = std::to_string(remaining());
    offset_ = start;
    return Status::Corruption("count " + std::to_string(count) + " at offset " +
                              std::to_string(start) + " needs at least " +
                              std::to_string(bytes_each) + " bytes each, but only " + left +
                              " bytes are left");
  }
  *out = count;
  return Status::Ok();
}

Status ByteReader::ExpectDone() const {
  if (done()) return Status::Ok();
  return Status::Corruption(std::to_string(remaining()) + " unexpected bytes at offset " +
                            std::to_string(offset_));
}

Status ByteReader::Truncated(size_t wanted) const {
  return Status::Corruption("truncated at offset " + std::to_string(offset_) + ": wanted " +
                            std::to_string(wanted) + " bytes, " + std::to_string(remaining()) +
                            " left");
}

}  // namespace headrace
