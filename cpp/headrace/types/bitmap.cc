#include "headrace/types/bitmap.h"

#include <bit>
#include <cstring>

namespace headrace {

void CopyBits(const uint8_t* from, int64_t from_bit, uint8_t* to, int64_t to_bit, int64_t count) {
  if (from_bit % 8 == 0 && to_bit % 8 == 0) {
    std::memcpy(to + to_bit / 8, from + from_bit / 8, static_cast<size_t>(count / 8));
    const int64_t done = count / 8 * 8;
    from_bit += done;
    to_bit += done;
    count -= done;
  }
  for (int64_t i = 0; i < count; ++i) SetBitTo(to, to_bit + i, GetBit(from, from_bit + i));
}

int64_t CountSetBits(const uint8_t* bits, int64_t start, int64_t count) {
  int64_t set = 0;
  int64_t i = 0;
  for (; i < count && (start + i) % 8 != 0; ++i) set += GetBit(bits, start + i);
  for (; i + 64 <= count; i += 64) {
    uint64_t word;
    std::memcpy(&word, bits + (start + i) / 8, sizeof(word));
    set += std::popcount(word);
  }
  for (; i < count; ++i) set += GetBit(bits, start + i);
  return set;
}

std::shared_ptr<Buffer> MakeBitmap(int64_t bits, bool value) {
  auto buffer = Buffer::Allocate(static_cast<size_t>(BitmapBytes(bits)));
  std::memset(buffer->mutable_data(), value ? 0xff : 0, buffer->size_bytes());
  return buffer;
}

std::shared_ptr<Buffer> TakeBits(const uint8_t* from, int64_t offset, const int32_t* rows,
                                 int64_t count) {
  auto buffer = MakeBitmap(count, false);
  uint8_t* to = buffer->mutable_data();
  for (int64_t i = 0; i < count; ++i) {
    to[i >> 3] |= static_cast<uint8_t>(GetBit(from, offset + rows[i]) << (i & 7));
  }
  return buffer;
}

}  // namespace headrace
