#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "headrace/base/status.h"

namespace headrace {

/// A row of the timers' table. Namespaces of up to 16 bytes (a time window) are kept in the row.
struct TimerRow {
  static constexpr uint32_t kInlineBytes = 16;
  static constexpr uint32_t kDomainBit = 0x80000000u;

  int64_t time;
  uint32_t key;
  uint32_t ns_bytes_and_domain;
  union {
    char inline_ns[kInlineBytes];
    char* heap_ns;
  };

  uint32_t ns_bytes() const { return ns_bytes_and_domain & ~kDomainBit; }
  uint8_t domain() const { return ns_bytes_and_domain & kDomainBit ? 1 : 0; }
  bool owns_heap() const { return ns_bytes() > kInlineBytes; }
  std::string_view ns() const { return {owns_heap() ? heap_ns : inline_ns, ns_bytes()}; }
  /// About what the row takes when encoded.
  int64_t encoded_bytes() const { return 12 + int64_t{ns_bytes()}; }
};
static_assert(sizeof(TimerRow) == 32);

/// A timer where rows go by keys: its sub-key under key and namespace. On disk: domain, then the
/// time big-endian with its sign bit flipped, so that bytes order as times.
std::string TimerSubKey(uint8_t domain, int64_t time);
/// kCorruption that names the key when the bytes are none.
Status ParseTimerSubKey(std::string_view key, std::string_view sub_key, uint8_t* domain,
                        int64_t* time);

}  // namespace headrace
