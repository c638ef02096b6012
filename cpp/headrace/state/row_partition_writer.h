#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "headrace/state/paged_table_snapshot.h"
#include "headrace/state/partition_codec.h"

namespace headrace {

/// Writes at `at` and returns the place behind. REQUIRES: room for kVarintBytesMax bytes.
inline constexpr size_t kVarintBytesMax = 10;
inline char* PutVarint(uint64_t value, char* at) {
  for (; value >= 0x80; value >>= 7) *at++ = static_cast<char>(value | 0x80);
  *at++ = static_cast<char>(value);
  return at;
}

/// The same without a branch on the size, for numbers of many sizes in turn: such a branch is
/// mispredicted, which costs more than all else.
inline char* PutMixedVarint(uint64_t value, char* at) {
  if (value >> 56 != 0) [[unlikely]]
    return PutVarint(value, at);
  const size_t digits = (static_cast<size_t>(std::bit_width(value | 1)) + 6) / 7;
  // Halves, then quarters, then eighths move apart until each byte has 7 bits.
  uint64_t bytes = (value & 0x000000000fffffff) | (value & 0x00fffffff0000000) << 4;
  bytes = (bytes & 0x00003fff00003fff) | (bytes & 0x0fffc0000fffc000) << 2;
  bytes = (bytes & 0x007f007f007f007f) | (bytes & 0x3f803f803f803f80) << 1;
  bytes |= 0x8080808080808080 & ((uint64_t{1} << (8 * (digits - 1))) - 1);
  std::memcpy(at, &bytes, sizeof(bytes));
  return at + digits;
}

/// Varint length, then the bytes. REQUIRES: room for both.
inline char* PutString(std::string_view bytes, char* at) {
  at = PutVarint(bytes.size(), at);
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return at + bytes.size();
}

/// EncodeRowPartition() for a kind of row that is known when this is compiled, several times as
/// fast: rows are written straight into memory that is large enough for all of them.
///
/// `Fields` says of a live row `size_t BytesMax(const char* row) const`, and writes its fields by
/// `char* Put(const char* row, char* at) const`, which returns the place behind them.
/// `room` is kept between calls, so that it need not be made each time.
template <typename Fields>
std::string PutRowPartition(const PartitionRows& rows, uint32_t row_bytes, bool whole,
                            const Fields& fields, std::vector<char>* room) {
  const std::vector<uint64_t>& chosen = whole ? rows.live : rows.changed;
  const auto row_at = [&](uint32_t i) { return rows.content.data() + size_t{i} * row_bytes; };
  constexpr size_t kPositionAndFlags = kVarintBytesMax + 1;
  size_t bytes_max = 1 + 3 * kVarintBytesMax;
  ForEachBit(chosen, [&](uint32_t i) {
    bytes_max += kPositionAndFlags + (rows.IsLive(i) ? fields.BytesMax(row_at(i)) : 0);
  });
  if (room->size() < bytes_max) room->resize(bytes_max);

  char* at = room->data();
  *at++ = whole ? kWholePayload : 0;
  at = PutVarint(rows.first_row, at);
  at = PutVarint(rows.row_count, at);
  at = PutVarint(whole ? rows.live_count : rows.changed_count, at);
  uint32_t next = 0;
  ForEachBit(chosen, [&](uint32_t i) {
    at = PutVarint(i - next, at);
    next = i + 1;
    const bool live = rows.IsLive(i);
    *at++ = live ? 0 : kRowTombstone;
    if (live) at = fields.Put(row_at(i), at);
  });
  return {room->data(), static_cast<size_t>(at - room->data())};
}

}  // namespace headrace
