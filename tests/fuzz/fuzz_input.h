#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headrace {

/// Cuts the bytes that a fuzzer makes up into numbers and texts. Past the end everything is zero or
/// empty, so that every input is a whole one.
/// Threading: owned by one thread; the bytes must outlive the reader.
class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size)
      : bytes_(reinterpret_cast<const char*>(data), data == nullptr ? 0 : size) {}

  bool done() const { return bytes_.empty(); }
  uint8_t Byte() { return static_cast<uint8_t>(Take(1).empty() ? 0 : last_[0]); }
  /// Below `bound`, which is at most 256.
  int Below(int bound) { return Byte() % bound; }
  /// Up to eight bytes, little-endian.
  uint64_t Word() {
    uint64_t word = 0;
    int shift = 0;
    for (const char byte : Take(8)) {
      word |= uint64_t{static_cast<uint8_t>(byte)} << shift;
      shift += 8;
    }
    return word;
  }
  /// A text of up to 255 bytes behind its length.
  std::string_view Text() { return Take(Byte()); }
  /// A text of up to 64 KiB behind its length of two bytes.
  std::string_view LongText() {
    const size_t low = Byte();
    return Take(low | (size_t{Byte()} << 8));
  }
  std::string_view Rest() { return Take(bytes_.size()); }

 private:
  std::string_view Take(size_t size) {
    last_ = bytes_.substr(0, std::min(size, bytes_.size()));
    bytes_.remove_prefix(last_.size());
    return last_;
  }

  std::string_view bytes_;
  std::string_view last_;
};

}  // namespace headrace

/// What each target defines: runs one input, aborts on a bug. Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
