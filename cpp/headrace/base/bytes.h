#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

static_assert(std::endian::native == std::endian::little, "formats on disk are little-endian");

/// Small for numbers near zero of either sign: 0, -1, 1, -2, … become 0, 1, 2, 3, …
inline uint64_t ZigZagOf(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
/// The number that ZigZagOf() made `raw` of.
inline int64_t OfZigZag(uint64_t raw) {
  return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
}

/// Appends fixed-width little-endian integers, varints and length-prefixed strings to a growing
/// buffer.
/// Threading: owned by one thread.
class ByteWriter {
 public:
  template <typename T>
  void Fixed(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const size_t at = buffer_.size();
    buffer_.resize(at + sizeof(T));
    std::memcpy(buffer_.data() + at, &value, sizeof(T));
  }
  void Varint(uint64_t value) {
    while (value >= 0x80) {
      buffer_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    buffer_.push_back(static_cast<char>(value));
  }
  void ZigZag(int64_t value) { Varint(ZigZagOf(value)); }
  void Raw(std::string_view bytes) { buffer_.append(bytes); }
  /// Varint length, then the bytes.
  void String(std::string_view bytes) {
    Varint(bytes.size());
    Raw(bytes);
  }

  size_t size() const { return buffer_.size(); }
  std::string_view view() const { return buffer_; }
  std::string& buffer() { return buffer_; }
  std::string Take() { return std::move(buffer_); }
  void Clear() { buffer_.clear(); }

 private:
  std::string buffer_;
};

/// Reads what ByteWriter wrote. Never reads past the end: a short or malformed input is kCorruption
/// with the offset, and no length from the input is trusted before it was compared with what is
/// left.
/// Threading: owned by one thread; the bytes must outlive the reader.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  Status Fixed(T* out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (remaining() < sizeof(T)) return Truncated(sizeof(T));
    std::memcpy(out, bytes_.data() + offset_, sizeof(T));
    offset_ += sizeof(T);
    return Status::Ok();
  }
  Status Varint(uint64_t* out);
  Status ZigZag(int64_t* out);
  Status Raw(size_t size, std::string_view* out);
  Status String(std::string_view* out);
  /// A count of things that each take at least `bytes_each` (≥ 1) of what is left.
  Status Count(size_t bytes_each, uint64_t* out);

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  bool done() const { return offset_ == bytes_.size(); }
  /// kCorruption unless everything was read.
  Status ExpectDone() const;

 private:
  Status Truncated(size_t wanted) const;

  std::string_view bytes_;
  size_t offset_ = 0;
};

}  // namespace headrace
