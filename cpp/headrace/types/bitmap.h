#pragma once

#include <cstdint>

#include "headrace/types/column.h"

namespace headrace {

/// Arrow bitmaps: bit i is bit i % 8 of byte i / 8.
inline int64_t BitmapBytes(int64_t bits) { return (bits + 7) / 8; }

inline bool GetBit(const uint8_t* bits, int64_t i) { return (bits[i >> 3] >> (i & 7)) & 1; }

inline void SetBitTo(uint8_t* bits, int64_t i, bool value) {
  const uint8_t mask = static_cast<uint8_t>(1u << (i & 7));
  bits[i >> 3] = static_cast<uint8_t>(value ? bits[i >> 3] | mask : bits[i >> 3] & ~mask);
}

/// Copies `count` bits; the ranges do not overlap.
void CopyBits(const uint8_t* from, int64_t from_bit, uint8_t* to, int64_t to_bit, int64_t count);

/// How many of `count` bits from `start` on are set.
int64_t CountSetBits(const uint8_t* bits, int64_t start, int64_t count);

/// A bitmap of `bits` bits that are all `value`.
std::shared_ptr<Buffer> MakeBitmap(int64_t bits, bool value);

/// Bits rows[0..count) of the `from` bitmap, whose row 0 is bit `offset`.
std::shared_ptr<Buffer> TakeBits(const uint8_t* from, int64_t offset, const int32_t* rows,
                                 int64_t count);

}  // namespace headrace
