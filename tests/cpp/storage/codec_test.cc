#include "headrace/storage/codec.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "headrace/base/bytes.h"
#include "testing/sim_random.h"

namespace headrace {
namespace {

std::string Noise(size_t size) {
  SimRandom random(size);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random.Next());
  return bytes;
}

std::vector<std::string> Texts() {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "user-" + std::to_string(i % 97) + "=42;";
  return {"", "x", "hello", std::string(100'000, '\0'), Noise(1000), Noise(100'000), text};
}

class CodecTest : public ::testing::TestWithParam<CodecId> {};

TEST_P(CodecTest, RoundTripsAtEveryLevel) {
  for (const int level : {0, 1, 3, 9, 100, -5}) {
    for (const std::string& text : Texts()) {
      const auto compressed = Compress(GetParam(), level, text);
      ASSERT_TRUE(compressed.ok()) << compressed.status().ToString();
      const auto back = Decompress(GetParam(), *compressed, text.size());
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      ASSERT_EQ(*back, text);
    }
  }
}

TEST_P(CodecTest, LargestRatioIsNotMistakenForABomb) {
  const std::string zeros(32 << 20, '\0');
  const auto compressed = Compress(GetParam(), 0, zeros);
  ASSERT_TRUE(compressed.ok());
  const auto back = Decompress(GetParam(), *compressed, zeros.size());
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_TRUE(*back == zeros);
}

TEST_P(CodecTest, WrongSizeIsCorruption) {
  for (const std::string& text : Texts()) {
    const auto compressed = Compress(GetParam(), 0, text);
    ASSERT_TRUE(compressed.ok());
    EXPECT_EQ(Decompress(GetParam(), *compressed, text.size() + 1).status().code(),
              StatusCode::kCorruption);
    if (text.empty()) continue;
    EXPECT_EQ(Decompress(GetParam(), *compressed, text.size() - 1).status().code(),
              StatusCode::kCorruption);
    EXPECT_EQ(Decompress(GetParam(), *compressed, 0).status().code(), StatusCode::kCorruption);
  }
}

TEST_P(CodecTest, TruncatedOrExtendedInputIsCorruption) {
  const std::string text = Texts().back().substr(0, 600);
  const auto compressed = Compress(GetParam(), 0, text);
  ASSERT_TRUE(compressed.ok());
  for (size_t size = 0; size < compressed->size(); ++size) {
    const std::string cut = compressed->substr(0, size);
    EXPECT_EQ(Decompress(GetParam(), cut, text.size()).status().code(), StatusCode::kCorruption);
  }
  EXPECT_EQ(Decompress(GetParam(), *compressed + *compressed, text.size()).status().code(),
            StatusCode::kCorruption);
}

TEST_P(CodecTest, DamagedInputNeverDecodesToAnotherLength) {
  const std::string text = Texts().back().substr(0, 2000);
  const auto compressed = Compress(GetParam(), 0, text);
  ASSERT_TRUE(compressed.ok());
  SimRandom random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = *compressed;
    for (uint64_t flips = 1 + random.Below(4); flips > 0; --flips) {
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Next());
    }
    const auto back = Decompress(GetParam(), damaged, text.size());
    if (back.ok()) {
      ASSERT_EQ(back->size(), text.size());
    } else {
      ASSERT_EQ(back.status().code(), StatusCode::kCorruption);
    }
  }
}

TEST_P(CodecTest, BombIsRefusedAtOnce) {
  const auto compressed = Compress(GetParam(), 0, std::string(1 << 20, '\0'));
  ASSERT_TRUE(compressed.ok());
  const auto start = std::chrono::steady_clock::now();
  for (const uint64_t claimed : {uint64_t{10} << 30, uint64_t{1} << 30, UINT64_MAX}) {
    EXPECT_EQ(Decompress(GetParam(), *compressed, claimed).status().code(),
              StatusCode::kCorruption);
  }
  const auto elapsed = std::chrono::steady_clock::now() - start;
  EXPECT_LT(elapsed, std::chrono::seconds(1));
}

INSTANTIATE_TEST_SUITE_P(All, CodecTest,
                         ::testing::Values(CodecId::kNone, CodecId::kLz4, CodecId::kSnappy,
                                           CodecId::kZstd),
                         [](const auto& info) { return std::string(CodecName(info.param)); });

TEST(CodecNameTest, NamesAreTheSameBothWays) {
  for (const CodecId codec : {CodecId::kNone, CodecId::kLz4, CodecId::kSnappy, CodecId::kZstd}) {
    EXPECT_EQ(*CodecFromName(CodecName(codec)), codec);
  }
  EXPECT_EQ(CodecFromName("gzip").status().message(),
            "unknown codec 'gzip'; use none, lz4, snappy or zstd");
}

TEST(CodecNameTest, UnknownIdIsRefused) {
  EXPECT_EQ(Compress(static_cast<CodecId>(9), 0, "x").status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Decompress(static_cast<CodecId>(9), "x", 1).status().code(), StatusCode::kCorruption);
}

TEST(CodecZstdTest, FrameThatDoesNotSayItsLengthIsRefused) {
  // Magic, a frame header without content size, window of 1 KiB, one empty last block.
  const std::string frame("\x28\xb5\x2f\xfd\x00\x00\x01\x00\x00", 9);
  EXPECT_EQ(Decompress(CodecId::kZstd, frame, 0).status().code(), StatusCode::kCorruption);
}

TEST(Compression, IsReadFromNameAndLevel) {
  EXPECT_EQ(*ParseCompression("zstd"), (Compression{CodecId::kZstd, 1}));
  EXPECT_EQ(*ParseCompression("zstd:7"), (Compression{CodecId::kZstd, 7}));
  EXPECT_EQ(*ParseCompression("zstd:-3"), (Compression{CodecId::kZstd, -3}));
  EXPECT_EQ(*ParseCompression("lz4"), (Compression{CodecId::kLz4, 0}));
  EXPECT_EQ(*ParseCompression("lz4:9"), (Compression{CodecId::kLz4, 9}));
  EXPECT_EQ(*ParseCompression("none"), (Compression{CodecId::kNone, 0}));
  for (const char* bad :
       {"", "gzip", "ZSTD", "zstd:", "zstd:x", "zstd:1x", "zstd:1:2", ":1", "zstd:99999999999"}) {
    EXPECT_EQ(ParseCompression(bad).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

}  // namespace
}  // namespace headrace
