#include "headrace/base/hash.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

#include "headrace/base/cpu_variants.h"

namespace headrace {
namespace {

std::string Counting(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + 3);
  return bytes;
}

// Frozen: key groups and digests on disk depend on these values. If one of these tests fails, the
// change is wrong, not the test.
struct Golden {
  size_t size;  ///< of Counting(size); the lengths take every code path of XXH3
  uint64_t hash64;
  Digest128 hash128;
};
constexpr Golden kGolden[] = {
    {0, 0x2d06800538d394c2ULL, {0x6001c324468d497fULL, 0x99aa06d3014798d8ULL}},
    {1, 0x13e608bc156defedULL, {0x13e608bc156defedULL, 0x22bbb76b211a39baULL}},
    {3, 0xa9088dda485b481cULL, {0xa9088dda485b481cULL, 0xce31763cbf8245a5ULL}},
    {4, 0x6d9253b16c8b1ed3ULL, {0x788a609154b0fe20ULL, 0x47197970590746b1ULL}},
    {8, 0x60539db630471163ULL, {0x3cd024e3d63a1588ULL, 0xe3bc8a5f46171555ULL}},
    {9, 0xfeff668361d723a8ULL, {0xeafab1c7f123109fULL, 0xc72c88247a9a56d7ULL}},
    {16, 0xb8c859b0f030b585ULL, {0x60d75c5e47d40a24ULL, 0xce0b9647ab24f884ULL}},
    {17, 0x714a04408e79b80fULL, {0xeeed7654312a26d7ULL, 0xbfd327edcc2fbd12ULL}},
    {128, 0x67425a03650261bfULL, {0xc580008b6c92ac53ULL, 0x1b1962a096bac78bULL}},
    {129, 0xc664bf3311c6abc4ULL, {0xbd91ce7ace4d385bULL, 0x293e4968c4619023ULL}},
    {240, 0x64556dc6b462a6cfULL, {0x04e0b5f034bee80bULL, 0xad46c1021b076bc7ULL}},
    {241, 0x8beadd3a8874fe17ULL, {0x8beadd3a8874fe17ULL, 0xac6c3492c3d6b45dULL}},
    {1024, 0x9b81661c641c72b1ULL, {0x9b81661c641c72b1ULL, 0x18bc0eaca9a33636ULL}},
    {1025, 0x806c2072ed713576ULL, {0x806c2072ed713576ULL, 0xbf447251cfa98d7cULL}},
    {4096, 0xd7428746842be37eULL, {0xd7428746842be37eULL, 0x1546867423105cd5ULL}},
};

TEST(HashTest, Hash64AndHash128AreFrozen) {
  for (const Golden& golden : kGolden) {
    const std::string bytes = Counting(golden.size);
    EXPECT_EQ(Hash64(bytes), golden.hash64) << golden.size;
    EXPECT_EQ(Hash128(bytes), golden.hash128) << golden.size;
  }
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2ULL);
  EXPECT_EQ(Hash64("headrace"), 0xcb57e9962b2bf0aaULL);
}

TEST(HashTest, WordsOfOneSizeAreHashedAsEachAlone) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> words(50);
  for (uint64_t& word : words) word = random();
  std::vector<uint64_t> hashes(words.size());
  for (size_t size = 0; size <= sizeof(uint64_t); ++size) {
    Hash64OfWords(words.data(), size, static_cast<int64_t>(words.size()), hashes.data());
    for (size_t i = 0; i < words.size(); ++i) ASSERT_EQ(hashes[i], Hash64(&words[i], size)) << size;
  }
}

TEST(HashTest, StreamGivesTheSameDigestWhereverItIsCut) {
  const std::string bytes = Counting(3000);
  for (const size_t cut : {0u, 1u, 17u, 240u, 1024u, 2999u, 3000u}) {
    Hash128Stream stream;
    stream.Update(std::string_view(bytes).substr(0, cut));
    stream.Update(std::string_view(bytes).substr(cut));
    EXPECT_EQ(stream.Digest(), Hash128(bytes)) << cut;
  }
}

TEST(HashTest, StreamGoesOnAfterADigest) {
  Hash128Stream stream;
  EXPECT_EQ(stream.Digest(), Hash128("", 0));
  stream.Update("ab");
  EXPECT_EQ(stream.Digest(), Hash128("ab"));
  stream.Update("c");
  EXPECT_EQ(stream.Digest(), Hash128("abc"));
}

TEST(HashTest, Crc32cHasThePublishedValues) {
  EXPECT_EQ(Crc32c(0, "", 0), 0u);
  EXPECT_EQ(Crc32c(0, "123456789", 9), 0xe3069283u);
  // RFC 3720, appendix B.4.
  EXPECT_EQ(Crc32c(0, std::string(32, '\0').data(), 32), 0x8a9136aau);
  EXPECT_EQ(Crc32c(0, std::string(32, '\xff').data(), 32), 0x62a8ab43u);
}

TEST(HashTest, Crc32cIsTheSameWithAndWithoutInstructions) {
  const std::string bytes = Counting(300);
  for (size_t start = 0; start < 9; ++start) {
    for (size_t size = 0; size + start <= bytes.size(); ++size) {
      ASSERT_EQ(Crc32c(7, bytes.data() + start, size),
                internal::Crc32cPortable(7, bytes.data() + start, size))
          << start << " " << size;
    }
  }
}

TEST(HashTest, Crc32cRunsTheVariantItSays) {
  EXPECT_EQ(Crc32cVariant(), MayUseSse42() ? "sse4.2" : "baseline");
#if defined(__x86_64__)
  const char* wanted = std::getenv("HEADRACE_CPU");
  if (wanted == nullptr) {
    EXPECT_EQ(MayUseSse42(), __builtin_cpu_supports("sse4.2") != 0);
  }
#endif
}

TEST(HashTest, Crc32cContinues) {
  const std::string bytes = Counting(100);
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    const uint32_t first = Crc32c(0, bytes.data(), cut);
    ASSERT_EQ(Crc32c(first, bytes.data() + cut, bytes.size() - cut), Crc32c(0, bytes.data(), 100));
  }
}

}  // namespace
}  // namespace headrace
