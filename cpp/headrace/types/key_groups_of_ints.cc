#include "headrace/types/key_groups_of_ints.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "headrace/base/bytes.h"
#include "headrace/base/hash.h"
#include "headrace/types/key_codec.h"
#include "headrace/types/value_codec.h"

namespace headrace {
namespace {

// Few enough for the keys of every size to stay in the nearest cache.
constexpr int64_t kBlockKeys = 128;
constexpr size_t kWordBytes = sizeof(uint64_t);
// What fits a word behind the tag, 7 bits a byte.
constexpr uint64_t kVarintInWordEnd = uint64_t{1} << (7 * (kWordBytes - 1));

/// The canonical encoding of an int, first byte lowest, and its size in bytes.
struct EncodedInt {
  uint64_t word;
  size_t size;
};

/// REQUIRES: zigzag < kVarintInWordEnd.
EncodedInt EncodeInWord(uint64_t zigzag) {
  const size_t digits = (static_cast<size_t>(std::bit_width(zigzag | 1)) + 6) / 7;
  // Halves, then quarters, then eighths move apart until each byte has 7 bits.
  uint64_t bytes = (zigzag & 0x0fffffff) | (zigzag & 0x00fffffff0000000) << 4;
  bytes = (bytes & 0x00003fff00003fff) | (bytes & 0x0fffc0000fffc000) << 2;
  bytes = (bytes & 0x007f007f007f007f) | (bytes & 0x3f803f803f803f80) << 1;
  const uint64_t more_follow = 0x8080808080808080 & ((uint64_t{1} << (8 * (digits - 1))) - 1);
  return {static_cast<uint64_t>(ValueTag::kInt) | (bytes | more_follow) << 8, digits + 1};
}

/// The keys of one size within a block.
struct SameSize {
  uint64_t words[kBlockKeys];
  uint16_t at[kBlockKeys];
  int64_t count = 0;
};

void GroupsOfBlock(const int64_t* keys, int64_t count, uint64_t max_parallelism, uint16_t* out) {
  SameSize of_size[kWordBytes + 1];
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t zigzag = ZigZagOf(keys[i]);
    if (zigzag >= kVarintInWordEnd) [[unlikely]] {
      out[i] = KeyGroupOfInt(keys[i], static_cast<int>(max_parallelism));
      continue;
    }
    const EncodedInt encoded = EncodeInWord(zigzag);
    SameSize& same = of_size[encoded.size];
    same.words[same.count] = encoded.word;
    same.at[same.count] = static_cast<uint16_t>(i);
    ++same.count;
  }
  uint64_t hashes[kBlockKeys];
  const uint64_t mask = max_parallelism - 1;
  for (size_t size = 0; size <= kWordBytes; ++size) {
    const SameSize& same = of_size[size];
    if (same.count == 0) continue;
    Hash64OfWords(same.words, size, same.count, hashes);
    // Nearly always a power of two, where a mask saves the division.
    if ((max_parallelism & mask) == 0) {
      for (int64_t i = 0; i < same.count; ++i) {
        out[same.at[i]] = static_cast<uint16_t>(hashes[i] & mask);
      }
    } else {
      for (int64_t i = 0; i < same.count; ++i) {
        out[same.at[i]] = static_cast<uint16_t>(hashes[i] % max_parallelism);
      }
    }
  }
}

}  // namespace

void KeyGroupsOfInts(const int64_t* keys, int64_t count, int max_parallelism, uint16_t* out) {
  for (int64_t from = 0; from < count; from += kBlockKeys) {
    GroupsOfBlock(keys + from, std::min(kBlockKeys, count - from),
                  static_cast<uint64_t>(max_parallelism), out + from);
  }
}

}  // namespace headrace
