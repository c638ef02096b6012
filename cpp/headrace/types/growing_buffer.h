#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "headrace/types/column.h"

namespace headrace {

/// Pool memory that doubles as it fills and becomes a Buffer at the end.
/// Threading: owned by one thread.
class GrowingBuffer {
 public:
  size_t size_bytes() const { return size_bytes_; }
  uint8_t* data() { return buffer_ ? buffer_->mutable_data() : nullptr; }

  template <typename T>
  void Append(T value) {
    std::memcpy(Extend(sizeof(T)), &value, sizeof(T));
  }
  void AppendBytes(const void* bytes, size_t size_bytes) {
    if (size_bytes > 0) std::memcpy(Extend(size_bytes), bytes, size_bytes);
  }
  /// Uninitialised room behind what is there; valid until the next call.
  uint8_t* Extend(size_t more_bytes) {
    const size_t at = size_bytes_;
    size_bytes_ += more_bytes;
    if (!buffer_ || size_bytes_ > buffer_->size_bytes()) Grow(at);
    return buffer_->mutable_data() + at;
  }
  /// What was appended, as a buffer of at least 1 allocated byte; empties this.
  BufferPtr Finish() {
    if (!buffer_) buffer_ = Buffer::Allocate(0);
    // The memory is larger than its content: a view of the front, owned by the whole.
    auto out = std::make_shared<const Buffer>(buffer_->data(), size_bytes_, buffer_);
    buffer_.reset();
    size_bytes_ = 0;
    return out;
  }

 private:
  void Grow(size_t used_bytes) {
    const size_t wanted = size_bytes_ < 512 ? 1024 : size_bytes_ * 2;
    auto larger = Buffer::Allocate(wanted);
    if (used_bytes > 0) std::memcpy(larger->mutable_data(), buffer_->data(), used_bytes);
    buffer_ = std::move(larger);
  }

  std::shared_ptr<Buffer> buffer_;
  size_t size_bytes_ = 0;
};

/// A bitmap that grows bit by bit. With `all_set_is_none` nothing is allocated until the first 0,
/// and Finish() gives null when there was none: the form of a validity bitmap.
/// Threading: owned by one thread.
class GrowingBitmap {
 public:
  explicit GrowingBitmap(bool all_set_is_none) : all_set_is_none_(all_set_is_none) {}

  void Append(bool bit) {
    if (bit && all_set_is_none_ && bytes_.size_bytes() == 0) {
      ++bits_;
      return;
    }
    if (bytes_.size_bytes() == 0 && bits_ > 0) {
      const size_t size_bytes = static_cast<size_t>((bits_ + 7) / 8);
      std::memset(bytes_.Extend(size_bytes), 0xff, size_bytes);
    }
    if (bits_ % 8 == 0) bytes_.Append<uint8_t>(0);
    uint8_t* last = bytes_.data() + bits_ / 8;
    const uint8_t mask = static_cast<uint8_t>(1u << (bits_ % 8));
    *last = static_cast<uint8_t>(bit ? *last | mask : *last & ~mask);
    ++bits_;
  }
  BufferPtr Finish() {
    BufferPtr out;
    if (!all_set_is_none_ || bytes_.size_bytes() > 0) out = bytes_.Finish();
    bits_ = 0;
    return out;
  }

 private:
  const bool all_set_is_none_;
  GrowingBuffer bytes_;
  int64_t bits_ = 0;
};

}  // namespace headrace
