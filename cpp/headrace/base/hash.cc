#include "headrace/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "headrace/base/check.h"

namespace headrace {

uint64_t Hash64(const void* data, size_t size) { return XXH3_64bits(data, size); }

namespace {

template <size_t kSize>
void HashWords(const uint64_t* words, int64_t count, uint64_t* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = XXH3_64bits(words + i, kSize);
}

}  // namespace

void Hash64OfWords(const uint64_t* words, size_t size, int64_t count, uint64_t* out) {
  using Function = void (*)(const uint64_t*, int64_t, uint64_t*);
  static constexpr Function kOfSize[] = {HashWords<0>, HashWords<1>, HashWords<2>,
                                         HashWords<3>, HashWords<4>, HashWords<5>,
                                         HashWords<6>, HashWords<7>, HashWords<8>};
  HR_CHECK_LE(size, sizeof(uint64_t));
  kOfSize[size](words, count, out);
}

Digest128 Hash128(const void* data, size_t size) {
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  return {hash.low64, hash.high64};
}

struct Hash128Stream::State {
  XXH3_state_t xxh;
};

Hash128Stream::Hash128Stream() : state_(new State) { XXH3_128bits_reset(&state_->xxh); }

Hash128Stream::~Hash128Stream() = default;

void Hash128Stream::Update(std::string_view bytes) {
  HR_CHECK(XXH3_128bits_update(&state_->xxh, bytes.data(), bytes.size()) == XXH_OK);
}

Digest128 Hash128Stream::Digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh);
  return {hash.low64, hash.high64};
}

}  // namespace headrace
