#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace headrace {

/// XXH3-64 with seed 0 of the bytes. On disk: key groups depend on it, so it never changes (golden
/// vectors in tests/cpp/base/hash_test.cc).
uint64_t Hash64(const void* data, size_t size);
inline uint64_t Hash64(std::string_view bytes) { return Hash64(bytes.data(), bytes.size()); }

/// Hash64 of `count` inputs of `size` bytes, each in a word of its own from its first byte in
/// memory on. Faster than one by one, because the branches on the size are taken once. REQUIRES:
/// size ≤ 8.
void Hash64OfWords(const uint64_t* words, size_t size, int64_t count, uint64_t* out);

/// XXH3-128, low half first; the digest of checkpoint files.
struct Digest128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Digest128&) const = default;
};
Digest128 Hash128(const void* data, size_t size);
inline Digest128 Hash128(std::string_view bytes) { return Hash128(bytes.data(), bytes.size()); }

/// Hash128 of bytes that arrive in pieces; the cut does not matter. Threading: owned by one thread.
class Hash128Stream {
 public:
  Hash128Stream();
  ~Hash128Stream();
  Hash128Stream(const Hash128Stream&) = delete;
  Hash128Stream& operator=(const Hash128Stream&) = delete;

  void Update(std::string_view bytes);
  /// Digest of everything so far; more may follow.
  Digest128 Digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// CRC32C (Castagnoli), `crc` = value so far (0 to start). Uses SSE4.2 where it may
/// (cpu_variants.h).
uint32_t Crc32c(uint32_t crc, const void* data, size_t size);

namespace internal {
/// Crc32c() without special instructions; open to tests, which compare the two.
uint32_t Crc32cPortable(uint32_t crc, const void* data, size_t size);
}  // namespace internal

/// Mixes a 64-bit integer, best in its upper half; for in-memory tables only, never on disk. One
/// multiplication to 128 bits whose halves are folded: the lower one spreads the low bits of `x`
/// upwards, the upper one its high bits downwards.
inline uint64_t MixInt64(uint64_t x) {
  __extension__ using Uint128 = unsigned __int128;
  const Uint128 product = static_cast<Uint128>(x ^ 0x9e3779b97f4a7c15ULL) * 0xd6e8feb86659fd93ULL;
  return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
}

}  // namespace headrace
